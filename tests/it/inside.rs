//! The use cases inside this process, with a model in memory and a clock that stands still: for what HTTP adds nothing to.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use contracts::{CountingIds, ManualClock};
use domain::{PlanId, Scope, WorkspaceId};
use engine::{
    Caller, Engine, Parts, Problem,
    execute::{Accepted, ExecuteRequest},
    plan::{GivenAnswer, PlanRequest, Planned},
    ports::{Answer, Finish, JobFilter, JobList, Model, ModelError, ModelRequest, Usage},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use telemetry::TraceContext;

/// The use cases with embedded parts, and who asks.
pub struct Inside {
    pub engine: Engine,
    pub parts: Parts,
    pub clock: Arc<ManualClock>,
    pub model: Arc<Scripted>,
    pub caller: Caller,
    _folder: tempfile::TempDir,
}

/// A model that says what it was told to say, and keeps what it was asked.
#[derive(Default)]
pub struct Scripted {
    says: Mutex<VecDeque<Finish>>,
    asked: Mutex<Vec<ModelRequest>>,
}

impl Inside {
    /// With these variables and nothing else in the environment.
    pub fn new(variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().display().to_string();
        let config = app::Config::read(app::Runtime::Local, &|name| match name {
            "ORCHESTRATOR_DATA" => Some(data.clone()),
            name => variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
        });
        let (clock, model) = (ManualClock::new(), Arc::new(Scripted::default()));
        let mut parts = app::parts_by(&config.unwrap(), clock.clone()).unwrap();
        parts.model = model.clone();
        parts.ids = Arc::new(CountingIds::new(7));
        Self { engine: Engine::new(parts.clone()), parts, clock, model, caller: caller("local"), _folder: folder }
    }

    /// Builds the use cases again from changed parts, on the same ledger.
    pub fn change(&mut self, change: impl FnOnce(&mut Parts)) {
        change(&mut self.parts);
        self.engine = Engine::new(self.parts.clone());
    }

    /// The plan of a prompt when the model says this.
    pub async fn when(&self, says: impl Into<Says>, prompt: &str) -> Result<Planned, Problem> {
        self.model.say(says);
        self.plan(prompt, None).await
    }

    pub async fn plan(&self, prompt: &str, actor: Option<&str>) -> Result<Planned, Problem> {
        self.request(prompt, None, Vec::new(), actor).await
    }

    /// The plan of a prompt about somebody else's text, with answers to earlier questions.
    pub async fn plan_with(
        &self,
        prompt: &str,
        context: Option<&str>,
        answers: Vec<GivenAnswer>,
    ) -> Result<Planned, Problem> {
        self.request(prompt, context, answers, None).await
    }

    async fn request(
        &self,
        prompt: &str,
        context: Option<&str>,
        answers: Vec<GivenAnswer>,
        actor: Option<&str>,
    ) -> Result<Planned, Problem> {
        let request = PlanRequest {
            prompt: prompt.to_owned(),
            context: context.map(str::to_owned),
            answers,
            workspace_id: None,
            actor_id: actor.map(|actor| actor.parse().unwrap()),
            timezone: Some("Europe/Berlin".to_owned()),
            trace: Some(TraceContext::begin(1, 1)),
            deadline: None,
        };
        self.engine.planner.plan(&self.caller, request).await
    }

    pub async fn execute(&self, plan: PlanId) -> Result<Vec<Accepted>, Problem> {
        self.execute_as(&self.caller, ExecuteRequest { plan_id: Some(plan), ..ExecuteRequest::default() }).await
    }

    pub async fn execute_as(&self, caller: &Caller, request: ExecuteRequest) -> Result<Vec<Accepted>, Problem> {
        let request = ExecuteRequest { trace: Some(TraceContext::begin(1, 1)), ..request };
        self.engine.executor.execute(caller, request).await
    }

    /// The time in so many seconds.
    pub fn clock_in(&self, seconds: i64) -> Timestamp {
        self.parts.clock.now() + SignedDuration::from_secs(seconds)
    }

    /// How many jobs there are, up to 100.
    pub async fn jobs(&self) -> usize {
        let filter =
            JobFilter { workspace: self.caller.workspace.clone(), list: JobList::All, after: None, limit: 100 };
        self.parts.ledger.jobs.list_jobs(&filter).await.unwrap().len()
    }
}

/// Somebody of a workspace, who may do everything there.
pub fn caller(workspace: &str) -> Caller {
    let workspace = workspace.parse::<WorkspaceId>().unwrap();
    Caller {
        key_id: None,
        bound_actor: None,
        default_actor: domain::ActorHash::of(&workspace, &"local".parse().unwrap()),
        workspace,
        scopes: Scope::all(),
        allow: None,
        agent: false,
        draft_only: false,
        ticket: engine::limits::Ticket::default(),
    }
}

/// How an answer ends: what a plan or a text is made into.
pub struct Says(pub Finish);

impl From<Value> for Says {
    fn from(plan: Value) -> Self {
        Self(Finish::Text(plan.to_string()))
    }
}

impl From<String> for Says {
    fn from(text: String) -> Self {
        Self(Finish::Text(text))
    }
}

impl Scripted {
    /// Says this to what is asked next, after what it was told before.
    pub fn say(&self, says: impl Into<Says>) {
        self.says.lock().unwrap().push_back(says.into().0);
    }

    /// What was asked last.
    pub fn last(&self) -> ModelRequest {
        self.asked.lock().unwrap().last().expect("something was asked").clone()
    }

    /// All that was asked.
    pub fn all(&self) -> Vec<ModelRequest> {
        self.asked.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

#[async_trait]
impl Model for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn max_output_tokens(&self) -> Option<u32> {
        None
    }

    async fn ask(&self, request: &ModelRequest) -> Result<Answer, ModelError> {
        self.asked.lock().unwrap().push(request.clone());
        let finish = self.says.lock().unwrap().pop_front().unwrap_or(Finish::Empty);
        Ok(Answer { finish, usage: Usage { input: 100, output: 20 } })
    }
}

/// An action to these people, as a model in strict mode writes it.
pub fn action(to: &[&str]) -> Value {
    json!({ "provider": "google", "action": "gmail.send", "params": {
        "to": to, "cc": null, "bcc": null, "reply_to": null, "subject": "Thanks", "text": "Thank you.", "html": null } })
}

/// An answer with these actions.
pub fn answer(actions: &[Value]) -> Value {
    json!({ "intent": "send_email", "notes": null, "actions": actions, "questions": [], "confidence": 0.9 })
}
