//! Jobs: their records in the ledger, their cache for polling, and the queue that brings them to workers.

use std::{sync::Arc, time::Duration};

use domain::{Job, JobId, Provider, WaitingFor, WorkspaceId};
use jiff::{SignedDuration, Timestamp};
use telemetry::{labels::JobCount, names::JOBS};

use crate::{
    JobMessage,
    job_contents::JobSummary,
    ports::{JobCache, JobFilter, JobList, Jobs, LedgerError, Position, Queue, QueuedMessage, Save},
    recent::Recent,
};

/// How long this process keeps the summary of a job, so that not each poll opens sealed contents.
pub(crate) const SUMMARIES: SignedDuration = SignedDuration::from_mins(15);
/// How many open jobs are read at once to find those that wait.
const PAGE: usize = 100;

/// Jobs: their records in the ledger, their cache for polling, and the queue that brings them to workers.
pub(crate) struct JobStore {
    pub(crate) ledger: Arc<dyn Jobs>,
    pub(crate) cache: Arc<dyn JobCache>,
    pub(crate) queue: Arc<dyn Queue>,
    /// In this process alone, since they hold contents.
    pub(crate) summaries: Recent<JobId, JobSummary>,
}

impl JobStore {
    /// Caches jobs for polling. If the cache cannot be written, only the next poll is slower.
    pub(crate) async fn cache(&self, jobs: &[Job]) {
        let _ = self.cache.put_jobs(jobs).await;
    }

    /// Caches a job that was claimed, and tells how long its account is held still by the provider's rate limit. If the
    /// cache does not say, the provider does.
    pub(crate) async fn claimed(&self, job: &Job) -> Duration {
        self.cache.put_claimed(job, &account_of(job)).await.unwrap_or_default()
    }

    /// Sends the jobs' messages, each to come when its job may be taken up. Where that is too far away for a queue, the
    /// sweeper does it in time. A queue that fails loses nothing: the sweeper finds the jobs.
    pub(crate) async fn enqueue(&self, jobs: &[Job], now: Timestamp) {
        let delay = |job: &Job| job.not_before.and_then(|then| then.duration_since(now).try_into().ok());
        let message = |job: &Job| QueuedMessage {
            body: JobMessage::V1 {
                job_id: job.job_id,
                workspace_id: job.workspace_id.clone(),
                traceparent: job.traceparent.clone(),
            }
            .write(),
            workspace: job.workspace_id.clone(),
            delay: delay(job).unwrap_or_default(),
        };
        let messages: Vec<QueuedMessage> =
            jobs.iter().filter(|job| job.is_queued() || job.fits_queue(now)).map(message).collect();
        if messages.is_empty() {
            return;
        }
        if let Err(error) = self.queue.send(&messages).await {
            tracing::warn!(%error, jobs.count = messages.len(), "messages were not sent; the sweeper will");
        }
    }

    /// Queues the jobs of a workspace that wait for their account, since it was connected. A job that is missed here is
    /// tried again by itself, within minutes.
    pub(crate) async fn wake(&self, workspace: &WorkspaceId, provider: Provider, now: Timestamp) {
        if let Err(error) = self.wake_all(workspace, provider, now).await {
            tracing::warn!(%error, "jobs that wait for their account were not woken");
        }
    }

    async fn wake_all(&self, workspace: &WorkspaceId, provider: Provider, now: Timestamp) -> Result<(), LedgerError> {
        let mut after = None;
        loop {
            let filter = JobFilter { workspace: workspace.clone(), list: JobList::Open, after, limit: PAGE };
            let jobs = self.ledger.list_jobs(&filter).await?;
            let waits = |job: &&Job| job.provider == provider && job.waiting_for == Some(WaitingFor::Reauth);
            for job in jobs.iter().filter(waits) {
                if let Ok(next) = job.woken(now)
                    && self.ledger.save(&next).await? == Save::Done
                {
                    self.cache(std::slice::from_ref(&next)).await;
                    self.enqueue(std::slice::from_ref(&next), now).await;
                }
            }
            let Some(last) = jobs.last().filter(|_| jobs.len() == PAGE) else { return Ok(()) };
            after = Some(Position::from(last));
        }
    }
}

/// The account of a job, as holds name it.
pub(crate) fn account_of(job: &Job) -> String {
    let Job { workspace_id, provider, account, .. } = job;
    format!("W#{workspace_id}#{provider}#{}", account.as_deref().unwrap_or_default())
}

/// Counts a job that is queued for the first time. A job that is held, or waits too long for a queue, is counted later.
pub(crate) fn count_enqueued(job: &Job) {
    if job.is_queued() && !job.is_held() {
        JOBS.count(&[job.provider.as_str(), job.action.as_str(), JobCount::Enqueued.into()]);
    }
}
