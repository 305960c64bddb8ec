//! Whether the stores answer, and how long the queue is.

use std::{sync::Arc, time::Duration};

use domain::Violation;
use futures_util::future::join3;
use jiff::{SignedDuration, Timestamp};
use telemetry::Gauges;

use crate::{
    Problem, ProblemCode,
    job_store::JobStore,
    ports::{CacheHealth, Clock, StoredSecrets, Upkeep},
};

/// How far held jobs are counted.
const MOST_HELD: usize = 1000;

/// Whether the stores answer, and how long the queue is.
pub struct Health {
    pub(crate) jobs: Arc<JobStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) upkeep: Arc<dyn Upkeep>,
    pub(crate) cache: Arc<dyn CacheHealth>,
    pub(crate) secrets: Arc<dyn StoredSecrets>,
    /// A held job that nobody has approved expires after this.
    pub(crate) expires_after: SignedDuration,
}

impl Health {
    /// Whether ledger and cache answer, and every secret has a value. Of what fails, the problem names all.
    pub async fn ready(&self) -> Result<(), Problem> {
        let (ledger, cache, mut failing) =
            join3(self.upkeep.ping(), self.cache.ping(), self.secrets.without_value()).await;
        let mut causes = failing.clone();
        let stores = [
            ("the ledger does not answer", ledger.err().map(|error| error.to_string())),
            ("the cache does not answer", cache.err().map(|error| error.to_string())),
        ];
        for (says, cause) in stores {
            failing.extend(cause.is_some().then(|| says.to_owned()));
            causes.extend(cause);
        }
        if failing.is_empty() {
            return Ok(());
        }
        let failing = failing.into_iter().map(|says| Violation::new("", says)).collect();
        Err(Problem::new(ProblemCode::StoreUnavailable, causes.join("; ")).with_errors(failing))
    }

    /// What waits for workers, and what for people.
    pub async fn backlog(&self) -> Gauges {
        let ledger = &self.jobs.ledger;
        let (depth, oldest, held) =
            join3(self.jobs.queue.depth(), ledger.oldest_unclaimed(), ledger.held(MOST_HELD)).await;
        let depth = depth.inspect_err(|error| tracing::warn!(%error, "the queue's depth is not known"));
        let oldest = oldest.inspect_err(|error| tracing::warn!(%error, "the oldest job's age is not known"));
        let held = held.inspect_err(|error| tracing::warn!(%error, "how many jobs are held is not known")).ok();
        let now = self.clock.now();
        let age = |since| Duration::try_from(now.duration_since(since)).unwrap_or_default();
        let queue_oldest_age = oldest.ok().map(|oldest| oldest.map_or(Duration::ZERO, age));
        let held_oldest_age = held.map(|held| held.since.map_or(Duration::ZERO, age));
        let left =
            |since: Timestamp| Duration::try_from((since + self.expires_after).duration_since(now)).unwrap_or_default();
        Gauges {
            queue_depth: depth.ok(),
            queue_oldest_age,
            held_jobs: held.map(|held| held.count),
            held_oldest_age,
            held_expires: held.and_then(|held| held.since.map(left)),
        }
    }
}
