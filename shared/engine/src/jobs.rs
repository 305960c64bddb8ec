//! Looks jobs up, waits for their end, and lets a caller cancel, retry or resolve them.

use std::time::Duration;

use domain::{InvalidTransition, Job, JobId, JobStatus, Outcome, WorkspaceId};
use jiff::Timestamp;

use crate::{
    Caller, Engine, JobMessage, Problem, ProblemCode,
    ports::{JobFilter, OutboxEntry, Position, Purpose, QueuedMessage, Save},
};

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
    pub async fn job(&self, caller: &Caller, id: JobId) -> Result<Job, Problem> {
        if let Ok(Some(job)) = self.cache.job(id).await {
            return own(caller, Some(job));
        }
        let job = own(caller, self.ledger_job(id).await?)?;
        // A cache that cannot be written only makes the next look slower.
        let _ = self.cache.put_jobs(std::slice::from_ref(&job)).await;
        Ok(job)
    }

    /// The same, once the job has ended or `patience` is over, whichever is first.
    pub async fn job_when_ended(&self, caller: &Caller, id: JobId, patience: Duration) -> Result<Job, Problem> {
        let until = self.clock.now() + jiff::SignedDuration::try_from(patience).unwrap_or_default();
        let mut pause = Duration::from_millis(25);
        loop {
            let job = self.job(caller, id).await?;
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
        let job = self.change(caller, id, says, Job::retried).await?;
        self.enqueue(std::slice::from_ref(&job), Duration::ZERO).await;
        Ok(job)
    }

    /// Records what a person found out about a job of unknown outcome.
    pub async fn resolve(&self, caller: &Caller, id: JobId, outcome: Outcome) -> Result<Job, Problem> {
        let says = "only a job whose outcome is unknown can be resolved";
        self.change(caller, id, says, |job, now| job.resolved(outcome, now)).await
    }

    /// The caller's outbox, newest first, opened.
    pub async fn outbox(&self, caller: &Caller) -> Result<Vec<(OutboxEntry, serde_json::Value)>, Problem> {
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
            let next = transition(&job, self.clock.now()).map_err(|invalid| {
                let status = invalid.state.status().as_str();
                Problem::new(ProblemCode::JobNotRetriable, format!("the job is {status}: {says}"))
            })?;
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
