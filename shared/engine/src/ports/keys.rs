//! API keys.

use async_trait::async_trait;
use domain::{KeyId, KeyRecord};
use jiff::Timestamp;

use super::LedgerError;

/// API keys.
#[async_trait]
pub trait Keys: Send + Sync {
    /// Stores a key; false when its id is taken.
    async fn put_key(&self, key: &KeyRecord) -> Result<bool, LedgerError>;

    /// The key of this id, revoked or not.
    async fn key(&self, id: &KeyId) -> Result<Option<KeyRecord>, LedgerError>;

    /// Every key, revoked ones too, oldest first.
    async fn keys(&self) -> Result<Vec<KeyRecord>, LedgerError>;

    /// Ends a key; false when there is none of this id. A key that was revoked before keeps its time.
    async fn revoke_key(&self, id: &KeyId, now: Timestamp) -> Result<bool, LedgerError>;
}
