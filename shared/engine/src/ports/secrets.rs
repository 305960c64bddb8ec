//! Secrets that are stored outside of the deployment.

use async_trait::async_trait;

/// The stored secrets that the deployment uses.
#[async_trait]
pub trait StoredSecrets: Send + Sync {
    /// What to tell the operator of each secret that has no value yet, or that cannot be read; nothing of a value.
    async fn without_value(&self) -> Vec<String>;
}
