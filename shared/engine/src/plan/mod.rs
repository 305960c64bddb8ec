//! From a sentence to a plan: ask the model, validate what it says, ground every address in the
//! prompt, seal the plan for its execution.

mod answer;
mod budget;
mod content;
mod instructions;
mod lookups;
mod record;
mod replay;
mod request;
mod resolve;
mod schema;
mod send_at;
mod sentence;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use domain::{
    ActionId, ActorHash, Answered, AuditEvent, ClarificationKind, Intent, Lookup, LookupId, Plan, PlanId, PlanStatus,
    PlannedAction, Question, RequestHash, Warning, WarningCode, WorkspaceId,
};
use futures_util::future::{join, try_join_all};
use jiff::{SignedDuration, Timestamp};
use lookups::is_about_lookup;
use record::{Origin, Record, questions_id};
use telemetry::{
    labels::PlannerStatus,
    names::{PLANNER_DURATION, PLANNER_REQUESTS, PLANNER_TOKENS},
};

pub use self::replay::{Difference, Replay};
pub use self::request::{GivenAnswer, PlanRequest};
pub use self::resolve::Resolver;
pub use self::schema::plan_schema;
pub(crate) use self::{instructions::Briefings, lookups::Findings, record::PlanStore, request::Request};
use crate::{
    Caller, Problem, ProblemCode,
    accounts::Accounts,
    approval::ApprovalRules,
    audit::Auditor,
    catalogue::Catalogue,
    gate::{Gate, Permissions},
    limits::{RateLimiter, Ticket},
    ports::{Action, Answer, Budget, Call, Clock, Finish, Ids, Model, ModelError, ModelRequest, Reservation, Usage},
    warnings::{Lookout, Proposal},
};

/// How long planning may take in all, a second try included: an HTTP API on AWS waits 30 s.
const PATIENCE: SignedDuration = SignedDuration::from_secs(25);
/// How much of that a fallback model gets at least: most plans take less.
const FALLBACK_PATIENCE: SignedDuration = SignedDuration::from_secs(10);
/// What remains of a request's time after its planning, to settle, write the plan and answer.
const RESERVE: SignedDuration = SignedDuration::from_secs(4);
/// The most bytes of a request's context.
const MAX_CONTEXT_BYTES: usize = 32 * 1024;
/// A second try with less time than this would not come to an answer.
const WORTH_A_TRY: Duration = Duration::from_secs(2);
/// How much of the catalogue's version is kept with a plan.
const CATALOGUE_DIGITS: usize = 8;
/// The most characters that a model is told of what was wrong with its answer.
const MAX_WRONG: usize = 300;

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
    /// What its endpoint was asked another way than usual.
    pub adjusted: Vec<&'static str>,
}

/// What a model said, and the plan that it comes to.
pub(crate) struct Asked {
    /// The model that was asked last.
    pub model: Arc<dyn Model>,
    /// The answer; none where the model was not asked.
    pub answer: Option<Answer>,
    pub draft: Result<Draft, Problem>,
}

/// Why there is no answer: the model gave none, or it was not asked.
pub(crate) enum Unanswered {
    Model(ModelError),
    Problem(Problem),
}

impl From<ModelError> for Unanswered {
    fn from(error: ModelError) -> Self {
        Self::Model(error)
    }
}

impl From<Problem> for Unanswered {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Turns a prompt into a plan, and replays plans.
pub struct Planner {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) auditor: Arc<Auditor>,
    pub(crate) limiter: Arc<RateLimiter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) tokens_per_minute: u64,
    pub(crate) prompt_bytes: usize,
    pub(crate) briefings: Briefings,
    pub(crate) model: Arc<dyn Model>,
    pub(crate) fallback_model: Option<Arc<dyn Model>>,
    pub(crate) budget: Arc<dyn Budget>,
    pub(crate) plans: Arc<PlanStore>,
    pub(crate) lookout: Arc<Lookout>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) approval: Arc<ApprovalRules>,
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
        PLANNER_REQUESTS.count(&[status.into()]);
        PLANNER_DURATION.observe(&[status.into()], duration);
        let (planned, _) = self.auditor.audited(caller, AuditEvent::PlanRefused, planned).await?;
        Ok(Planned { duration, ..planned })
    }

    async fn try_plan(
        &self,
        caller: &Caller,
        mut request: PlanRequest,
        began: Timestamp,
    ) -> Result<(Planned, PlannerStatus), Problem> {
        caller.workspace_of(request.workspace_id.as_deref())?;
        let actor = caller.actor_of(request.actor_id)?;
        request.context = request.context.filter(|context| !context.trim().is_empty());
        if request.context.as_ref().is_some_and(|context| context.len() > MAX_CONTEXT_BYTES) {
            return Err(Problem::invalid("/context", format!("must be at most {MAX_CONTEXT_BYTES} bytes")));
        }
        let hash = RequestHash::of(&request.prompt, request.context.as_deref());
        let answered = self.answered(&caller.workspace, &hash, request.answers, false).await?;
        let permissions = self.gate.permissions(caller).await?;
        let mut origin = Origin {
            actor,
            prompt: request.prompt,
            context: request.context,
            answers: answered.usable,
            timezone: request.timezone,
            ..Origin::default()
        };
        let asks = Request { deadline: request.deadline, ..origin.request(began) };
        let Asked { model, answer, draft } =
            self.ask_for_plan(&caller.workspace, &permissions, asks, &caller.ticket).await?;
        let draft = draft?;
        let adjusted = if answer.is_some() { model.adjusted() } else { Vec::new() };
        let (usage, finish) = answer.map(|answer| (answer.usage, Some(answer.finish))).unwrap_or_default();
        model.name().clone_into(&mut origin.model);
        (origin.answer, origin.tokens_in, origin.tokens_out) = (finish, usage.input, usage.output);
        origin.traceparent = request.trace.map(|trace| trace.to_string());
        let (record, status) = self.keep(caller, &permissions, origin, began, draft, answered.unusable).await?;
        let Record { plan, origin, .. } = record;
        Ok((Planned { plan, model: origin.model, duration: Duration::ZERO, usage, adjusted }, status))
    }

    /// Looks a draft over, makes it a plan, and stores that.
    async fn keep(
        &self,
        caller: &Caller,
        permissions: &Permissions,
        origin: Origin,
        made_at: Timestamp,
        mut draft: Draft,
        unusable: Vec<(Question, String)>,
    ) -> Result<(Record, PlannerStatus), Problem> {
        let draft_only = permissions.is_draft_only();
        if draft_only {
            self.must_leave_drafts(&caller.workspace, &draft.actions).await?;
        }
        let bound_actor = caller.bound_actor.as_ref();
        let asks = origin.request(made_at);
        draft.warnings = self.look_over(&caller.workspace, bound_actor, asks, &draft.actions, draft_only).await?;
        // Stored without the reasons, which belong to this request only.
        let mut questions = draft.questions.clone();
        for (question, why) in unusable {
            if !questions.iter().any(|asked| asked.is_same(&question)) {
                questions.push(question.clone());
            }
            draft.ask_again(question, &why);
        }
        let status = draft.status;
        let hash = RequestHash::of(&origin.prompt, origin.context.as_deref());
        let plan = draft.with_id(PlanId(self.ids.uuid()), &hash, draft_only);
        tracing::info!(plan.id = %plan.plan_id, plan.actions = plan.actions.len(), plan.status = <&str>::from(status), "planned");
        // Its beginning tells whether it has changed.
        let catalogue = self.catalogue.version().chars().take(CATALOGUE_DIGITS).collect();
        let record = Record { plan, catalogue, created_at: made_at, origin };
        self.plans.put(caller, &record, &hash, questions).await?;
        Ok((record, status))
    }

    /// Refuses a plan of drafts in an account that lacks the scope for them.
    async fn must_leave_drafts(&self, workspace: &WorkspaceId, actions: &[Proposed]) -> Result<(), Problem> {
        for Proposed { planned, .. } in actions {
            let Some(action) = self.catalogue.find(planned.action.as_str()) else { continue };
            let connection = self.accounts.known(workspace, planned.provider).await?;
            let provider = self.catalogue.provider(planned.provider);
            if let Some(problem) = action.spec().lacks_draft_scope(provider, &connection, true) {
                return Err(Problem { errors: Vec::new(), ..problem });
            }
        }
        Ok(())
    }

    /// What a person should know of planned actions.
    async fn look_over(
        &self,
        workspace: &WorkspaceId,
        bound_actor: Option<&ActorHash>,
        request: Request<'_>,
        actions: &[Proposed],
        draft_only: bool,
    ) -> Result<Vec<Warning>, Problem> {
        let words = record::words(request.prompt, request.answers);
        let found = actions.iter().enumerate().map(async |(place, Proposed { planned, call, .. })| {
            let Some(action) = self.catalogue.find(planned.action.as_str()) else { return Ok(Vec::new()) };
            let words = Some(words.as_str());
            let (action, call) = (&**action, &**call);
            let proposal = Proposal { workspace, bound_actor, action, call, words, job: None, draft_only };
            let mut found = self.lookout.warnings(proposal).await?;
            // Whether it was done before is known with its recipients.
            found.retain(|warning| !(warning.code == WarningCode::Duplicate && planned.is_unresolved()));
            let under = |warning: Warning| warning.under(&format!("/actions/{place}/params"));
            Ok::<_, Problem>(found.into_iter().map(under).collect::<Vec<_>>())
        });
        Ok(try_join_all(found).await?.concat())
    }

    /// The answers with the questions that they belong to; and the questions whose answers cannot be used, with the
    /// reasons. An answer to a question that was not asked about this request is an error. What was found in an account is
    /// compared, and told, only where the caller `may_read` it: else such an answer is kept as it is.
    async fn answered(
        &self,
        workspace: &WorkspaceId,
        request: &RequestHash,
        given: Vec<GivenAnswer>,
        may_read: bool,
    ) -> Result<GivenAnswers, Problem> {
        let mut answers = GivenAnswers::default();
        if given.is_empty() {
            return Ok(answers);
        }
        let open: Vec<Question> =
            self.plans.open(workspace, questions_id(workspace, request)).await?.unwrap_or_default();
        for (place, GivenAnswer { id, value }) in given.iter().enumerate() {
            let pointer = format!("/answers/{place}/id");
            if given[..place].iter().any(|earlier| earlier.id == *id) {
                return Err(Problem::invalid(&pointer, "was answered before in this request; give one answer"));
            }
            let Some(question) = open.iter().find(|question| question.id(request) == *id) else {
                let detail = "is not the id of an open question about this prompt; plan again without it";
                return Err(Problem::invalid(&pointer, detail));
            };
            let is_choice = question.kind == ClarificationKind::Choice;
            let is_hidden = is_choice && is_about_lookup(question) && !may_read;
            match question.usable(value) {
                Err(why) if !is_hidden => answers.unusable.push((question.clone(), why)),
                _ => answers.usable.push(Answered { question: question.clone(), value: value.clone() }),
            }
        }
        Ok(answers)
    }

    /// Asks the model for a plan, within the budget and the rate limits. Where nothing is allowed, it is not asked.
    pub(crate) async fn ask_for_plan(
        &self,
        workspace: &WorkspaceId,
        permissions: &Permissions,
        asks: Request<'_>,
        ticket: &Ticket,
    ) -> Result<Asked, Problem> {
        let Request { prompt, context, .. } = asks;
        if prompt.trim().is_empty() {
            return Err(Problem::invalid("/prompt", "must say what to do"));
        }
        let now = asks.now()?;
        let actions = self.catalogue.iter().map(|action| &**action);
        let actions: Vec<&dyn Action> =
            actions.filter(|action| permissions.allow(&action.spec().action_id())).collect();
        if actions.is_empty() {
            self.limiter.charge(ticket).await?;
            let (model, draft) = (self.model.clone(), self.understand(permissions, asks, None));
            return Ok(Asked { model, answer: None, draft });
        }
        let answers = asks.told();
        let briefing = self.briefings.of(&actions);
        let request = ModelRequest {
            instructions: briefing.instructions(&now),
            prompt: prompt.to_owned(),
            message: instructions::message(prompt, &answers, context, None),
            answers,
            schema: Arc::clone(&briefing.schema),
            actions: actions.iter().map(|action| action.spec().action_id()).collect::<Vec<ActionId>>(),
            timeout: PATIENCE.unsigned_abs(),
        };
        // Side by side: counting the request costs no time of its own.
        let reserve = self.reserve(&*self.model, workspace, &request);
        let (charged, reserved) = join(self.limiter.charge(ticket), reserve).await;
        if let Err(refused) = charged {
            self.settle(reserved.ok().flatten(), Some(0)).await;
            return Err(refused);
        }
        let asked = self.ask_either(workspace, permissions, asks, &request, reserved).await;
        asked.map_err(|unanswered| match unanswered {
            Unanswered::Model(error) => problem_of(&error),
            Unanswered::Problem(problem) => problem,
        })
    }

    /// Asks the model, and the fallback model, if there is one, while the first is unreachable or busy. If the fallback does
    /// not answer either, the first error stands.
    async fn ask_either(
        &self,
        workspace: &WorkspaceId,
        permissions: &Permissions,
        asks: Request<'_>,
        request: &ModelRequest,
        reserved: Result<Option<Reservation>, Unanswered>,
    ) -> Result<Asked, Unanswered> {
        let mut end = asks.began + PATIENCE;
        if let Some(deadline) = asks.deadline {
            end = end.min(deadline - RESERVE);
        }
        let until = if self.fallback_model.is_some() { end - FALLBACK_PATIENCE } else { end };
        let turn = |model, until| Turn { model, workspace, permissions, asks, until };
        let first = match reserved {
            Ok(reserved) => {
                let asked = self.ask_twice(&turn(&self.model, until), request.clone(), reserved).await;
                asked.map_err(Unanswered::from)
            }
            Err(held) => Err(held),
        };
        let (Err(Unanswered::Model(error)), Some(fallback)) = (&first, &self.fallback_model) else { return first };
        if !error.is_outage() {
            return first;
        }
        tracing::warn!(%error, model.fallback = fallback.name(), "the fallback model is asked");
        let Ok(reserved) = self.reserve(&**fallback, workspace, request).await else { return first };
        match self.ask_twice(&turn(fallback, end), request.clone(), reserved).await {
            Ok(asked) => Ok(asked),
            Err(error) => {
                tracing::warn!(%error, "the fallback model did not answer either");
                first
            }
        }
    }

    /// Asks the model, and once more if it certainly did not answer, or not with a plan. Where time or tokens do not allow
    /// a second try, the first stands.
    async fn ask_twice(
        &self,
        turn: &Turn<'_>,
        mut request: ModelRequest,
        reserved: Option<Reservation>,
    ) -> Result<Asked, ModelError> {
        let left = || turn.until.duration_since(self.clock.now()).max(SignedDuration::ZERO).unsigned_abs();
        request.timeout = left();
        let first = self.ask(turn, &request, reserved).await;
        let is_in_time = left() >= WORTH_A_TRY;
        match &first {
            Ok(Asked { answer: Some(Answer { finish: Finish::Text(_), .. }), draft: Err(problem), .. })
                if is_in_time =>
            {
                tracing::warn!(problem.detail, "the model is asked once more: its answer cannot be used");
                let wrong = problem.errors.first().map(|wrong| format!("{}: {}", wrong.pointer, wrong.detail));
                let wrong: String = answer::shown(&wrong.unwrap_or_default()).chars().take(MAX_WRONG).collect();
                let Request { prompt, context, .. } = turn.asks;
                request.message = instructions::message(prompt, &request.answers, context, Some(&wrong));
            }
            Err(error @ ModelError::Unreachable(_)) if is_in_time => {
                tracing::warn!(%error, "the model is asked once more");
                self.clock.sleep(Duration::from_millis(200).mul_f64(1.0 + self.ids.fraction())).await;
            }
            _ => return first,
        }
        let Ok(reserved) = self.reserve(&**turn.model, turn.workspace, &request).await else { return first };
        request.timeout = left();
        let second = self.ask(turn, &request, reserved).await;
        match (first, second) {
            (Ok(first), Ok(mut second)) => {
                if let (Some(Answer { usage, .. }), Some(first)) = (&mut second.answer, first.answer) {
                    usage.input = usage.input.saturating_add(first.usage.input);
                    usage.output = usage.output.saturating_add(first.usage.output);
                }
                Ok(second)
            }
            (Ok(first), Err(error)) => {
                tracing::warn!(%error, "the model did not answer the second time");
                Ok(first)
            }
            (Err(_), second) => second,
        }
    }

    /// Asks the model, counts what that cost, and reads its answer.
    async fn ask(
        &self,
        turn: &Turn<'_>,
        request: &ModelRequest,
        reserved: Option<Reservation>,
    ) -> Result<Asked, ModelError> {
        let asked = turn.model.ask(request).await;
        self.settle(reserved, budget::used(&asked)).await;
        let answer = self.hold(&**turn.model, asked).await?;
        PLANNER_TOKENS.add(&["input"], answer.usage.input);
        PLANNER_TOKENS.add(&["output"], answer.usage.output);
        let draft = self.understand(turn.permissions, turn.asks, Some(answer.finish.clone()));
        Ok(Asked { model: turn.model.clone(), answer: Some(answer), draft })
    }

    /// What an answer comes to, by today's rules; none is what there is where nothing is allowed.
    pub(crate) fn understand(
        &self,
        permissions: &Permissions,
        request: Request<'_>,
        finish: Option<Finish>,
    ) -> Result<Draft, Problem> {
        let invalid = |detail: &str| Err(Problem::new(ProblemCode::PlannerInvalidAnswer, detail));
        match finish {
            None => {
                let notes = "No action is allowed here, so nothing can be planned.".to_owned();
                Ok(Draft::without_actions(Some(notes)))
            }
            Some(Finish::Text(text)) => answer::read(self, permissions, request, &text),
            Some(Finish::Refusal(reason)) => {
                let reason = reason.map(|reason| answer::shown(&reason)).filter(|reason| !reason.is_empty());
                let notes = reason.unwrap_or_else(|| "The model declined to plan this request.".to_owned());
                Ok(Draft { status: PlannerStatus::Refused, ..Draft::without_actions(Some(notes)) })
            }
            Some(Finish::CutOff) => invalid("the model's answer was cut off: raise AI_MAX_OUTPUT_TOKENS"),
            Some(Finish::Empty) => invalid("the model's answer is empty"),
        }
    }
}

/// What a caller is told when the model gave no answer.
fn problem_of(error: &ModelError) -> Problem {
    let (code, retry_after) = match error {
        ModelError::TooLong => {
            let more = "shorten the prompt or its context, lower AI_MAX_OUTPUT_TOKENS, or choose another AI_MODEL";
            return budget::too_large(&format!("{error}; {more}"));
        }
        ModelError::Unreadable(_) => (ProblemCode::PlannerInvalidAnswer, None),
        ModelError::Busy(after) => (ProblemCode::PlannerUnavailable, *after),
        _ => (ProblemCode::PlannerUnavailable, None),
    };
    let is_final = matches!(error, ModelError::Refused(_));
    Problem { retry_after, is_final, ..Problem::new(code, error.to_string()) }
}

/// A model's turn to answer a request.
#[derive(Clone, Copy)]
struct Turn<'a> {
    model: &'a Arc<dyn Model>,
    workspace: &'a WorkspaceId,
    permissions: &'a Permissions,
    asks: Request<'a>,
    /// When its time is over.
    until: Timestamp,
}

/// The answers of a request.
#[derive(Default)]
struct GivenAnswers {
    usable: Vec<Answered>,
    /// Questions whose answers cannot be used, with the reasons.
    unusable: Vec<(Question, String)>,
}

/// A planned action with its call.
pub(crate) struct Proposed {
    pub planned: PlannedAction,
    /// The action as it would be carried out; one that refers to lookups shows what is known of it.
    pub call: Box<dyn Call>,
    /// The lookups that it refers to.
    pub lookups: BTreeSet<LookupId>,
}

/// A plan before it has an id.
pub(crate) struct Draft {
    pub intent: Intent,
    pub confidence: f64,
    pub lookups: Vec<Lookup>,
    pub actions: Vec<Proposed>,
    pub questions: Vec<Question>,
    pub warnings: Vec<Warning>,
    pub notes: Option<String>,
    pub status: PlannerStatus,
}

impl Draft {
    fn without_actions(notes: Option<String>) -> Self {
        Self {
            intent: Intent::from_words(""),
            confidence: 0.0,
            lookups: Vec::new(),
            actions: Vec::new(),
            questions: Vec::new(),
            warnings: Vec::new(),
            notes,
            status: PlannerStatus::NoAction,
        }
    }

    /// Asks a question once more, and says why its answer cannot be used.
    fn ask_again(&mut self, question: Question, why: &str) {
        self.questions.retain(|open| !open.is_same(&question));
        self.questions.push(Question { text: format!("{why} {}", question.text), ..question });
        self.status = PlannerStatus::Questions;
    }

    fn with_id(self, plan_id: PlanId, request: &RequestHash, draft_only: bool) -> Plan {
        let Self { intent, confidence, lookups, actions, questions, warnings, notes, status: _ } = self;
        let clarifications: Vec<_> = questions.iter().map(|question| question.with_id(request)).collect();
        let questions = questions.into_iter().map(|question| question.text).collect();
        let actions: Vec<PlannedAction> = actions.into_iter().map(|proposed| proposed.planned).collect();
        let is_unresolved = actions.iter().any(PlannedAction::is_unresolved);
        let status = if is_unresolved { PlanStatus::Unresolved } else { PlanStatus::Ready };
        Plan {
            plan_id,
            status,
            intent,
            confidence,
            lookups,
            actions,
            questions,
            clarifications,
            warnings,
            notes,
            draft_only,
        }
    }
}
