//! API keys.

use async_trait::async_trait;
use domain::{KeyId, KeyRecord};
use jiff::{Timestamp, civil::Date};

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

    /// The last day of use of each of these keys, in order; none of a key that was not used.
    async fn last_used(&self, ids: &[KeyId]) -> Result<Vec<Option<Date>>, LedgerError>;

    /// Records that a key was used on a day, unless that day or a later one is recorded. It never touches the key itself,
    /// which may be revoked at the same time.
    async fn put_last_used(&self, id: &KeyId, day: Date) -> Result<(), LedgerError>;
}
