//! What a plan costs this process in CPU, all threads together: instructions and schema, the budget, reading and
//! grounding an answer of three mails, sealing and writing it. The model is in memory and answers at once.

mod in_process;

use std::{fs, sync::Arc};

use async_trait::async_trait;
use engine::{
    plan::PlanRequest,
    ports::{Answer, Finish, Model, ModelError, ModelRequest, Usage},
};
use in_process::engine_in;
use serde_json::{Value, json};

const PLANS: u32 = 500;
/// The promise.
const MOST_MS: f64 = 2.0;

struct Ready(String);

#[async_trait]
impl Model for Ready {
    fn name(&self) -> &'static str {
        "ready"
    }

    fn max_output_tokens(&self) -> Option<u32> {
        Some(800)
    }

    async fn ask(&self, _: &ModelRequest) -> Result<Answer, ModelError> {
        let usage = Usage { input: 900, output: 200 };
        Ok(Answer { finish: Finish::Text(self.0.clone()), usage })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut parts, caller) = engine_in(folder.path(), &[("AI_MAX_TOKENS_PER_MIN", "1000000000")]);
    let people = ["ana@example.com", "bo@example.com", "cy@example.com"];
    let mails: Vec<Value> = people
        .iter()
        .map(|to| {
            let params = json!({ "to": [to], "cc": null, "bcc": null, "reply_to": null, "subject": "The meeting",
                "text": "Hello, thank you for the meeting. We go on next week.", "html": null });
            json!({ "provider": "google", "action": "gmail.send", "params": params })
        })
        .collect();
    let answer = json!({ "intent": "send_email", "notes": null, "actions": mails, "questions": [], "confidence": 0.9 });
    parts.model = Arc::new(Ready(answer.to_string()));
    let engine = engine::Engine::new(parts);
    let prompt = format!("Thank {} for the meeting, each in a mail of their own", people.join(", "));
    let plan = async || {
        let request = PlanRequest {
            context: None,
            answers: Vec::new(),
            prompt: prompt.clone(),
            workspace_id: None,
            actor_id: None,
            timezone: Some("Europe/Berlin".to_owned()),
            trace: Some(telemetry::TraceContext::begin(1, 1)),
            deadline: None,
        };
        let planned = engine.planner.plan(&caller, request).await.expect("a plan");
        assert_eq!(planned.plan.actions.len(), 3);
    };
    for _ in 0..PLANS / 10 {
        plan().await;
    }
    let before = cpu_ms();
    for _ in 0..PLANS {
        plan().await;
    }
    let each = (cpu_ms() - before) / f64::from(PLANS);
    let build = if cfg!(debug_assertions) { "unoptimised" } else { "optimised" };
    println!("{PLANS} plans of three mails, {build}: {each:.3} ms of CPU each");
    assert!(each < MOST_MS || cfg!(debug_assertions), "more than {MOST_MS} ms");
}

/// Milliseconds that the threads of this process have been on a CPU (proc(5), schedstat).
fn cpu_ms() -> f64 {
    let threads = fs::read_dir("/proc/self/task").expect("Linux");
    let times = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok());
    times.filter_map(|line| line.split(' ').next()?.parse::<f64>().ok()).sum::<f64>() / 1_000_000.0
}
