//! What an operator changes while servers run: rollouts, and what workspaces may do.

use std::{collections::BTreeMap, sync::Arc};

use domain::{ActorHash, Allowlist, AuditBy, AuditEvent, Provider, WorkspaceId, WorkspaceSettings, in_rollout};
use jiff::SignedDuration;
use telemetry::record::{Decision, record_rollout_decision};

use crate::{
    audit::Auditor,
    ports::{LedgerError, RolloutCache, Settings},
    recent::Recent,
};

/// Reads and changes the operator's settings.
pub struct OperatorSettings {
    ledger: Arc<dyn Settings>,
    cache: Arc<dyn RolloutCache>,
    auditor: Arc<Auditor>,
    /// The rollouts where the ledger holds none.
    defaults: BTreeMap<Provider, u8>,
    rollouts: Recent<Provider, u8>,
    workspaces: Recent<WorkspaceId, WorkspaceSettings>,
}

/// A store that the rollout gate asks did not answer.
pub(crate) struct NoAnswer;

impl OperatorSettings {
    pub(crate) fn new(
        ledger: Arc<dyn Settings>,
        cache: Arc<dyn RolloutCache>,
        auditor: Arc<Auditor>,
        defaults: BTreeMap<Provider, u8>,
        rollout_good_for: SignedDuration,
    ) -> Self {
        let (rollouts, workspaces) = (Recent::good_for(rollout_good_for), Recent::default());
        Self { ledger, cache, auditor, defaults, rollouts, workspaces }
    }

    /// Sets a provider's rollout. Says whether the cache was told: then all servers that share it
    /// follow within seconds, else within a minute.
    pub async fn set_rollout(&self, provider: Provider, percent: u8) -> Result<bool, LedgerError> {
        let mut entry = self.auditor.entry(None, AuditEvent::RolloutChanged, AuditBy::CommandLine);
        entry.provider = Some(provider);
        entry.value = Some(percent.to_string());
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
            Ok(percent) => percent,
            Err(_) => self.rollout(provider).await?.0,
        };
        Ok((decide(provider, actor, percent), percent))
    }

    /// The same before a side effect: no answer from any store that the gate asks is a wait, never a yes.
    pub(crate) async fn rollout_allows_now(&self, provider: Provider, actor: &ActorHash) -> Result<bool, NoAnswer> {
        Ok(decide(provider, actor, self.recent_rollout(provider).await?))
    }

    async fn recent_rollout(&self, provider: Provider) -> Result<u8, NoAnswer> {
        let now = self.auditor.clock.now();
        if let Some(percent) = self.rollouts.recall(&provider, now) {
            return Ok(percent);
        }
        let cached = self.cache.rollout_percent(provider).await.map_err(|_| NoAnswer)?;
        let percent = if let Some(percent) = cached {
            percent
        } else {
            let (percent, _) = self.rollout(provider).await.map_err(|_| NoAnswer)?;
            self.cache.put_rollout_percent(provider, percent).await.map_err(|_| NoAnswer)?;
            percent
        };
        self.rollouts.remember(provider, percent, now);
        Ok(percent)
    }

    /// Narrows what a workspace may do to these actions, or no longer. Servers follow within a minute.
    pub async fn allow(&self, workspace: &WorkspaceId, allow: Option<Allowlist>) -> Result<(), LedgerError> {
        let event = AuditEvent::WorkspaceChanged;
        let mut entry = self.auditor.entry(Some(workspace.clone()), event, AuditBy::CommandLine);
        entry.value = Some(allow.as_ref().map_or_else(|| "all".to_owned(), Allowlist::to_string));
        self.ledger.put_workspace(workspace, &WorkspaceSettings { allow }, &entry).await
    }

    /// A workspace's settings, as the ledger has them.
    pub async fn workspace(&self, workspace: &WorkspaceId) -> Result<WorkspaceSettings, LedgerError> {
        Ok(self.ledger.workspace(workspace).await?.unwrap_or_default())
    }

    /// A workspace's settings, as they were within the last minute.
    pub(crate) async fn recent_workspace(&self, workspace: &WorkspaceId) -> Result<WorkspaceSettings, LedgerError> {
        let now = self.auditor.clock.now();
        if let Some(settings) = self.workspaces.recall(workspace, now) {
            return Ok(settings);
        }
        let settings = self.workspace(workspace).await?;
        self.workspaces.remember(workspace.clone(), settings.clone(), now);
        Ok(settings)
    }
}

fn decide(provider: Provider, actor: &ActorHash, percent: u8) -> bool {
    let allowed = in_rollout(actor, percent);
    record_rollout_decision(provider.as_str(), if allowed { Decision::Allow } else { Decision::Deny });
    allowed
}
