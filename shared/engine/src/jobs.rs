//! Looks jobs up, waits for their end, and lets a caller cancel, retry or resolve them.

use std::{sync::Arc, time::Duration};

use domain::{AuditEvent, Effect, InvalidTransition, Job, JobId, JobStatus, Outcome, Rule, Scope};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    Caller, Problem, ProblemCode,
    accounts::Accounts,
    audit::Auditor,
    catalogue::Catalogue,
    gate::Gate,
    job_store::JobStore,
    limits::allowed,
    ports::{Clock, JobFilter, Outbox, OutboxEntry, Position, Purpose, Save, Sealed, Vault},
};

/// The fields of a result that may be read at rest: no address, no id of the provider.
const OPEN_RESULTS: [&str; 5] = ["via", "content_sha256", "presumed", "outbox", "resolved"];

/// A page of jobs.
#[derive(Debug, Clone)]
pub struct JobPage {
    /// The jobs, newest first.
    pub jobs: Vec<Job>,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
}

/// Looks jobs up; cancels, retries and resolves them.
pub struct JobService {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) jobs: Arc<JobStore>,
    pub(crate) auditor: Arc<Auditor>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) outbox: Arc<dyn Outbox>,
}

impl JobService {
    /// A job of the caller's workspace. Another workspace's job is not found, like one that never was.
    /// The first look of a request counts it.
    async fn look(&self, caller: &Caller, id: JobId) -> Result<Job, Problem> {
        let limit = caller.ticket.take();
        let (cached, decision) = match self.jobs.cache.cached_job(id, limit.as_ref()).await {
            Ok((cached, decision)) => (cached, Ok(decision)),
            Err(error) => (None, Err(error)),
        };
        if limit.is_some() {
            allowed(decision)?;
        }
        if cached.is_some() {
            return own(caller, cached);
        }
        let job = own(caller, self.jobs.ledger.job(id).await?)?;
        self.jobs.cache(std::slice::from_ref(&job)).await;
        Ok(job)
    }

    /// A job of the caller's workspace once it has ended or `patience` is over, whichever is first.
    pub async fn when_ended(&self, caller: &Caller, id: JobId, patience: Duration) -> Result<Job, Problem> {
        let until = self.clock.now() + patience;
        let mut pause = Duration::from_millis(25);
        loop {
            let job = self.look(caller, id).await?;
            let left = until.duration_since(self.clock.now());
            if job.state.has_ended() || !left.is_positive() {
                return Ok(job);
            }
            self.clock.sleep(pause.min(left.unsigned_abs())).await;
            pause = (pause * 2).min(Duration::from_millis(400));
        }
    }

    /// The workspace's jobs, newest first.
    pub async fn list(
        &self,
        caller: &Caller,
        status: Option<JobStatus>,
        after: Option<Position>,
        limit: usize,
    ) -> Result<JobPage, Problem> {
        let workspace = caller.workspace.clone();
        let mut jobs = self.jobs.ledger.list_jobs(&JobFilter { workspace, status, after, limit: limit + 1 }).await?;
        let more = jobs.len() > limit;
        jobs.truncate(limit);
        let last = jobs.last().map(|job| Position { created_at: job.created_at, job_id: job.job_id });
        Ok(JobPage { jobs, next: last.filter(|_| more) })
    }

    /// A completed job's result with its sealed part.
    pub async fn result(&self, job: &Job) -> Result<Option<Value>, Problem> {
        let Some(mut result) = job.result.clone() else { return Ok(None) };
        if let (Some(sealed), Some(fields)) = (&job.sealed_result, result.as_object_mut()) {
            let (sealed, purpose) = (Sealed(sealed.clone()), Purpose::JobResult);
            let rest = self.vault.open_json(&job.workspace_id, purpose, job.job_id, &sealed).await?;
            fields.extend::<Map<_, _>>(rest);
        }
        Ok(Some(result))
    }

    /// What the provider said of a job that it refused, for callers who may see contents.
    pub async fn provider_says(&self, caller: &Caller, job: &Job) -> Result<Option<String>, Problem> {
        match &job.sealed_provider_says {
            Some(sealed) if caller.scopes.contains(&Scope::ActionsPreview) => {
                let (purpose, sealed) = (Purpose::ProviderSays, Sealed(sealed.clone()));
                Ok(Some(self.vault.open_json(&job.workspace_id, purpose, job.job_id, &sealed).await?))
            }
            _ => Ok(None),
        }
    }

    /// What an action does to the world; none if the catalogue has it no more.
    pub fn effect(&self, job: &Job) -> Option<Effect> {
        self.catalogue.find(job.action.as_str()).map(|action| action.spec().effect)
    }

    /// Cancels a job that no worker has claimed.
    pub async fn cancel(&self, caller: &Caller, id: JobId) -> Result<Job, Problem> {
        self.change(caller, id, "only a pending job can be cancelled", Job::cancelled).await
    }

    /// Retries a job that certainly sent nothing.
    pub async fn retry(&self, caller: &Caller, id: JobId) -> Result<Job, Problem> {
        let says = "only a job that ended in a retriable error, with its contents still kept, can be retried";
        let known = own(caller, self.jobs.ledger.job(id).await?)?;
        let retriable = known.error.as_ref().is_some_and(|error| error.retriable);
        if !retriable || self.jobs.ledger.contents(id).await?.is_none() {
            return Err(Problem::new(ProblemCode::JobNotRetriable, says));
        }
        let rules = self.retry_rules(caller, &known).await;
        let rules = self.auditor.audited(caller, AuditEvent::RetryRefused, rules).await?;
        let retried = |job: &Job, now| Ok(Job { allowed_by: rules.clone(), ..job.retried(now)? });
        let job = self.change(caller, id, says, retried).await?;
        self.jobs.enqueue(std::slice::from_ref(&job), Duration::ZERO).await;
        Ok(job)
    }

    /// A retry needs the permission to run the action. The worker checks the recipients, which it can open.
    async fn retry_rules(&self, caller: &Caller, job: &Job) -> Result<Vec<Rule>, Problem> {
        if caller.bound_actor.as_ref().is_some_and(|bound| *bound != job.actor) {
            let detail = "the credential acts for another actor than the job";
            return Err(Problem::new(ProblemCode::ActorMismatch, detail).by_rule(Rule::Key));
        }
        self.gate.permissions(caller).await?.can_execute(&job.action).map_err(|rule| {
            let detail = format!("{} is not allowed here", job.action);
            Problem::new(ProblemCode::ActionNotAllowed, detail).by_rule(rule)
        })
    }

    /// Records the outcome that a person found out.
    pub async fn resolve(&self, caller: &Caller, id: JobId, outcome: Outcome) -> Result<Job, Problem> {
        let says = "only a job whose outcome is unknown can be resolved";
        self.change(caller, id, says, |job, now| job.resolved(outcome, now)).await
    }

    /// The caller's outbox, newest first, opened.
    pub async fn outbox(&self, caller: &Caller) -> Result<Vec<(OutboxEntry, Value)>, Problem> {
        let mut opened = Vec::new();
        for entry in self.outbox.outbox(&caller.workspace, 100).await? {
            let id = entry.job_id;
            let params = self.vault.open_json(&caller.workspace, Purpose::Outbox, id, &entry.sealed).await?;
            opened.push((entry, params));
        }
        Ok(opened)
    }

    /// Writes a transition that a caller asked for, over whatever version is there now.
    async fn change(
        &self,
        caller: &Caller,
        id: JobId,
        says: &str,
        transition: impl Fn(&Job, Timestamp) -> Result<Job, InvalidTransition>,
    ) -> Result<Job, Problem> {
        loop {
            let job = own(caller, self.jobs.ledger.job(id).await?)?;
            let mut next = transition(&job, self.clock.now()).map_err(|invalid| {
                let status = invalid.state.status().as_str();
                Problem::new(ProblemCode::JobNotRetriable, format!("the job is {status}: {says}"))
            })?;
            next.key_id.clone_from(&caller.key_id);
            // Each round means that another process made progress, which ends with the job.
            if self.jobs.ledger.save(&next).await? == Save::Done {
                self.jobs.cache(std::slice::from_ref(&next)).await;
                return Ok(next);
            }
        }
    }
}

pub(crate) fn own(caller: &Caller, job: Option<Job>) -> Result<Job, Problem> {
    job.filter(|job| job.workspace_id == caller.workspace)
        .ok_or_else(|| Problem::new(ProblemCode::JobNotFound, "there is no such job in this workspace"))
}

/// Takes a result apart: the part that may be read at rest, and the rest, sealed. If nothing can be sealed now, the
/// rest is left out, since the job is done all the same.
pub(crate) async fn seal_result(vault: &dyn Vault, job: &Job, result: Value) -> (Value, Option<String>) {
    let Value::Object(fields) = result else { return (result, None) };
    let (open, rest): (Map<_, _>, Map<_, _>) =
        fields.into_iter().partition(|(name, _)| OPEN_RESULTS.contains(&name.as_str()));
    let sealed = vault.seal_json(&job.workspace_id, Purpose::JobResult, job.job_id, &rest).await.inspect_err(|error| {
        tracing::warn!(%error, job.id = %job.job_id, "the sending address and the provider's ids are not recorded");
    });
    (Value::Object(open), sealed.ok().map(|Sealed(text)| text))
}
