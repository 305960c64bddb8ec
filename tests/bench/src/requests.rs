//! What is asked.

use adapters::system::SystemIds;
use engine::ports::Ids;
use serde_json::{Value, json};

use crate::client::Client;

/// A body for plan2.
pub const PROMPT: &str = r#"{"prompt": "Send email to john@example.com saying thanks for the meeting"}"#;

/// A body for execute with so many actions, each new.
pub fn execute(actions: usize) -> Value {
    let action = |_| {
        json!({
            "action": "gmail.send",
            "client_request_id": SystemIds.uuid().to_string(),
            "params": {
                "to": "john@example.com",
                "subject": "Thank you for the meeting",
                "text": "Hello John,\n\nthank you for your time today. I send you the figures on Friday.\n\nBest regards",
            },
        })
    };
    json!({ "actor_id": "user@example.com", "actions": (0..actions).map(action).collect::<Vec<_>>() })
}

/// Accepts one new job; gives back its id.
pub async fn execute_one(client: &mut Client) -> String {
    let accepted = client.post_json("/ai/execute", &execute(1)).await;
    accepted["job_ids"][0].as_str().expect("an id").to_owned()
}

/// Accepts ten new jobs; gives back the id of the last.
pub async fn execute_ten(client: &mut Client) -> String {
    let accepted = client.post_json("/ai/execute", &execute(10)).await;
    accepted["job_ids"][9].as_str().expect("an id").to_owned()
}

/// Polls a job until it has ended; it must have been sent.
pub async fn until_ended(client: &mut Client, job: &str) {
    loop {
        let body = client.get(&format!("/ai/jobs/{job}?wait=10")).await;
        let job: Value = serde_json::from_slice(&body).expect("JSON");
        match job["status"].as_str() {
            Some("completed") => return,
            Some("pending" | "running") => {}
            _ => panic!("a job ended otherwise: {job}"),
        }
    }
}

/// The jobs that have not ended, up to two hundred.
pub async fn open_jobs(client: &mut Client) -> usize {
    let mut open = 0;
    for status in ["pending", "running"] {
        let page = client.get(&format!("/ai/jobs?limit=100&status={status}")).await;
        let page: Value = serde_json::from_slice(&page).expect("JSON");
        open += page["data"].as_array().map_or(0, Vec::len);
    }
    open
}
