//! Upkeep: queues open jobs and deliveries that have no message, erases what has expired, and logs how far the audit has come.

use std::{sync::Arc, time::Duration};

use domain::Job;
use futures_util::future::join_all;

use crate::{
    Problem,
    audit::Auditor,
    job_store::{JobStore, count_enqueued},
    ports::{Clock, Ids, LedgerError, Locks, Save, Upkeep},
    webhooks::WebhookService,
};

/// How many jobs are read at once.
const AT_ONCE: usize = 500;
/// How often one sweep reads on; the next sweep takes the rest.
const MOST_ROUNDS: usize = 20;
/// How many jobs are written at once.
const SIDE_BY_SIDE: usize = 16;
/// How often the heads of the audit are logged.
const HEADS_EVERY: Duration = Duration::from_hours(1);

/// Queues open jobs and deliveries that have no message, erases what has expired, and logs how far the audit has come.
pub struct Sweeper {
    pub(crate) jobs: Arc<JobStore>,
    pub(crate) webhooks: Arc<WebhookService>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) upkeep: Arc<dyn Upkeep>,
    pub(crate) auditor: Arc<Auditor>,
    pub(crate) locks: Arc<dyn Locks>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) visibility_timeout: Duration,
}

impl Sweeper {
    /// Sends the message of every open job and delivery that should have been looked at longer ago than the visibility
    /// timeout: it was lost, or the job's wait was too long for a queue. Returns how many there were.
    ///
    /// Each is marked as touched, so that a queue that is merely long does not grow each minute.
    pub async fn sweep(&self) -> Result<usize, Problem> {
        let (mut found, mut failed) = (0, None);
        for _ in 0..MOST_ROUNDS {
            let now = self.clock.now();
            let overdue = self.jobs.ledger.overdue_jobs(now - self.visibility_timeout, AT_ONCE).await?;
            let is_new = |job: &Job| job.attempts == 0 && !job.is_queued();
            let mut nudged = Vec::new();
            for jobs in overdue.chunks(SIDE_BY_SIDE) {
                let next: Vec<(Job, bool)> =
                    jobs.iter().filter_map(|job| Some((job.nudged(now).ok()?, is_new(job)))).collect();
                let saves = join_all(next.iter().map(|(next, _)| self.jobs.ledger.save(next))).await;
                for ((next, is_new), saved) in next.into_iter().zip(saves) {
                    match saved {
                        Ok(Save::Done) => {
                            if is_new {
                                count_enqueued(&next);
                            }
                            nudged.push(next);
                        }
                        Ok(Save::Stale) => {}
                        // A job that cannot be written does not keep the others from being found.
                        Err(error) => failed = Some(error),
                    }
                }
            }
            if !nudged.is_empty() {
                tracing::info!(jobs.count = nudged.len(), "open jobs were due without a message and are queued");
                self.jobs.enqueue(&nudged, now).await;
            }
            found += nudged.len();
            if overdue.len() < AT_ONCE || nudged.is_empty() || failed.is_some() {
                break;
            }
        }
        let delivered = self.webhooks.sweep(self.clock.now() - self.visibility_timeout).await;
        failed.map_or(Ok(found + delivered?), |error| Err(error.into()))
    }

    /// Erases what has expired.
    pub async fn erase_expired(&self) -> Result<(), LedgerError> {
        self.upkeep.erase_expired(self.clock.now()).await
    }

    /// Logs the heads of each audit, once an hour over all instances.
    pub async fn log_heads_hourly(&self) -> Result<(), LedgerError> {
        // The lock ends by itself. If the cache does not answer, the next sweep tries again.
        if self.locks.lock("audit-heads", self.ids.uuid(), HEADS_EVERY).await.unwrap_or(false) {
            self.log_heads().await?;
        }
        Ok(())
    }

    /// Logs the heads of each audit. With a log that is kept elsewhere, one can tell later whether an audit was cut off or
    /// written again.
    pub async fn log_heads(&self) -> Result<(), LedgerError> {
        for head in self.auditor.heads().await?.iter().filter(|head| !head.chains.is_empty()) {
            tracing::info!(audit.head = %head, "the audit has come this far");
        }
        Ok(())
    }

    /// For a process that is alone on its ledger, at its start: ends the leases of the process before
    /// it and queues every open job. Returns how many there were.
    pub async fn pick_up(&self) -> Result<usize, LedgerError> {
        let now = self.clock.now();
        self.webhooks.pick_up().await?;
        self.jobs.ledger.void_leases(now).await?;
        let open = self.jobs.ledger.overdue_jobs(jiff::Timestamp::MAX, usize::MAX).await?;
        self.jobs.enqueue(&open, now).await;
        Ok(open.len())
    }
}
