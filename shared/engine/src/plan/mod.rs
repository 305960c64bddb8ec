//! From a sentence to a plan: ask the model, validate what it says, ground every address in the
//! prompt, seal the plan for its execution.

mod answer;
mod budget;
mod condition;
mod instructions;
mod record;
mod replay;
mod schema;

use std::{sync::Arc, time::Duration};

use answer::Outcome;
use domain::{
    ActionId, ActorId, AnswerValue, Answered, AuditEvent, Intent, Plan, PlanId, PlannedAction, Question, RequestHash,
    Warning, WorkspaceId, sha256_hex,
};
use futures_util::future::join;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use record::Record;
use telemetry::{
    TraceContext,
    record::{PlannerStatus, record_ai_planner, record_ai_tokens},
};

pub use self::replay::{Difference, Replay};
pub use self::schema::plan_schema;
pub(crate) use self::{answer::Request, budget::TokenBudget, record::PlanStore};
use crate::{
    Caller, Problem, ProblemCode,
    audit::Auditor,
    catalogue::Catalogue,
    gate::{Gate, Permissions},
    limits::{RateLimiter, Ticket},
    ports::{Action, Answer, Clock, Finish, Ids, Model, ModelError, ModelRequest, Usage},
};

/// How long planning may take in all, a second try included: an HTTP API on AWS waits 30 s.
const PATIENCE: SignedDuration = SignedDuration::from_secs(25);
/// The most bytes of a request's context.
const MAX_CONTEXT_BYTES: usize = 32 * 1024;
/// A second try with less time than this would not come to an answer.
const WORTH_A_TRY: SignedDuration = SignedDuration::from_secs(2);

/// A request to plan.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// What a person wrote.
    pub prompt: String,
    /// Text by somebody else that the prompt is about.
    pub context: Option<String>,
    /// Every answer that was given to questions about this prompt so far.
    pub answers: Vec<GivenAnswer>,
    /// The workspace the request names, if it names one.
    pub workspace_id: Option<String>,
    /// Whom it acts for, if it says.
    pub actor_id: Option<ActorId>,
    /// The IANA time zone that "Friday 3pm" is in.
    pub timezone: Option<String>,
    /// The request's trace, which the plan's execution joins.
    pub trace: TraceContext,
}

/// An answer by the id of its question.
#[derive(Debug, Clone)]
pub struct GivenAnswer {
    /// The question's id.
    pub id: String,
    /// The answer.
    pub value: AnswerValue,
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

/// Turns a prompt into a plan, and replays plans.
pub struct Planner {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) model: Arc<dyn Model>,
    pub(crate) budget: TokenBudget,
    pub(crate) plans: Arc<PlanStore>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) limiter: Arc<RateLimiter>,
    pub(crate) auditor: Arc<Auditor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

impl Planner {
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
        if let Err(problem) = &planned {
            // Before the audit, so that refused requests cannot fill it.
            self.limiter.charge(&caller.ticket).await?;
            self.auditor.refusal(caller, AuditEvent::PlanRefused, problem).await;
        }
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
        let context = request.context.filter(|context| !context.trim().is_empty());
        if context.as_ref().is_some_and(|context| context.len() > MAX_CONTEXT_BYTES) {
            let detail = format!("must be at most {MAX_CONTEXT_BYTES} bytes");
            return Err(Problem::invalid("/context", detail));
        }
        let hash = RequestHash::of(&request.prompt, context.as_deref());
        let (answers, unusable) = self.answered(&caller.workspace, &hash, request.answers).await?;
        let permissions = self.gate.permissions(caller).await?;
        let asks = Request { prompt: &request.prompt, context: context.as_deref(), answers: &answers };
        let question = Ask { request: asks, timezone: request.timezone.as_deref(), began };
        let Asked { finish, usage, schema_sha256 } =
            self.ask_for_plan(&caller.workspace, &permissions, question, &caller.ticket).await?;
        let mut answer = self.understand(&permissions, asks, finish.clone())?;
        // Stored without the reasons, which belong to this request only.
        let mut questions = answer.plan.questions.clone();
        for (question, why) in unusable {
            if !questions.iter().any(|asked| asked.is_same(&question)) {
                questions.push(question.clone());
            }
            answer.plan.ask_again(question, &why);
            answer.status = PlannerStatus::Questions;
        }
        let plan = answer.plan.with_id(PlanId(self.ids.uuid()), &hash);
        let model = self.model.name().to_owned();
        let record = Record {
            plan: plan.clone(),
            actor,
            prompt: request.prompt,
            context,
            answers,
            answer: finish,
            schema_sha256,
            catalogue: self.catalogue.version().to_owned(),
            model: model.clone(),
            tokens_in: usage.input,
            tokens_out: usage.output,
            created_at: began,
            traceparent: Some(request.trace.to_string()),
        };
        self.plans.put(caller, &record, &hash, questions).await?;
        tracing::info!(plan.id = %plan.plan_id, plan.actions = plan.actions.len(), plan.status = <&str>::from(answer.status), "planned");
        Ok((Planned { plan, model, duration: Duration::ZERO, usage }, answer.status))
    }

    /// The answers with the questions that they belong to; and the questions whose answers cannot be used, with the
    /// reasons. An answer to a question that was not asked about this request is an error.
    async fn answered(
        &self,
        workspace: &WorkspaceId,
        request: &RequestHash,
        given: Vec<GivenAnswer>,
    ) -> Result<(Vec<Answered>, Vec<(Question, String)>), Problem> {
        let (mut answers, mut unusable) = (Vec::new(), Vec::new());
        if given.is_empty() {
            return Ok((answers, unusable));
        }
        let open = self.plans.questions(workspace, request).await?;
        for (place, GivenAnswer { id, value }) in given.iter().enumerate() {
            let pointer = format!("/answers/{place}/id");
            if given[..place].iter().any(|earlier| earlier.id == *id) {
                return Err(Problem::invalid(&pointer, "was answered before in this request; give one answer"));
            }
            let Some(question) = open.iter().find(|question| question.id(request) == *id) else {
                let detail = "is not the id of an open question about this prompt; plan again without it";
                return Err(Problem::invalid(&pointer, detail));
            };
            match question.usable(value) {
                Ok(()) => answers.push(Answered { question: question.clone(), value: value.clone() }),
                Err(why) => unusable.push((question.clone(), why)),
            }
        }
        Ok((answers, unusable))
    }

    /// Asks the model for a plan, within the budget and the rate limits. Where nothing is allowed, it is not asked.
    pub(crate) async fn ask_for_plan(
        &self,
        workspace: &WorkspaceId,
        permissions: &Permissions,
        Ask { request, timezone, began }: Ask<'_>,
        ticket: &Ticket,
    ) -> Result<Asked, Problem> {
        if request.prompt.trim().is_empty() {
            return Err(Problem::invalid("/prompt", "must say what to do"));
        }
        let zone = match timezone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name)
                .map_err(|_| Problem::invalid("/timezone", "must be an IANA time zone, such as Europe/Berlin"))?,
        };
        let actions: Vec<&dyn Action> = self
            .catalogue
            .iter()
            .map(std::convert::AsRef::as_ref)
            .filter(|action| permissions.allow(&action.spec().action_id()))
            .collect();
        if actions.is_empty() {
            self.limiter.charge(ticket).await?;
            return Ok(Asked { finish: None, usage: Usage::default(), schema_sha256: None });
        }
        let schema = plan_schema(&actions);
        let schema_sha256 = Some(sha256_hex(schema.to_string().as_bytes()));
        let Request { prompt, context, answers } = request;
        let request = ModelRequest {
            instructions: instructions::instructions(&actions, &began.to_zoned(zone)),
            prompt: prompt.to_owned(),
            message: instructions::message(prompt, answers, context),
            answers: answers.to_vec(),
            schema,
            actions: actions.iter().map(|action| action.spec().action_id()).collect::<Vec<ActionId>>(),
            timeout: PATIENCE.unsigned_abs(),
        };
        // Side by side: counting the request costs no time of its own.
        let reserve = self.budget.reserve(&*self.model, workspace, &request);
        let (charged, reserved) = join(self.limiter.charge(ticket), reserve).await;
        if let Err(refused) = charged {
            self.budget.release(reserved.ok().flatten()).await;
            return Err(refused);
        }
        let reserved = reserved?;
        let asked = self.ask(request, began + PATIENCE).await;
        self.budget.settle(reserved, &asked).await;
        let Answer { finish, usage } = asked.map_err(|error| unanswered(&error))?;
        record_ai_tokens(usage.input, usage.output);
        Ok(Asked { finish: Some(finish), usage, schema_sha256 })
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

    /// What an answer comes to, by today's rules; none is what there is where nothing is allowed.
    pub(crate) fn understand(
        &self,
        permissions: &Permissions,
        request: Request<'_>,
        finish: Option<Finish>,
    ) -> Result<Outcome, Problem> {
        let invalid = |detail: &str| Err(Problem::new(ProblemCode::PlannerInvalidAnswer, detail));
        match finish {
            None => Ok(Outcome::without_actions()),
            Some(Finish::Text(text)) => answer::read(self, permissions, request, &text),
            Some(Finish::Refusal(reason)) => Ok(Outcome::refused(reason)),
            Some(Finish::CutOff) => invalid("the model's answer was cut off at AI_MAX_OUTPUT_TOKENS"),
            Some(Finish::Empty) => invalid("the model's answer is empty"),
        }
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

/// What is to be planned, and since when.
pub(crate) struct Ask<'a> {
    pub request: Request<'a>,
    pub timezone: Option<&'a str>,
    pub began: Timestamp,
}

/// What the model was asked, and what it said.
pub(crate) struct Asked {
    /// None where nobody was asked.
    pub finish: Option<Finish>,
    pub usage: Usage,
    /// The hash of the schema that the answer was to fit.
    pub schema_sha256: Option<String>,
}

/// A plan before it has an id.
pub(crate) struct Draft {
    pub intent: Intent,
    pub confidence: f64,
    pub actions: Vec<PlannedAction>,
    pub questions: Vec<Question>,
    pub warnings: Vec<Warning>,
    pub notes: Option<String>,
}

impl Draft {
    /// Asks a question once more, and says why its answer cannot be used.
    fn ask_again(&mut self, question: Question, why: &str) {
        self.questions.retain(|open| !open.is_same(&question));
        self.questions.push(Question { text: format!("{why} {}", question.text), ..question });
    }

    fn with_id(self, plan_id: PlanId, request: &RequestHash) -> Plan {
        let Self { intent, confidence, actions, questions, warnings, notes } = self;
        let clarifications: Vec<_> = questions.iter().map(|question| question.with_id(request)).collect();
        let questions = questions.into_iter().map(|question| question.text).collect();
        Plan { plan_id, intent, confidence, actions, questions, clarifications, warnings, notes }
    }
}
