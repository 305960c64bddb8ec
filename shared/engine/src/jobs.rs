//! Looks jobs up, waits for their end, and lets a caller cancel, retry or resolve them.

use std::time::Duration;

use domain::{AuditEvent, InvalidTransition, Job, JobId, JobStatus, Outcome, Rule, WorkspaceId};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    Caller, Engine, JobMessage, Problem, ProblemCode,
    limits::passed,
    ports::{JobFilter, OutboxEntry, Position, Purpose, QueuedMessage, Save, Sealed, Toll},
};

/// What of a result may be read at rest: no address, no id of the provider.
const OPEN_RESULTS: [&str; 5] = ["via", "content_sha256", "presumed", "outbox", "resolved"];

/// A page of jobs.
#[derive(Debug, Clone)]
pub struct JobPage {
    /// The jobs, newest first.
    pub jobs: Vec<Job>,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
}

impl Engine {
    /// A job of the caller's workspace. Another workspace's job is not found, like one that never was.
    async fn look(&self, caller: &Caller, id: JobId, toll: Option<Toll>) -> Result<Job, Problem> {
        match self.cache.job(id, toll.as_ref()).await {
            Ok((kept, passage)) => {
                passed(Ok(passage))?;
                if kept.is_some() {
                    return own(caller, kept);
                }
            }
            Err(error) if toll.is_some() => passed(Err(error))?,
            Err(_) => {}
        }
        let job = own(caller, self.ledger_job(id).await?)?;
        // A cache that cannot be written only makes the next look slower.
        let _ = self.cache.put_jobs(std::slice::from_ref(&job)).await;
        Ok(job)
    }

    /// A job of the caller's workspace once it has ended or `patience` is over, whichever is first. It is one
    /// request, however often it looks.
    pub async fn job_when_ended(&self, caller: &Caller, id: JobId, patience: Duration) -> Result<Job, Problem> {
        let until = self.clock.now() + jiff::SignedDuration::try_from(patience).unwrap_or_default();
        let mut pause = Duration::from_millis(25);
        let mut toll = self.toll(caller);
        loop {
            let job = self.look(caller, id, toll.take()).await?;
            let left = until.duration_since(self.clock.now());
            if job.state.has_ended() || !left.is_positive() {
                return Ok(job);
            }
            self.clock.sleep(pause.min(left.unsigned_abs())).await;
            pause = (pause * 2).min(Duration::from_millis(400));
        }
    }

    /// The workspace's jobs, newest first.
    pub async fn list_jobs(
        &self,
        caller: &Caller,
        status: Option<JobStatus>,
        after: Option<Position>,
        limit: usize,
    ) -> Result<JobPage, Problem> {
        let workspace = caller.workspace.clone();
        let mut jobs = self.ledger.list_jobs(&JobFilter { workspace, status, after, limit: limit + 1 }).await?;
        let more = jobs.len() > limit;
        jobs.truncate(limit);
        let last = jobs.last().map(|job| Position { created_at: job.created_at, job_id: job.job_id });
        Ok(JobPage { jobs, next: last.filter(|_| more) })
    }

    /// A completed job's result with what is sealed of it, opened.
    pub async fn result(&self, job: &Job) -> Result<Option<Value>, Problem> {
        let Some(mut result) = job.result.clone() else { return Ok(None) };
        if let (Some(sealed), Some(fields)) = (&job.sealed_result, result.as_object_mut()) {
            let sealed = Sealed(sealed.clone());
            let id = job.job_id.to_string();
            let text = self.vault.open(&job.workspace_id, Purpose::JobResult, &id, &sealed).await?;
            let rest: Map<String, Value> = serde_json::from_slice(&text)
                .map_err(|error| Problem::new(ProblemCode::Internal, format!("a result is not JSON: {error}")))?;
            fields.extend(rest);
        }
        Ok(Some(result))
    }

    /// Takes a result apart: what anyone may read of it at rest, and the rest, sealed. A mail that went stays
    /// one that went: where nothing can be sealed now, the rest is left out.
    pub(crate) async fn seal_result(&self, job: &Job, result: Value) -> (Value, Option<String>) {
        let Value::Object(fields) = result else { return (result, None) };
        let (open, rest): (Map<_, _>, Map<_, _>) =
            fields.into_iter().partition(|(name, _)| OPEN_RESULTS.contains(&name.as_str()));
        let (id, text) = (job.job_id.to_string(), Value::Object(rest).to_string());
        let sealed = self.vault.seal(&job.workspace_id, Purpose::JobResult, &id, text.as_bytes()).await;
        let sealed = sealed.map(|Sealed(text)| text);
        if let Err(error) = &sealed {
            tracing::warn!(%error, job.id = %job.job_id, "the sending address and the provider's ids are not recorded");
        }
        (Value::Object(open), sealed.ok())
    }

    /// Takes back a job that nobody works on yet.
    pub async fn cancel(&self, caller: &Caller, id: JobId) -> Result<Job, Problem> {
        self.change(caller, id, "only a pending job can be cancelled", Job::cancelled).await
    }

    /// Tries a job again that certainly sent nothing.
    pub async fn retry(&self, caller: &Caller, id: JobId) -> Result<Job, Problem> {
        let says = "only a job that ended in a retriable error, with its contents still kept, can be retried";
        let known = own(caller, self.ledger_job(id).await?)?;
        let retriable = known.error.as_ref().is_some_and(|error| error.retriable);
        if !retriable || self.ledger.contents(id).await?.is_none() {
            return Err(Problem::new(ProblemCode::JobNotRetriable, says));
        }
        let rules = match self.retry_rules(caller, &known).await {
            Ok(rules) => rules,
            Err(problem) => {
                self.audit_refusal(caller, AuditEvent::RetryRefused, &problem).await;
                return Err(problem);
            }
        };
        let retried = |job: &Job, now| {
            let mut next = job.retried(now)?;
            next.allowed_by.clone_from(&rules);
            Ok(next)
        };
        let job = self.change(caller, id, says, retried).await?;
        self.enqueue(std::slice::from_ref(&job), Duration::ZERO).await;
        Ok(job)
    }

    /// Whoever has a job tried again has to be allowed to run it. Its recipients are asked about by the worker,
    /// which has them.
    async fn retry_rules(&self, caller: &Caller, job: &Job) -> Result<Vec<Rule>, Problem> {
        if caller.bound_actor.as_ref().is_some_and(|bound| *bound != job.actor) {
            let detail = "the credential acts for another actor than the job";
            return Err(Problem::new(ProblemCode::ActorMismatch, detail).by_rule(Rule::Key));
        }
        self.permissions(caller).await?.can_execute(&job.action).map_err(|rule| {
            let detail = format!("{} is not allowed here", job.action);
            Problem::new(ProblemCode::ActionNotAllowed, detail).by_rule(rule)
        })
    }

    /// Records what a person found out about a job of unknown outcome.
    pub async fn resolve(&self, caller: &Caller, id: JobId, outcome: Outcome) -> Result<Job, Problem> {
        let says = "only a job whose outcome is unknown can be resolved";
        self.change(caller, id, says, |job, now| job.resolved(outcome, now)).await
    }

    /// The caller's outbox, newest first, opened.
    pub async fn outbox(&self, caller: &Caller) -> Result<Vec<(OutboxEntry, Value)>, Problem> {
        let mut opened = Vec::new();
        for entry in self.ledger.outbox(&caller.workspace, 100).await? {
            let id = entry.job_id.to_string();
            let text = self.vault.open(&caller.workspace, Purpose::Outbox, &id, &entry.sealed).await?;
            let mail = serde_json::from_slice(&text).map_err(|error| {
                Problem::new(ProblemCode::Internal, format!("an outbox entry is not JSON: {error}"))
            })?;
            opened.push((entry, mail));
        }
        Ok(opened)
    }

    /// Sends the jobs' messages. A queue that fails loses nothing: the sweeper finds the jobs.
    pub(crate) async fn enqueue(&self, jobs: &[Job], delay: Duration) {
        let messages: Vec<QueuedMessage> = jobs
            .iter()
            .map(|job| QueuedMessage {
                body: JobMessage::V1 {
                    job_id: job.job_id,
                    workspace_id: job.workspace_id.clone(),
                    traceparent: job.traceparent.clone(),
                }
                .write(),
                workspace: job.workspace_id.clone(),
                delay,
            })
            .collect();
        if let Err(error) = self.queue.send(&messages).await {
            tracing::warn!(%error, jobs.count = jobs.len(), "messages were not sent; the sweeper will");
        }
    }

    pub(crate) async fn ledger_job(&self, id: JobId) -> Result<Option<Job>, Problem> {
        Ok(self.ledger.jobs(&[id]).await?.pop().flatten())
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
            let job = own(caller, self.ledger_job(id).await?)?;
            let mut next = transition(&job, self.clock.now()).map_err(|invalid| {
                let status = invalid.state.status().as_str();
                Problem::new(ProblemCode::JobNotRetriable, format!("the job is {status}: {says}"))
            })?;
            next.key_id.clone_from(&caller.key_id);
            // Each turn means that somebody else made progress, which ends with the job.
            if self.ledger.save(&next).await? == Save::Done {
                let _ = self.cache.put_jobs(std::slice::from_ref(&next)).await;
                return Ok(next);
            }
        }
    }
}

fn own(caller: &Caller, job: Option<Job>) -> Result<Job, Problem> {
    let visible = |workspace: &WorkspaceId| *workspace == caller.workspace;
    job.filter(|job| visible(&job.workspace_id))
        .ok_or_else(|| Problem::new(ProblemCode::JobNotFound, "there is no such job in this workspace"))
}
