//! Stored plans: sealed in the ledger with the prompt and answer they came from, for execution and replay.

use std::sync::Arc;

use domain::{
    ActorHash, Answered, AuditEvent, Moment, Plan, PlanId, PlanStatus, Question, RequestHash, Rule, WorkspaceId,
    hashed_uuid, sha256_hex,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use telemetry::TraceContext;

use super::{lookups::Findings, request::Request};
use crate::{
    Caller, Problem, ProblemCode,
    audit::Auditor,
    catalogue::RequestedAction,
    jobs::not_allowed,
    ports::{Clock, Finish, Plans, Purpose, StoredPlan, Vault},
};

/// How long a plan can be executed.
const EXECUTABLE_MINUTES: i64 = 15;
/// How long a plan is kept.
const KEPT_HOURS: i64 = 24;

/// The most questions about one request that are kept open.
const MAX_OPEN_QUESTIONS: usize = 50;

/// A plan with its origin, as it is sealed under the plan's id.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    pub plan: Plan,
    /// The beginning of the catalogue's version.
    pub catalogue: String,
    pub created_at: Timestamp,
    #[serde(flatten)]
    pub origin: Origin,
}

/// What a plan was made of. What is not there is left out: a record of up to 1 KB costs less.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Origin {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<ActorHash>,
    pub prompt: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answered>,
    /// The time zone of times in the prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// When it was asked for, if the plan was made later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// The model's answer; none where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Finish>,
    /// What was found in the account.
    #[serde(default, skip_serializing_if = "Findings::is_empty")]
    pub findings: Findings,
    pub model: String,
    pub tokens_in: u64,
    pub tokens_out: u64,
    /// The trace that it was made in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

impl Origin {
    /// The request, as an answer is read beside it.
    pub fn request(&self, made_at: Timestamp) -> Request<'_> {
        Request {
            prompt: &self.prompt,
            context: self.context.as_deref(),
            answers: &self.answers,
            findings: &self.findings,
            timezone: self.timezone.as_deref(),
            began: self.asked_at.unwrap_or(made_at),
            deadline: None,
        }
    }
}

/// Seals, opens and audits stored plans.
pub(crate) struct PlanStore {
    pub(crate) auditor: Arc<Auditor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) plans: Arc<dyn Plans>,
}

impl PlanStore {
    /// Stores a plan, and with it the questions that are open about its request: those of earlier plans stay open.
    pub(super) async fn put(
        &self,
        caller: &Caller,
        record: &Record,
        request: &RequestHash,
        questions: Vec<Question>,
    ) -> Result<(), Problem> {
        let plan_id = record.plan.plan_id;
        let expires_at = record.created_at + SignedDuration::from_hours(KEPT_HOURS);
        let mut stored = vec![self.sealed(&caller.workspace, plan_id, record, expires_at).await?];
        if !questions.is_empty() {
            let id = questions_id(&caller.workspace, request);
            let mut open: Vec<Question> = self.open(&caller.workspace, id).await?.unwrap_or_default();
            open.retain(|open| !questions.iter().any(|question| question.is_same(open)));
            open.extend(questions);
            let oldest = open.len().saturating_sub(MAX_OPEN_QUESTIONS);
            stored.push(self.sealed(&caller.workspace, id, &open[oldest..], expires_at).await?);
        }
        let mut entry = self.auditor.entry_of(caller, AuditEvent::PlanMade);
        entry.plan_id = Some(plan_id);
        entry.actor.clone_from(&record.origin.actor);
        entry.sha256 = Some(sha256_hex(record.origin.prompt.as_bytes()));
        Ok(self.plans.put_plans(&stored, &entry).await?)
    }

    async fn sealed(
        &self,
        workspace: &WorkspaceId,
        plan_id: PlanId,
        value: &(impl Serialize + ?Sized),
        expires_at: Timestamp,
    ) -> Result<StoredPlan, Problem> {
        let sealed = self.vault.seal_json(workspace, Purpose::Plan, plan_id, value).await?;
        Ok(StoredPlan { plan_id, workspace: workspace.clone(), sealed, expires_at })
    }

    /// What lies under this id in this workspace, unless it has expired: a plan, or open questions.
    pub(super) async fn open<T: DeserializeOwned>(
        &self,
        workspace: &WorkspaceId,
        id: PlanId,
    ) -> Result<Option<T>, Problem> {
        let Some(stored) = self.plans.plan(workspace, id, self.clock.now()).await? else { return Ok(None) };
        Ok(Some(self.vault.open_json(workspace, Purpose::Plan, id, &stored.sealed).await?))
    }

    /// A plan of this workspace with its origin, while it is kept. For a caller that is bound to an actor, another actor's
    /// plan is not there; one that was made for no actor is, for whoever has its id. Like jobs, plans with other actions than a
    /// narrowed key's are refused.
    async fn record(&self, caller: &Caller, id: PlanId) -> Result<Option<Record>, Problem> {
        let record: Option<Record> = self.open(&caller.workspace, id).await?;
        let is_known = |record: &Record| record.origin.actor.as_ref().is_none_or(|actor| caller.is_for(actor));
        let record = record.filter(is_known);
        let mut actions = record.iter().flat_map(|record| &record.plan.actions);
        match actions.find(|planned| !caller.covers(&planned.action)) {
            Some(planned) => Err(not_allowed(&planned.action, Rule::Key)),
            None => Ok(record),
        }
    }

    /// A plan while it is kept, and the person's own words that it was made from.
    pub(crate) async fn kept(&self, caller: &Caller, id: PlanId) -> Result<(Plan, String), Problem> {
        let Record { plan, origin, .. } = self.record(caller, id).await?.ok_or_else(not_kept)?;
        Ok((plan, words(&origin.prompt, &origin.answers)))
    }

    /// A plan that can be carried out, or could if it were resolved. One that is too old, another workspace's or another
    /// actor's is not found.
    pub(super) async fn living(&self, caller: &Caller, id: PlanId) -> Result<Record, Problem> {
        let now = self.clock.now();
        let lives = |record: &Record| now < record.created_at + SignedDuration::from_mins(EXECUTABLE_MINUTES);
        self.record(caller, id).await?.filter(lives).ok_or_else(not_living)
    }

    /// The actions of a plan that was shown to this caller, their actor, whether it was draft-only, and the plan's trace.
    pub(crate) async fn actions(
        &self,
        caller: &Caller,
        id: PlanId,
        asked: Option<ActorHash>,
    ) -> Result<(Vec<RequestedAction>, ActorHash, bool, Option<TraceContext>), Problem> {
        let Record { plan, origin, .. } = self.living(caller, id).await?;
        let actor = match (origin.actor, asked) {
            (Some(planned), Some(asked)) if planned != asked => return Err(not_living()),
            (Some(actor), _) | (None, Some(actor)) => actor,
            (None, None) => caller.default_actor.clone(),
        };
        if plan.status == PlanStatus::Unresolved {
            let detail = "something in the plan has to be looked up first: POST /ai/plans/{plan_id}/resolve";
            return Err(Problem::at(ProblemCode::PlanUnresolved, "/plan_id", detail));
        }
        if plan.actions.is_empty() {
            let detail = "names a plan without actions; answer its questions and plan again";
            return Err(Problem::invalid("/plan_id", detail));
        }
        let actions = plan.actions.into_iter().map(|action| RequestedAction {
            sources: action.sources(),
            provider: Some(action.provider.to_string()),
            action: action.action.to_string(),
            params: action.params,
            client_request_id: Some(action.client_request_id),
            send_at: action.send_at.map(Moment::send_at),
            recipients: None,
        });
        let trace = origin.traceparent.as_deref().and_then(TraceContext::read);
        Ok((actions.collect(), actor, plan.draft_only, trace))
    }
}

pub(super) fn not_kept() -> Problem {
    Problem::new(ProblemCode::PlanNotFound, "there is no such plan, or it is older than 24 hours")
}

fn not_living() -> Problem {
    Problem::new(ProblemCode::PlanNotFound, "there is no such plan, or it is older than 15 minutes")
}

/// The person's own words: the prompt, and the answers in words.
pub(super) fn words(prompt: &str, answers: &[Answered]) -> String {
    let answers = answers.iter().filter_map(|answered| answered.value.text());
    std::iter::once(prompt).chain(answers).collect::<Vec<_>>().join("\n")
}

/// Where the open questions of a request lie: a UUID made of its hash (RFC 9562, version 8), which no plan can have.
pub(super) fn questions_id(workspace: &WorkspaceId, request: &RequestHash) -> PlanId {
    PlanId(hashed_uuid(format!("{workspace}\n{}", request.as_str()).as_bytes()))
}
