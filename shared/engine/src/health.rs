//! Whether the stores answer, and how long the queue is.

use std::{sync::Arc, time::Duration};

use futures_util::future::join;
use telemetry::Gauges;

use crate::{
    Problem,
    job_store::JobStore,
    ports::{CacheHealth, Clock, Upkeep},
};

/// Whether the stores answer, and how long the queue is.
pub struct Health {
    pub(crate) jobs: Arc<JobStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) upkeep: Arc<dyn Upkeep>,
    pub(crate) cache: Arc<dyn CacheHealth>,
}

impl Health {
    /// Whether ledger and cache answer.
    pub async fn ready(&self) -> Result<(), Problem> {
        self.upkeep.ping().await?;
        self.cache.ping().await?;
        Ok(())
    }

    /// What waits for workers.
    pub async fn backlog(&self) -> Gauges {
        let (depth, oldest) = join(self.jobs.queue.depth(), self.jobs.ledger.oldest_unclaimed()).await;
        let depth = depth.inspect_err(|error| tracing::warn!(%error, "the queue's depth is not known"));
        let oldest = oldest.inspect_err(|error| tracing::warn!(%error, "the oldest job's age is not known"));
        let now = self.clock.now();
        let age = |since| Duration::try_from(now.duration_since(since)).unwrap_or_default();
        let queue_oldest_age = oldest.ok().map(|oldest| oldest.map_or(Duration::ZERO, age));
        Gauges { queue_depth: depth.ok(), queue_oldest_age }
    }
}
