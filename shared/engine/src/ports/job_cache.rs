//! Jobs, cached for polling.

use std::time::Duration;

use async_trait::async_trait;
use domain::{Job, JobId, WorkspaceId};

use super::{CacheError, Counted, RateLimit};

/// Jobs, cached for polling.
#[async_trait]
pub trait JobCache: Send + Sync {
    /// Caches jobs, each unless a later version of it is cached already.
    async fn put_jobs(&self, jobs: &[Job]) -> Result<(), CacheError>;

    /// The same of one job; tells in the same round trip how long an account is held still, zero if it is not. See
    /// [`super::RateLimits::hold`].
    async fn put_claimed(&self, job: &Job, account: &str) -> Result<Duration, CacheError>;

    /// The workspace's job as it was cached last; a job of another workspace is not there. Counts the request in the same
    /// round trip, if there is a limit.
    async fn cached_job(&self, workspace: &WorkspaceId, id: JobId, limit: Option<&RateLimit>) -> Counted<Option<Job>>;
}
