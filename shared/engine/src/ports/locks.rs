//! Locks between processes.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::CacheError;

/// Locks between processes. A lock may be lost, so it only saves work: every write is conditional.
#[async_trait]
pub trait Locks: Send + Sync {
    /// Locks `name` for one owner, unless another has it; says whether the owner has it now. The lock ends
    /// by itself after this long.
    async fn lock(&self, name: &str, owner: Uuid, at_most: Duration) -> Result<bool, CacheError>;

    /// Gives a lock back, if it is still this owner's.
    async fn unlock(&self, name: &str, owner: Uuid) -> Result<(), CacheError>;
}
