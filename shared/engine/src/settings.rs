//! What an operator changes while servers run: rollouts, and what workspaces may do.

use std::{collections::BTreeMap, sync::Arc};

use domain::{ActorHash, AuditBy, AuditEntry, AuditEvent, Provider, WorkspaceId, WorkspaceSettings, in_rollout};
use telemetry::{labels::Decision, names::ROLLOUT_DECISIONS};

use crate::{
    audit::Auditor,
    ports::{LedgerError, RolloutCache, Save, Settings},
    recent::Recent,
};

/// Reads and changes the operator's settings.
pub struct OperatorSettings {
    pub(crate) ledger: Arc<dyn Settings>,
    pub(crate) cache: Arc<dyn RolloutCache>,
    pub(crate) auditor: Arc<Auditor>,
    /// The rollouts where the ledger holds none.
    pub(crate) defaults: BTreeMap<Provider, u8>,
    pub(crate) rollouts: Recent<Provider, u8>,
    pub(crate) workspaces: Recent<WorkspaceId, WorkspaceSettings>,
}

impl OperatorSettings {
    /// Sets a provider's rollout. Says whether the cache was told: then all servers that share it
    /// follow within seconds, else within a minute.
    pub async fn set_rollout(&self, provider: Provider, percent: u8) -> Result<bool, LedgerError> {
        let entry = self.auditor.entry(None, AuditEvent::RolloutChanged, AuditBy::CommandLine);
        let entry = AuditEntry { provider: Some(provider), value: Some(percent.to_string()), ..entry };
        self.ledger.set_rollout_percent(provider, percent, &entry).await?;
        Ok(self.cache.put_rollout_percent(provider, percent).await.is_ok())
    }

    /// A provider's rollout as the ledger has it, and whether it is the environment's.
    pub async fn rollout(&self, provider: Provider) -> Result<(u8, bool), LedgerError> {
        let stored = self.ledger.rollout_percent(provider).await?;
        let default = || self.defaults.get(&provider).copied().unwrap_or(100);
        Ok((stored.unwrap_or_else(default), stored.is_none()))
    }

    /// Whether an actor may use a provider, as far as the ledger knows, and at which percent.
    pub(crate) async fn rollout_allows(
        &self,
        provider: Provider,
        actor: &ActorHash,
    ) -> Result<(bool, u8), LedgerError> {
        let percent = match self.recent_rollout(provider).await {
            Some(percent) => percent,
            None => self.rollout(provider).await?.0,
        };
        Ok((decide(provider, actor, percent), percent))
    }

    /// The same before a side effect. None if a store does not answer: then the job waits.
    pub(crate) async fn rollout_allows_now(&self, provider: Provider, actor: &ActorHash) -> Option<bool> {
        Some(decide(provider, actor, self.recent_rollout(provider).await?))
    }

    async fn recent_rollout(&self, provider: Provider) -> Option<u8> {
        let load = async {
            if let Some(percent) = self.cache.rollout_percent(provider).await.map_err(drop)? {
                return Ok(percent);
            }
            let (percent, _) = self.rollout(provider).await.map_err(drop)?;
            self.cache.put_rollout_percent(provider, percent).await.map_err(drop)?;
            Ok::<_, ()>(percent)
        };
        self.rollouts.recall_or(&provider, self.auditor.clock.now(), load).await.ok()
    }

    /// Changes what a workspace may do, and gives its new settings. Servers follow when they read them again.
    pub async fn change_workspace(
        &self,
        workspace: &WorkspaceId,
        change: impl Fn(WorkspaceSettings) -> WorkspaceSettings,
    ) -> Result<WorkspaceSettings, LedgerError> {
        let event = AuditEvent::WorkspaceChanged;
        let mut entry = self.auditor.entry(Some(workspace.clone()), event, AuditBy::CommandLine);
        // Each round means that another command changed them meanwhile.
        loop {
            let before = self.ledger.workspace(workspace).await?;
            let settings = change(before.clone().unwrap_or_default());
            entry.value = Some(settings.to_string());
            if self.ledger.put_workspace(workspace, &settings, before.as_ref(), &entry).await? == Save::Done {
                return Ok(settings);
            }
        }
    }

    /// A workspace's settings, as the ledger has them.
    pub async fn workspace(&self, workspace: &WorkspaceId) -> Result<WorkspaceSettings, LedgerError> {
        Ok(self.ledger.workspace(workspace).await?.unwrap_or_default())
    }

    /// A workspace's settings, as they were read last.
    pub(crate) async fn recent_workspace(&self, workspace: &WorkspaceId) -> Result<WorkspaceSettings, LedgerError> {
        self.workspaces.recall_or(workspace, self.auditor.clock.now(), self.workspace(workspace)).await
    }
}

fn decide(provider: Provider, actor: &ActorHash, percent: u8) -> bool {
    let allowed = in_rollout(actor, percent);
    let decision = if allowed { Decision::Allow } else { Decision::Deny };
    ROLLOUT_DECISIONS.count(&[provider.as_str(), decision.into()]);
    allowed
}
