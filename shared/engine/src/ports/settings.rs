//! What an operator changes while servers run.

use async_trait::async_trait;
use domain::{AuditEntry, Provider, WorkspaceId, WorkspaceSettings};

use super::{LedgerError, Save};

/// What an operator changes while servers run: rollouts, and what workspaces may do.
#[async_trait]
pub trait Settings: Send + Sync {
    /// A provider's rollout in percent, where the ledger holds one.
    async fn rollout_percent(&self, provider: Provider) -> Result<Option<u8>, LedgerError>;

    /// Sets a provider's rollout in percent.
    async fn set_rollout_percent(&self, provider: Provider, percent: u8, audit: &AuditEntry)
    -> Result<(), LedgerError>;

    /// A workspace's settings; none when nothing was set.
    async fn workspace(&self, id: &WorkspaceId) -> Result<Option<WorkspaceSettings>, LedgerError>;

    /// Sets them over those that were read; none where nothing was set.
    async fn put_workspace(
        &self,
        id: &WorkspaceId,
        settings: &WorkspaceSettings,
        over: Option<&WorkspaceSettings>,
        audit: &AuditEntry,
    ) -> Result<Save, LedgerError>;
}
