//! Whether the stores answer, and how long the queue is.

use std::{sync::Arc, time::Duration};

use futures_util::future::join;

use crate::{
    Problem,
    job_store::JobStore,
    ports::{CacheHealth, Clock, Upkeep},
};

/// Whether the stores answer, and how long the queue is.
pub struct Health {
    pub(crate) jobs: Arc<JobStore>,
    pub(crate) upkeep: Arc<dyn Upkeep>,
    pub(crate) cache: Arc<dyn CacheHealth>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What waits for workers; none where it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Messages in the queue.
    pub depth: Option<u64>,
    /// How long the oldest job without a worker has waited.
    pub oldest: Option<Duration>,
}

impl Health {
    /// Whether ledger and cache answer.
    pub async fn ready(&self) -> Result<(), Problem> {
        self.upkeep.ping().await?;
        self.cache.ping().await?;
        Ok(())
    }

    /// What waits for workers.
    pub async fn backlog(&self) -> Backlog {
        let (depth, oldest) = join(self.jobs.queue.depth(), self.jobs.ledger.oldest_unclaimed()).await;
        let depth = depth.inspect_err(|error| tracing::warn!(%error, "the queue's depth is not known"));
        let oldest = oldest.inspect_err(|error| tracing::warn!(%error, "the oldest job's age is not known"));
        let now = self.clock.now();
        let age = |since| Duration::try_from(now.duration_since(since)).unwrap_or_default();
        Backlog { depth: depth.ok(), oldest: oldest.ok().map(|oldest| oldest.map_or(Duration::ZERO, age)) }
    }
}
