//! Claims of idempotency keys.

use async_trait::async_trait;
use domain::JobId;

use super::{Counted, RateLimit};

/// Claims of idempotency keys.
#[async_trait]
pub trait Claims: Send + Sync {
    /// Claims the idempotency keys of these jobs, each for 15 minutes; says in order whether each was new. A job's id is
    /// made of workspace and key, so it stands for the key. Counts the request in the same round trip, if there is a
    /// limit; the keys are claimed even if the request is refused.
    async fn claim_keys(&self, jobs: &[JobId], limit: Option<&RateLimit>) -> Counted<Vec<bool>>;
}
