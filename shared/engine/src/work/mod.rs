//! Carries one job out: this file claims it and settles its message, [`run`] does the work.

mod run;
mod words;

use std::{sync::Arc, time::Duration};

use domain::{DeliveryId, EndpointId, Job, JobErrorCode, JobId, Lease, State, WorkspaceId};
use jiff::{SignedDuration, Timestamp};
use telemetry::{
    TraceContext,
    labels::ApprovalOutcome,
    names::{APPROVALS, JOB_QUEUE_WAIT, UNREADABLE_MESSAGES},
};
use tracing::{Instrument as _, Span};

use self::run::{Run, Stop, failure};
use crate::{
    JobMessage, UnreadableMessage,
    accounts::Accounts,
    catalogue::Catalogue,
    gate::Gate,
    job_store::JobStore,
    ports::{Clock, Ids, Outbox, QueuedMessage, RateLimits, Save, Vault},
    webhooks::{Later, WebhookService},
};

/// How long to wait for a ledger that does not answer.
const LEDGER_PAUSE: Duration = Duration::from_secs(15);
/// A job whose workers were gone so often in a row makes them crash, and is not taken up again.
const MAX_CRASHES: u32 = 10;

/// What to do with the message that brought the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Acknowledge it.
    Acknowledge,
    /// Leave it, so that it comes again.
    Leave,
}

/// Carries jobs out, and delivers webhooks.
pub struct Worker {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) jobs: Arc<JobStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) vault: Arc<dyn Vault>,
    pub(crate) outbox: Arc<dyn Outbox>,
    pub(crate) rate_limits: Arc<dyn RateLimits>,
    pub(crate) provider_timeout: Duration,
    pub(crate) public_url: String,
    pub(crate) webhooks: Arc<WebhookService>,
}

impl Worker {
    /// Works the job that a message names. The lease lasts until `deadline`, when this worker is
    /// to be done or dead.
    pub async fn work(&self, message: &str, deadline: Timestamp) -> Disposition {
        match read(message) {
            Ok((Task::Job(id), workspace, span)) => {
                self.work_job(message, id, workspace, deadline).instrument(span).await
            }
            Ok((Task::Webhook(id, endpoint), workspace, span)) => {
                match self.webhooks.deliver(&workspace, id, endpoint, deadline).instrument(span).await {
                    Ok(()) => Disposition::Acknowledge,
                    Err(Later(delay)) => self.again(message, &workspace, delay).await,
                }
            }
            Err(disposition) => disposition,
        }
    }

    async fn work_job(&self, message: &str, id: JobId, workspace: WorkspaceId, until: Timestamp) -> Disposition {
        let (before, job, contents) = loop {
            let (job, contents) = match self.jobs.ledger.job_with_contents(&workspace, id).await {
                Ok(Some(found)) => found,
                Ok(None) => {
                    tracing::warn!("a message names a job that is not there");
                    return Disposition::Acknowledge;
                }
                Err(_) => return self.again(message, &workspace, LEDGER_PAUSE).await,
            };
            let now = self.clock.now();
            if job.not_before.is_some_and(|then| !job.state.has_ended() && then > now) {
                self.jobs.enqueue(&[job], now).await;
                return Disposition::Acknowledge;
            }
            if job.is_held() {
                return self.expire(&job, message).await;
            }
            if job.crashes >= MAX_CRASHES && job.is_claimable(now) {
                return self.give_up_on(job).await;
            }
            // Ended, or in the hands of another worker: if that one dies, the sweeper finds the job.
            let lease = Lease { owner: self.ids.uuid(), until };
            let Ok(next) = job.claimed(lease, now) else { return Disposition::Acknowledge };
            match self.jobs.ledger.save(&next).await {
                Ok(Save::Done) => break (job, next, contents),
                // Another worker was quicker; look again.
                Ok(Save::Stale) => {}
                Err(_) => return self.again(message, &workspace, LEDGER_PAUSE).await,
            }
        };
        if let Some(since) = before.waits_since() {
            let wait = self.clock.now().duration_since(since).unsigned_abs();
            JOB_QUEUE_WAIT.observe(&[job.provider.as_str(), job.action.as_str()], wait);
        }
        let held = self.jobs.claimed(&job).await;
        let maybe_done = before.state == State::Sending;
        let mut run = Run { worker: self, job, contents, maybe_done, until, held };
        match run.finish().await {
            Ok(()) => Disposition::Acknowledge,
            Err(Stop::Ledger(error)) => {
                tracing::error!(%error, "the job waits for the ledger");
                // The lease cannot be given back now, so nobody can take the job up before it ends.
                let held = until.duration_since(self.clock.now()).max(SignedDuration::ZERO).unsigned_abs();
                self.again(message, &workspace, held.max(LEDGER_PAUSE)).await
            }
            Err(_) => {
                tracing::warn!(job.fence = run.job.fence, "overtaken by another worker");
                Disposition::Acknowledge
            }
        }
    }

    /// Sends a message once more for later, so that a ledger that does not answer does not count
    /// as a crash of the job's.
    async fn again(&self, message: &str, workspace: &WorkspaceId, delay: Duration) -> Disposition {
        let message = QueuedMessage { body: message.to_owned(), workspace: workspace.clone(), delay };
        match self.jobs.queue.send(&[message]).await {
            Ok(()) => Disposition::Acknowledge,
            Err(_) => Disposition::Leave,
        }
    }

    /// Settles the job of a message that was delivered too often without an end: it makes its
    /// workers crash, so nobody takes it up again.
    pub async fn settle_dead(&self, message: &str) -> Disposition {
        match read(message) {
            Ok((Task::Job(id), workspace, span)) => self.settle_dead_job(&workspace, id).instrument(span).await,
            // The sweep finds the delivery as long as it is open.
            Ok((Task::Webhook(..), ..)) => Disposition::Acknowledge,
            Err(disposition) => disposition,
        }
    }

    async fn settle_dead_job(&self, workspace: &WorkspaceId, job_id: JobId) -> Disposition {
        let now = self.clock.now();
        match self.jobs.ledger.job(workspace, job_id).await {
            // Somebody works on it after all.
            Ok(Some(job)) if job.lease.as_ref().is_some_and(|lease| lease.until > now) => Disposition::Leave,
            // To wait is not to crash, and a wait has a message of its own.
            Ok(Some(job)) if job.not_before.is_some_and(|then| then > now) => Disposition::Acknowledge,
            // No worker ever had it: the queue delivered it to workers that were not free.
            Ok(Some(job)) if job.attempts == 0 && job.crashes < MAX_CRASHES => self.put_back(&job).await,
            Ok(Some(job)) => self.give_up_on(job).await,
            Ok(None) => Disposition::Acknowledge,
            Err(_) => Disposition::Leave,
        }
    }

    /// Queues a job again. It counts as a crash, in case its workers did not live to claim it.
    async fn put_back(&self, job: &Job) -> Disposition {
        let now = self.clock.now();
        let Ok(next) = job.nudged(now) else { return Disposition::Acknowledge };
        let next = Job { crashes: job.crashes + 1, ..next };
        match self.jobs.ledger.save(&next).await {
            Ok(Save::Done) => {
                self.jobs.enqueue(&[next], now).await;
                Disposition::Acknowledge
            }
            // A worker has it after all, or the ledger does not answer.
            _ => Disposition::Leave,
        }
    }

    /// Ends a held job that nobody approved in time. Whoever wrote another version meanwhile has decided about it, or has
    /// sent a message of its own.
    async fn expire(&self, job: &Job, message: &str) -> Disposition {
        let Ok(next) = job.expired(self.clock.now()) else { return Disposition::Acknowledge };
        match self.jobs.ledger.save(&next).await {
            Ok(Save::Done) => {
                tracing::info!("nobody approved the job in time");
                APPROVALS.count(&[ApprovalOutcome::Expired.into()]);
                self.jobs.cache(&[next]).await;
                Disposition::Acknowledge
            }
            Ok(Save::Stale) => Disposition::Acknowledge,
            Err(_) => self.again(message, &job.workspace_id, LEDGER_PAUSE).await,
        }
    }

    async fn give_up_on(&self, job: Job) -> Disposition {
        let now = self.clock.now();
        let maybe_done = job.state == State::Sending;
        let message = "The job made its workers stop again and again, before anything was done.";
        let remediation = "Retry it; if it happens again, report the job's id.";
        let error = failure(JobErrorCode::Internal, message, true, remediation);
        let mut run = Run { worker: self, job, contents: None, maybe_done, until: now, held: Duration::ZERO };
        match run.fail(error, None).await {
            Ok(()) | Err(Stop::Overtaken) => Disposition::Acknowledge,
            Err(_) => Disposition::Leave,
        }
    }
}

/// What a message asks for.
enum Task {
    Job(JobId),
    Webhook(DeliveryId, EndpointId),
}

/// Reads a message: the task, and what every line of its work says, which is the job and the trace it belongs to, or the
/// delivery. A message that cannot be read has nobody to work it.
fn read(message: &str) -> Result<(Task, WorkspaceId, Span), Disposition> {
    match JobMessage::read(message) {
        Ok(JobMessage::V1 { job_id, workspace_id, traceparent }) => {
            let span = tracing::error_span!("job", job.id = %job_id, trace.id = tracing::field::Empty);
            if let Some(trace) = traceparent.as_deref().and_then(TraceContext::read) {
                span.record("trace.id", tracing::field::display(trace.id()));
            }
            Ok((Task::Job(job_id), workspace_id, span))
        }
        Ok(JobMessage::Webhook { delivery_id, endpoint_id, workspace_id }) => {
            let span = tracing::error_span!("webhook", webhook.delivery = %delivery_id);
            Ok((Task::Webhook(delivery_id, endpoint_id), workspace_id, span))
        }
        Err(UnreadableMessage::UnknownVersion(version)) => {
            tracing::warn!(message.version = version, "a message of a later version stays in the queue");
            Err(Disposition::Leave)
        }
        Err(UnreadableMessage::Garbage(why)) => {
            tracing::error!(why, "an unreadable message is dropped");
            UNREADABLE_MESSAGES.count(&[]);
            Err(Disposition::Acknowledge)
        }
    }
}
