//! The fallback model, for a model that is unreachable or busy.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use contracts::ManualClock;
use engine::{
    ProblemCode,
    ports::{Answer, BUDGET_WINDOW, Clock, Finish, Model, ModelError, ModelRequest, Usage},
};
use fakes::model::{FakeModel, Reply as Says};
use jiff::Timestamp;
use serde_json::json;

use crate::{
    inside::{Inside, action, answer},
    support::Server,
};

const PROMPT: &str = "Send email to john@example.com saying thanks for the meeting";
/// The most that one question may cost here: texts are nothing, an answer is 100, and the frame of a chat 64.
const MOST: u64 = 164;

/// A model that always ends in the same way, after this time.
struct Ends {
    name: &'static str,
    says: Result<Finish, ModelError>,
    takes: Duration,
    clock: Arc<ManualClock>,
    asked: AtomicUsize,
}

/// Sleeps take no time but that of the clock.
struct Passing(Arc<ManualClock>);

#[async_trait]
impl Clock for Passing {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.0.advance(duration);
    }
}

#[async_trait]
impl Model for Ends {
    fn name(&self) -> &str {
        self.name
    }

    fn max_output_tokens(&self) -> Option<u32> {
        Some(100)
    }

    fn most_tokens(&self, _: &str) -> u64 {
        0
    }

    async fn ask(&self, request: &ModelRequest) -> Result<Answer, ModelError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.clock.advance(self.takes.min(request.timeout));
        if self.takes > request.timeout {
            return Err(ModelError::TimedOut);
        }
        let finish = self.says.clone()?;
        Ok(Answer { finish, usage: Usage { input: 40, output: 10 } })
    }
}

/// The use cases with two such models, and how often each was asked.
struct Two {
    inside: Inside,
    models: [Arc<Ends>; 2],
}

impl Two {
    fn new(budget: u64, first: (Result<Finish, ModelError>, u64), second: (Result<Finish, ModelError>, u64)) -> Self {
        let mut inside = Inside::new(&[("AI_MAX_TOKENS_PER_MIN", &budget.to_string())]);
        let clock = inside.clock.clone();
        let model = |name, (says, seconds)| {
            let (takes, clock) = (Duration::from_secs(seconds), clock.clone());
            Arc::new(Ends { name, says, takes, clock, asked: AtomicUsize::new(0) })
        };
        let models = [model("first", first), model("second", second)];
        let [first, second] = models.clone();
        inside.change(|parts| {
            // By the clock of this test.
            parts.budget = Arc::new(adapters::embedded::MemoryBudget::new(clock.clone(), BUDGET_WINDOW));
            parts.clock = Arc::new(Passing(clock));
            parts.model = first;
            parts.fallback_model = Some(second);
        });
        Self { inside, models }
    }

    fn asked(&self) -> [usize; 2] {
        self.models.each_ref().map(|model| model.asked.load(Ordering::Relaxed))
    }
}

fn plan() -> Finish {
    Finish::Text(answer(&[action(&["john@example.com"])]).to_string())
}

#[tokio::test]
async fn the_fallback_answers_for_a_model_that_is_unreachable_or_busy_and_for_no_other() {
    let unreachable = || Err(ModelError::Unreachable("status 500".to_owned()));
    let busy = |seconds: Option<u64>| Err(ModelError::Busy(seconds.map(Duration::from_secs)));
    let by = |model| Ok(model);
    let unavailable = Err(ProblemCode::PlannerUnavailable);
    let fine = || (Ok(plan()), 1);
    for (name, first, second, wanted, asked) in [
        ("a good answer", fine(), fine(), by("first"), [1, 0]),
        ("no answer is tried again, then the fallback", (unreachable(), 0), fine(), by("second"), [2, 1]),
        ("a busy one, with a wait", (busy(Some(20)), 0), fine(), by("second"), [1, 1]),
        ("a busy one, without", (busy(None), 0), fine(), by("second"), [1, 1]),
        ("no answer in time", (Ok(plan()), 20), fine(), by("second"), [1, 1]),
        ("a slow answer in time", (Ok(plan()), 14), fine(), by("first"), [1, 0]),
        ("no connection after a while", (unreachable(), 7), fine(), by("second"), [2, 1]),
        ("a slow fallback", (Ok(plan()), 20), (Ok(plan()), 9), by("second"), [1, 1]),
        ("a fallback that is too slow", (Ok(plan()), 20), (Ok(plan()), 11), unavailable, [1, 1]),
        ("a refused request", (Err(ModelError::Refused("status 401".to_owned())), 0), fine(), unavailable, [1, 0]),
        ("a request too long", (Err(ModelError::TooLong), 0), fine(), Err(ProblemCode::PromptTooLarge), [1, 0]),
        (
            "an answer that cannot be read",
            (Err(ModelError::Unreadable("no JSON".to_owned())), 0),
            fine(),
            Err(ProblemCode::PlannerInvalidAnswer),
            [1, 0],
        ),
        ("a refusal of the model", (Ok(Finish::Refusal(None)), 0), fine(), by("first"), [1, 0]),
        ("an answer that is cut off", (Ok(Finish::CutOff), 0), fine(), Err(ProblemCode::PlannerInvalidAnswer), [1, 0]),
        (
            "an answer of no plan",
            (Ok(Finish::Text("no plan".to_owned())), 0),
            fine(),
            Err(ProblemCode::PlannerInvalidAnswer),
            [2, 0],
        ),
        ("both unreachable", (unreachable(), 0), (unreachable(), 0), unavailable, [2, 2]),
        ("both busy", (busy(Some(20)), 0), (busy(Some(40)), 0), unavailable, [1, 1]),
        (
            "a fallback that refuses",
            (busy(None), 0),
            (Err(ModelError::Refused("status 404".to_owned())), 0),
            unavailable,
            [1, 1],
        ),
        (
            "a fallback whose answer is no plan",
            (busy(None), 0),
            (Ok(Finish::Text("no plan".to_owned())), 0),
            Err(ProblemCode::PlannerInvalidAnswer),
            [1, 2],
        ),
    ] {
        let two = Two::new(1_000_000, first, second);
        let began = two.inside.clock.now();
        let planned = two.inside.plan(PROMPT, None).await;
        let took = two.inside.clock.now().duration_since(began);
        assert!(took.as_secs() <= 25, "{name}: {took}");
        let got = planned.as_ref().map(|planned| planned.model.as_str()).map_err(|problem| problem.code);
        assert_eq!((got, two.asked()), (wanted, asked), "{name}");
        if let Ok(planned) = planned {
            assert_eq!(planned.usage, Usage { input: 40, output: 10 }, "{name}");
        }
    }
}

#[tokio::test]
async fn a_fallback_reserves_tokens_of_its_own() {
    let busy = || Err(ModelError::Busy(None));
    for (budget, first, by) in [
        // An answer that is on its way still counts, so both have to fit.
        (2 * MOST, (Ok(plan()), 20), true),
        (2 * MOST - 1, (Ok(plan()), 20), false),
        // One that certainly cost nothing does not.
        (MOST, (busy(), 0), true),
        (MOST, (Err(ModelError::Unreachable("no connection".to_owned())), 0), true),
    ] {
        let two = Two::new(budget, first, (Ok(plan()), 1));
        let planned = two.inside.plan(PROMPT, None).await;
        assert_eq!(planned.is_ok(), by, "{budget}");
        assert_eq!(two.asked()[1], usize::from(by), "{budget}: nothing is asked beyond the budget");
    }
}

#[tokio::test]
async fn a_model_that_says_how_long_it_is_busy_is_not_asked_meanwhile_and_the_fallback_is() {
    let busy = Err(ModelError::Busy(Some(Duration::from_secs(20))));
    let two = Two::new(1_000_000, (busy, 0), (Ok(plan()), 1));
    for asked in [[1, 1], [1, 2], [1, 3]] {
        assert_eq!(two.inside.plan(PROMPT, None).await.unwrap().model, "second");
        assert_eq!(two.asked(), asked);
    }
    two.inside.clock.advance(Duration::from_secs(20));
    assert_eq!(two.inside.plan(PROMPT, None).await.unwrap().model, "second");
    assert_eq!(two.asked(), [2, 4], "its time is over, so it is asked again");
}

#[tokio::test]
async fn the_running_program_asks_its_fallback_and_says_who_answered() {
    let model = FakeModel::new("sk-x");
    let (url, folder) = (model.serve().await, tempfile::tempdir().unwrap());
    let variables = [
        ("OPENAI_BASE_URL", &*url),
        ("OPENAI_API_KEY", "sk-x"),
        ("AI_MODEL", "gpt-4o"),
        ("AI_FALLBACK_MODEL", "gpt-4o-mini"),
    ];
    let server = Server::start(folder.path(), &variables);
    let limit = json!({ "error": { "code": "rate_limit_exceeded" } });
    model.script(Says::Status(429, vec![("retry-after", "30".to_owned())], limit));
    for _ in 0..2 {
        let reply = server.post("/ai/plan2", &json!({ "prompt": PROMPT })).await;
        assert_eq!((reply.status, &reply.body["meta"]["model"]), (200, &json!("gpt-4o-mini")), "{}", reply.body);
    }
    let names: Vec<String> = model.requests().iter().map(|request| request.body["model"].to_string()).collect();
    assert_eq!(names, ["\"gpt-4o\"", "\"gpt-4o-mini\"", "\"gpt-4o-mini\""]);
    let metrics = server.request("GET", "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("ai_planner_requests_total{status=\"ok\"} 2"), "{metrics}");
}
