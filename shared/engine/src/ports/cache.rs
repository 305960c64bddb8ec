use std::time::Duration;

use async_trait::async_trait;
use domain::{Job, JobId, KeyId, PayloadHash, Provider, WorkspaceId};
use uuid::Uuid;

use super::Sealed;

/// How long a person may take to consent at a provider.
pub const CONSENT_WITHIN: Duration = Duration::from_mins(10);

/// What makes things quick. Losing any of it at any time loses nothing that was promised: the
/// ledger decides.
#[async_trait]
pub trait Cache: Send + Sync {
    /// Claims idempotency keys, each for 15 minutes; says in order whether each was new. Counts the request in the
    /// same round trip, if there is a toll; the keys are claimed even if it is refused.
    async fn claim_keys(
        &self,
        claims: &[KeyClaim],
        toll: Option<&Toll>,
    ) -> Result<(Vec<FirstSight>, Passage), CacheError>;

    /// Counts a request.
    async fn count(&self, toll: &Toll) -> Result<Passage, CacheError>;

    /// Keeps jobs for polling, each unless a later version of it is kept already.
    async fn put_jobs(&self, jobs: &[Job]) -> Result<(), CacheError>;

    /// The job as it was kept last. Counts the request in the same round trip, if there is a toll.
    async fn job(&self, id: JobId, toll: Option<&Toll>) -> Result<(Option<Job>, Passage), CacheError>;

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

/// The window within which a [`Toll`] counts.
pub const TOLL_WINDOW: Duration = Duration::from_mins(1);

/// A request that counts: so many may come with a key, and for its workspace, within a minute.
///
/// What came in the minute of the clock before counts in part, the less the longer it is ago, so that no
/// minute sees much more than a limit. What is refused does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toll {
    /// The API key.
    pub key: KeyId,
    /// How many requests it may make.
    pub per_key: u32,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// How many requests all of its keys together may make.
    pub per_workspace: u32,
}

/// Whether a request may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passage {
    /// It may.
    Free,
    /// Not before this is over.
    Refused {
        /// The limit that was reached.
        limit: u32,
        /// When one more is within it, if nobody else asks.
        retry_after: Duration,
    },
}

impl Passage {
    /// The later of two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Refused { retry_after: first, .. }, Self::Refused { retry_after: second, .. }) if first < second => {
                other
            }
            (Self::Free, _) => other,
            _ => self,
        }
    }
}

/// The cache did not answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the cache failed: {0}")]
pub struct CacheError(pub String);
