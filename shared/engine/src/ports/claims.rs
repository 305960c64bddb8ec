//! Claims of idempotency keys.

use async_trait::async_trait;
use domain::{JobId, PayloadHash};

use super::{Counted, RateLimit};

/// Claims of idempotency keys.
#[async_trait]
pub trait Claims: Send + Sync {
    /// Claims idempotency keys, each for 15 minutes; says in order whether each was new. Counts the request in the
    /// same round trip, if there is a limit; the keys are claimed even if the request is refused.
    async fn claim_keys(&self, claims: &[KeyClaim], limit: Option<&RateLimit>) -> Counted<Vec<ClaimResult>>;
}

/// An idempotency key with its payload. The job's id is made of workspace and key, so it stands for the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyClaim {
    /// The job that the key would make.
    pub job_id: JobId,
    /// The hash of what the job does.
    pub payload_hash: PayloadHash,
}

/// What the cache knew of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimResult {
    /// Nothing: the claim is the first.
    New,
    /// It was claimed before, with this payload.
    Seen(PayloadHash),
}
