use std::time::Duration;

use async_trait::async_trait;
use domain::{Job, JobId, PayloadHash, Provider, WorkspaceId};
use uuid::Uuid;

use super::Sealed;

/// How long a person may take to consent at a provider.
pub const CONSENT_WITHIN: Duration = Duration::from_mins(10);

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

    /// Keeps what a person's way to a provider and back has to prove, under a name that nobody can guess, for
    /// [`CONSENT_WITHIN`].
    async fn put_consent(&self, id: &str, consent: &Consent) -> Result<(), CacheError>;

    /// Takes it away: of all who ask for it, one gets it, at most.
    async fn take_consent(&self, id: &str) -> Result<Option<Consent>, CacheError>;

    /// Locks something for one owner, unless another has it; says whether it is the owner's now. The lock ends
    /// by itself after this long.
    async fn lock(&self, name: &str, owner: Uuid, at_most: Duration) -> Result<bool, CacheError>;

    /// Gives a lock back, if it is still this owner's.
    async fn unlock(&self, name: &str, owner: Uuid) -> Result<(), CacheError>;

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

/// What a person's way to a provider and back has to prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// For which workspace; needed to open the rest.
    pub workspace: WorkspaceId,
    /// What was asked, by whom, and what has to come back.
    pub sealed: Sealed,
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
