//! What an operator changes while servers run: shares of rollouts, and what workspaces may do.

use domain::{Allowlist, AuditBy, AuditEntry, AuditEvent, Provider, WorkspaceId, WorkspaceSettings};

use crate::{Engine, Recent, ports::LedgerError};

/// The settings of workspaces that this process found in the ledger last.
pub type Workspaces = Recent<WorkspaceId, WorkspaceSettings>;

impl Engine {
    /// Sets the share of a provider's rollout. Says whether the cache heard of it: then all that share it
    /// hear of it within seconds, else within a minute.
    pub async fn set_rollout(&self, provider: Provider, percent: u8) -> Result<bool, LedgerError> {
        let mut entry = self.command_line(None, AuditEvent::RolloutChanged);
        entry.provider = Some(provider);
        entry.value = Some(percent.to_string());
        self.ledger.set_rollout_percent(provider, percent, &entry).await?;
        Ok(self.cache.put_rollout_percent(provider, percent).await.is_ok())
    }

    /// The share of a provider's rollout as the ledger has it, and whether it is the environment's.
    pub async fn rollout(&self, provider: Provider) -> Result<(u8, bool), LedgerError> {
        let kept = self.ledger.rollout_percent(provider).await?;
        Ok((kept.unwrap_or_else(|| self.settings.rollout_percent(provider)), kept.is_none()))
    }

    /// Narrows what a workspace may do to these actions, or no longer. Servers hear of it within a minute.
    pub async fn allow(&self, workspace: &WorkspaceId, allow: Option<Allowlist>) -> Result<(), LedgerError> {
        let mut entry = self.command_line(Some(workspace.clone()), AuditEvent::WorkspaceChanged);
        entry.value = Some(allow.as_ref().map_or_else(|| "all".to_owned(), Allowlist::to_string));
        self.ledger.put_workspace(workspace, &WorkspaceSettings { allow }, &entry).await
    }

    /// A workspace's settings, as they were within the last minute.
    pub(crate) async fn workspace(&self, id: &WorkspaceId) -> Result<WorkspaceSettings, LedgerError> {
        let now = self.clock.now();
        if let Some(settings) = self.workspaces.recall(id, now) {
            return Ok(settings);
        }
        let settings = self.ledger.workspace(id).await?.unwrap_or_default();
        self.workspaces.remember(id.clone(), settings.clone(), now);
        Ok(settings)
    }

    fn command_line(&self, workspace: Option<WorkspaceId>, event: AuditEvent) -> AuditEntry {
        AuditEntry::new(self.ids.uuid(), workspace, event, AuditBy::CommandLine, self.clock.now())
    }
}
