use async_trait::async_trait;
use domain::{Job, JobId, PayloadHash, Provider};

/// What makes things quick. Losing any of it at any time loses nothing that was promised: the
/// ledger decides.
#[async_trait]
pub trait Cache: Send + Sync {
    /// Claims idempotency keys, each for 15 minutes, in one round trip; says in order whether each was new.
    async fn claim_keys(&self, claims: &[KeyClaim]) -> Result<Vec<FirstSight>, CacheError>;

    /// Keeps jobs for polling, each unless a later version of it is kept already.
    async fn put_jobs(&self, jobs: &[Job]) -> Result<(), CacheError>;

    /// The job as it was kept last.
    async fn job(&self, id: JobId) -> Result<Option<Job>, CacheError>;

    /// The share of a provider's rollout that was kept within the last minute, 0 to 100.
    async fn rollout_percent(&self, provider: Provider) -> Result<Option<u8>, CacheError>;

    /// Keeps the share of a provider's rollout for a minute.
    async fn put_rollout_percent(&self, provider: Provider, percent: u8) -> Result<(), CacheError>;

    /// Whether the cache answers.
    async fn ping(&self) -> Result<(), CacheError>;
}

/// An idempotency key with what it stands for. The job's id is made of workspace and key, so it is the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyClaim {
    /// The job that the key would make.
    pub job_id: JobId,
    /// What it does.
    pub payload_hash: PayloadHash,
}

/// What the cache knew of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FirstSight {
    /// Nothing: the claim is the first.
    New,
    /// It was claimed before, with this payload.
    Seen(PayloadHash),
}

/// The cache did not answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the cache failed: {0}")]
pub struct CacheError(pub String);
