//! From a sentence to a plan: ask the model, validate what it says, ground every address in the
//! prompt, seal the plan for its execution.

mod answer;
mod budget;
mod instructions;
mod schema;

use std::time::Duration;

use domain::{ActionId, ActorId, Intent, Plan, PlanId};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use telemetry::{
    TraceContext,
    record::{PlannerStatus, record_ai_planner, record_ai_tokens},
};

use crate::{
    Caller, Engine, Problem, ProblemCode,
    execute::RequestedAction,
    ports::{Action, Answer, Finish, ModelError, ModelRequest, Purpose, StoredPlan, Usage},
};

pub use budget::MAX_PROMPT_BYTES;
pub use schema::plan_schema;

/// How long planning may take in all, a second try included: an HTTP API on AWS waits 30 s.
const PATIENCE: SignedDuration = SignedDuration::from_secs(25);
/// A second try with less time than this would not come to an answer.
const WORTH_A_TRY: SignedDuration = SignedDuration::from_secs(2);
/// How long a plan can be executed.
const EXECUTABLE_MINUTES: i64 = 15;
/// How long a plan is kept.
const KEPT_HOURS: i64 = 24;

/// A request to plan.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// What a person wrote.
    pub prompt: String,
    /// The workspace the request names, if it names one.
    pub workspace_id: Option<String>,
    /// Whom it acts for, if it says.
    pub actor_id: Option<ActorId>,
    /// The IANA time zone that "Friday 3pm" is in.
    pub timezone: Option<String>,
    /// The request's trace, which the plan's execution joins.
    pub trace: TraceContext,
}

/// A plan with how it came about.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// Which model made it.
    pub model: String,
    /// How long that took.
    pub duration: Duration,
    /// The model's own count of tokens.
    pub usage: Usage,
}

/// What lies sealed under a plan's id.
#[derive(Serialize, Deserialize)]
struct Record {
    plan: Plan,
    actor: Option<ActorId>,
    prompt: String,
    answer: String,
    model: String,
    tokens_in: u64,
    tokens_out: u64,
    created_at: Timestamp,
    #[serde(default)]
    traceparent: Option<String>,
}

impl Engine {
    /// Plans what a prompt asks for. No allowed action, a refusal and an open question are plans
    /// too, without that action; an unusable answer or no answer is a problem.
    pub async fn plan(&self, caller: &Caller, request: PlanRequest) -> Result<Planned, Problem> {
        let began = self.clock.now();
        let planned = self.try_plan(caller, request, began).await;
        let duration = self.clock.now().duration_since(began).unsigned_abs();
        let status = match &planned {
            Ok((_, status)) => *status,
            Err(problem) => match problem.code {
                ProblemCode::PlannerInvalidAnswer => PlannerStatus::Invalid,
                ProblemCode::TokenBudgetExhausted => PlannerStatus::Budget,
                _ => PlannerStatus::Error,
            },
        };
        record_ai_planner(status, duration);
        planned.map(|(planned, _)| Planned { duration, ..planned })
    }

    async fn try_plan(
        &self,
        caller: &Caller,
        request: PlanRequest,
        began: Timestamp,
    ) -> Result<(Planned, PlannerStatus), Problem> {
        caller.workspace_of(request.workspace_id.as_deref())?;
        let actor = caller.actor_of(request.actor_id)?;
        let (prompt, trace) = (request.prompt, request.trace);
        if prompt.trim().is_empty() {
            return Err(Problem::invalid("/prompt", "must say what to do"));
        }
        let zone = match &request.timezone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name)
                .map_err(|_| Problem::invalid("/timezone", "must be an IANA time zone, such as Europe/Berlin"))?,
        };
        let actions: Vec<&dyn Action> = self
            .catalogue
            .iter()
            .map(std::convert::AsRef::as_ref)
            .filter(|action| self.settings.allowlist.can_execute(&action.about().action_id()))
            .collect();
        let (answer, usage) = if actions.is_empty() {
            (answer::Outcome::without_actions(), Usage::default())
        } else {
            let today = began.to_zoned(zone);
            let request = ModelRequest {
                instructions: instructions::instructions(&actions, &today),
                prompt: prompt.clone(),
                schema: plan_schema(&actions),
                actions: actions.iter().map(|action| action.about().action_id()).collect::<Vec<ActionId>>(),
                timeout: PATIENCE.unsigned_abs(),
            };
            let reserved = self.reserve_tokens(&caller.workspace, &request).await?;
            let asked = self.ask(request, began + PATIENCE).await;
            self.settle_tokens(reserved, &asked).await;
            let Answer { finish, usage } = asked.map_err(|error| unanswered(&error))?;
            record_ai_tokens(usage.input, usage.output);
            (self.understand(&prompt, finish)?, usage)
        };
        let plan = answer.plan;
        let plan = Plan {
            plan_id: PlanId(self.ids.uuid()),
            intent: plan.intent,
            confidence: plan.confidence,
            actions: plan.actions,
            questions: plan.questions,
            notes: plan.notes,
        };
        let model = self.model.name().to_owned();
        self.keep(
            caller,
            &Record {
                plan: plan.clone(),
                actor,
                prompt,
                answer: answer.text,
                model: model.clone(),
                tokens_in: usage.input,
                tokens_out: usage.output,
                created_at: began,
                traceparent: Some(trace.to_string()),
            },
        )
        .await?;
        tracing::info!(plan.id = %plan.plan_id, plan.actions = plan.actions.len(), plan.status = answer.status.as_str(), "planned");
        Ok((Planned { plan, model, duration: Duration::ZERO, usage }, answer.status))
    }

    /// Asks the model, and once more when the first try certainly came to nothing.
    async fn ask(&self, mut request: ModelRequest, deadline: Timestamp) -> Result<Answer, ModelError> {
        let mut tried = false;
        loop {
            let left = deadline.duration_since(self.clock.now());
            request.timeout = left.max(SignedDuration::ZERO).unsigned_abs();
            match self.model.ask(&request).await {
                Err(error @ ModelError::Unreachable(_)) => {
                    let pause = Duration::from_millis(200).mul_f64(1.0 + self.ids.fraction());
                    let left = deadline.duration_since(self.clock.now());
                    if tried || left < WORTH_A_TRY {
                        return Err(error);
                    }
                    tracing::warn!(%error, "the model is asked once more");
                    tried = true;
                    self.clock.sleep(pause).await;
                }
                answered => return answered,
            }
        }
    }

    fn understand(&self, prompt: &str, finish: Finish) -> Result<answer::Outcome, Problem> {
        let invalid = |detail: &str| Err(Problem::new(ProblemCode::PlannerInvalidAnswer, detail));
        match finish {
            Finish::Text(text) => answer::read(self, prompt, text),
            Finish::Refusal(reason) => Ok(answer::Outcome::refused(reason)),
            Finish::CutOff => invalid("the model's answer was cut off at AI_MAX_OUTPUT_TOKENS"),
            Finish::Empty => invalid("the model's answer is empty"),
        }
    }

    async fn keep(&self, caller: &Caller, record: &Record) -> Result<(), Problem> {
        let text = serde_json::to_vec(record).expect("a plan of valid parts is always JSON");
        let plan_id = record.plan.plan_id;
        let sealed = self.vault.seal(&caller.workspace, Purpose::Plan, &plan_id.to_string(), &text).await?;
        let expires_at = record.created_at + SignedDuration::from_hours(KEPT_HOURS);
        let stored = StoredPlan { plan_id, workspace: caller.workspace.clone(), sealed, expires_at };
        Ok(self.ledger.put_plan(&stored).await?)
    }

    /// The actions of a plan that was shown to this caller, whom they act for, and the trace that it was made in. A plan that is
    /// too old, another workspace's or another actor's is not found.
    pub(crate) async fn planned_actions(
        &self,
        caller: &Caller,
        id: PlanId,
        asked: Option<ActorId>,
    ) -> Result<(Vec<RequestedAction>, ActorId, Option<TraceContext>), Problem> {
        let gone = || Problem::new(ProblemCode::PlanNotFound, "there is no such plan, or it is older than 15 minutes");
        let now = self.clock.now();
        let stored = self.ledger.plan(&caller.workspace, id, now).await?.ok_or_else(gone)?;
        let text = self.vault.open(&caller.workspace, Purpose::Plan, &id.to_string(), &stored.sealed).await?;
        let record: Record = serde_json::from_slice(&text)
            .map_err(|error| Problem::new(ProblemCode::Internal, format!("a stored plan is not JSON: {error}")))?;
        let executable_until = record.created_at + SignedDuration::from_mins(EXECUTABLE_MINUTES);
        let actor = match (record.actor, asked) {
            (Some(planned), Some(asked)) if planned != asked => return Err(gone()),
            (Some(actor), _) | (None, Some(actor)) => actor,
            (None, None) => caller.default_actor.clone(),
        };
        if executable_until <= now {
            return Err(gone());
        }
        if record.plan.actions.is_empty() {
            return Err(Problem::invalid(
                "/plan_id",
                "names a plan without actions; answer its questions and plan again",
            ));
        }
        let actions = record.plan.actions.into_iter().map(|action| RequestedAction {
            provider: Some(action.provider.to_string()),
            action: action.action.to_string(),
            params: action.params,
            client_request_id: Some(action.client_request_id),
        });
        let trace = record.traceparent.as_deref().and_then(TraceContext::read);
        Ok((actions.collect(), actor, trace))
    }
}

/// What a caller is told when the model gave no answer.
fn unanswered(error: &ModelError) -> Problem {
    let (code, after) = match error {
        ModelError::Unreadable(_) => (ProblemCode::PlannerInvalidAnswer, None),
        ModelError::Busy(after) => (ProblemCode::PlannerUnavailable, *after),
        _ => (ProblemCode::PlannerUnavailable, None),
    };
    Problem::new(code, error.to_string()).with_retry_after(after)
}

/// A plan before it has an id.
struct Draft {
    intent: Intent,
    confidence: f64,
    actions: Vec<domain::PlannedAction>,
    questions: Vec<String>,
    notes: Option<String>,
}
