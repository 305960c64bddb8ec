//! Finds open jobs whose message was lost, whatever lost it, and sends it again.

use std::time::Duration;

use crate::{
    Engine, Problem,
    ports::{LedgerError, Save},
};

/// At most so many jobs in one sweep; the rest are next.
const AT_ONCE: usize = 500;

impl Engine {
    /// Sends the message again of every open job that should have been touched longer ago than the
    /// visibility timeout. Returns how many there were.
    ///
    /// Each is marked as touched, so that a queue that is merely long is not made longer each minute.
    pub async fn sweep(&self) -> Result<usize, Problem> {
        let now = self.clock.now();
        let timeout = jiff::SignedDuration::try_from(self.settings.visibility_timeout).unwrap_or_default();
        let mut reminded = Vec::new();
        let mut failed = None;
        for job in self.ledger.overdue_jobs(now - timeout, AT_ONCE).await? {
            let Ok(next) = job.reminded(now) else { continue };
            match self.ledger.save(&next).await {
                Ok(Save::Done) => reminded.push(next),
                Ok(Save::Stale) => {}
                // One job that cannot be written does not keep the others from being found.
                Err(error) => failed = Some(error),
            }
        }
        if !reminded.is_empty() {
            tracing::info!(jobs.count = reminded.len(), "open jobs were overdue and are queued again");
            self.enqueue(&reminded, Duration::ZERO).await;
        }
        failed.map_or(Ok(reminded.len()), |error| Err(error.into()))
    }

    /// For a process that is alone on its ledger, at its start: ends the leases of the one before
    /// it and queues every open job. Returns how many there were.
    pub async fn pick_up(&self) -> Result<usize, LedgerError> {
        let now = self.clock.now();
        self.ledger.void_leases(now).await?;
        let open = self.ledger.overdue_jobs(jiff::Timestamp::MAX, usize::MAX).await?;
        for job in &open {
            let wait = job
                .not_before
                .map_or(Duration::ZERO, |then| then.duration_since(now).max(jiff::SignedDuration::ZERO).unsigned_abs());
            self.enqueue(std::slice::from_ref(job), wait).await;
        }
        Ok(open.len())
    }
}
