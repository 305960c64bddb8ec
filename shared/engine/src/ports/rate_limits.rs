//! Rate limits: ours of keys and workspaces, and the providers' of accounts.

use std::time::Duration;

use async_trait::async_trait;
use domain::{KeyId, WorkspaceId};

use super::CacheError;

/// The window of a [`RateLimit`].
pub const RATE_LIMIT_WINDOW: Duration = Duration::from_mins(1);

/// How long a revoked key is known here: longer than any process goes by a key that it has read.
pub const REVOKED_FOR: Duration = Duration::from_mins(2);

/// Counts of requests, and holds of accounts.
#[async_trait]
pub trait RateLimits: Send + Sync {
    /// Counts a request.
    async fn count(&self, limit: &RateLimit) -> Result<Decision, CacheError>;

    /// Tells everybody who counts requests that a key of this workspace was revoked.
    async fn revoke(&self, workspace: &WorkspaceId, key: &KeyId) -> Result<(), CacheError>;

    /// Notes that a provider wants no request for an account for this long. A longer hold stands.
    async fn hold(&self, account: &str, wait: Duration) -> Result<(), CacheError>;
}

/// The limits of a request: how many may come with its key, and for its workspace, within a minute.
///
/// Sliding window: the previous minute counts by the fraction of it still inside the window, so that no minute sees
/// much more than a limit. Refused requests are not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// The API key.
    pub key: KeyId,
    /// How many requests it may make.
    pub per_key: u32,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// How many requests all of its keys together may make.
    pub per_workspace: u32,
}

/// What was asked for, and whether the request is within its limits.
pub type Counted<T> = Result<(T, Decision), CacheError>;

/// Whether a request is within its limits, of a key that is still good. The strictest is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// It is.
    Allowed,
    /// It is not.
    Refused {
        /// When one more request is within the limit, if nobody else asks.
        retry_after: Duration,
        /// The limit that was reached.
        limit: u32,
    },
    /// Its key was revoked a moment ago. The request is not counted.
    Revoked,
}

impl Decision {
    /// The stricter of two.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.max(other)
    }
}
