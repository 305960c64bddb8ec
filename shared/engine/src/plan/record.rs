//! Stored plans: sealed in the ledger with the prompt and answer they came from, for execution and replay.

use std::sync::Arc;

use domain::{ActorHash, AuditEvent, Plan, PlanId, WorkspaceId, sha256_hex};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use telemetry::TraceContext;

use crate::{
    Caller, Problem, ProblemCode,
    audit::Auditor,
    execute::RequestedAction,
    ports::{Clock, Finish, Plans, Purpose, StoredPlan, Vault},
};

/// How long a plan can be executed.
const EXECUTABLE_MINUTES: i64 = 15;
/// How long a plan is kept.
const KEPT_HOURS: i64 = 24;

/// A plan with its origin, as it is sealed under the plan's id.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    pub plan: Plan,
    pub actor: Option<ActorHash>,
    pub prompt: String,
    /// The model's answer; none where it was not asked.
    pub answer: Option<Finish>,
    pub schema_sha256: Option<String>,
    /// The catalogue's version.
    pub catalogue: String,
    pub model: String,
    pub tokens_in: u64,
    pub tokens_out: u64,
    pub created_at: Timestamp,
    /// The trace that it was made in.
    pub traceparent: Option<String>,
}

/// Seals, opens and audits stored plans.
pub(crate) struct PlanStore {
    pub(crate) plans: Arc<dyn Plans>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) auditor: Arc<Auditor>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl PlanStore {
    /// Stores a plan.
    pub(super) async fn put(&self, caller: &Caller, record: &Record) -> Result<(), Problem> {
        let text = serde_json::to_vec(record).expect("a plan of valid parts is always JSON");
        let plan_id = record.plan.plan_id;
        let sealed = self.vault.seal(&caller.workspace, Purpose::Plan, &plan_id.to_string(), &text).await?;
        let expires_at = record.created_at + SignedDuration::from_hours(KEPT_HOURS);
        let stored = StoredPlan { plan_id, workspace: caller.workspace.clone(), sealed, expires_at };
        let mut entry = self.auditor.entry_of(caller, AuditEvent::PlanMade);
        entry.plan_id = Some(plan_id);
        entry.actor.clone_from(&record.actor);
        entry.sha256 = Some(sha256_hex(record.prompt.as_bytes()));
        Ok(self.plans.put_plan(&stored, &entry).await?)
    }

    /// A plan of this workspace that has not expired.
    pub(super) async fn get(&self, workspace: &WorkspaceId, id: PlanId) -> Result<Option<Record>, Problem> {
        let Some(stored) = self.plans.plan(workspace, id, self.clock.now()).await? else { return Ok(None) };
        let text = self.vault.open(workspace, Purpose::Plan, &id.to_string(), &stored.sealed).await?;
        let record = serde_json::from_slice(&text).map_err(|error| {
            // Its text may quote the plan.
            let (line, column) = (error.line(), error.column());
            Problem::new(ProblemCode::Internal, format!("a stored plan cannot be read: line {line}, column {column}"))
        })?;
        Ok(Some(record))
    }

    /// The actions of a plan that was shown to this caller, their actor, and the plan's trace. A plan that is too old,
    /// another workspace's or another actor's is not found.
    pub(crate) async fn actions(
        &self,
        caller: &Caller,
        id: PlanId,
        asked: Option<ActorHash>,
    ) -> Result<(Vec<RequestedAction>, ActorHash, Option<TraceContext>), Problem> {
        let gone = || Problem::new(ProblemCode::PlanNotFound, "there is no such plan, or it is older than 15 minutes");
        let record = self.get(&caller.workspace, id).await?.ok_or_else(gone)?;
        let actor = match (record.actor, asked) {
            (Some(planned), Some(asked)) if planned != asked => return Err(gone()),
            (Some(actor), _) | (None, Some(actor)) => actor,
            (None, None) => caller.default_actor.clone(),
        };
        if record.created_at + SignedDuration::from_mins(EXECUTABLE_MINUTES) <= self.clock.now() {
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
