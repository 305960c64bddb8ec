//! Pending OAuth consents.

use std::time::Duration;

use async_trait::async_trait;
use domain::WorkspaceId;

use super::{CacheError, Sealed};

/// How long a person may take to consent at a provider.
pub const CONSENT_WITHIN: Duration = Duration::from_mins(10);

/// Pending OAuth consents.
#[async_trait]
pub trait Consents: Send + Sync {
    /// Stores a pending consent under the hash of its `state` and cookie, for [`CONSENT_WITHIN`].
    async fn put_consent(&self, id: &str, consent: &Consent) -> Result<(), CacheError>;

    /// Takes it away: at most one caller gets it.
    async fn take_consent(&self, id: &str) -> Result<Option<Consent>, CacheError>;
}

/// A pending consent at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Its workspace; needed to open the rest.
    pub workspace: WorkspaceId,
    /// The request, its caller, and what has to come back; sealed.
    pub sealed: Sealed,
}
