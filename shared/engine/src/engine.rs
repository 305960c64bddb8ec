use std::{sync::Arc, time::Duration};

use domain::{Allowlist, Provider, RecipientDomains};
use telemetry::Metrics;

use crate::{
    access::Rollouts,
    catalogue::Catalogue,
    keys::Keys,
    limits::{Limits, OpenJobs},
    ports::{Budget, Cache, Clock, Connections, Ids, Ledger, Model, OAuth, Queue, Vault},
    settings::Workspaces,
};

/// Everything a use case needs. Cheap to share behind an `Arc`.
pub struct Engine {
    /// What can be done.
    pub catalogue: Catalogue,
    /// What must not be lost.
    pub ledger: Arc<dyn Ledger>,
    /// What makes things quick.
    pub cache: Arc<dyn Cache>,
    /// What the model may cost.
    pub budget: Arc<dyn Budget>,
    /// What brings jobs to workers.
    pub queue: Arc<dyn Queue>,
    /// Who plans.
    pub model: Arc<dyn Model>,
    /// Whose accounts.
    pub connections: Arc<dyn Connections>,
    /// How accounts are connected.
    pub oauth: Arc<dyn OAuth>,
    /// What seals contents at rest.
    pub vault: Arc<dyn Vault>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids and chance.
    pub ids: Arc<dyn Ids>,
    /// What the rollout gate read last.
    pub rollouts: Rollouts,
    /// The API keys that were read last.
    pub keys: Keys,
    /// What is counted; to be flushed before an invocation answers.
    pub metrics: Metrics,
    /// The settings of workspaces that were read last.
    pub workspaces: Workspaces,
    /// The counts of open jobs that were read last.
    pub open_jobs: OpenJobs,
    /// What the operator has set.
    pub settings: Settings,
}

/// What the operator has set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The actions that may run.
    pub allowlist: Allowlist,
    /// The domains that mail may go to.
    pub recipient_domains: RecipientDomains,
    /// Nothing is executed but a plan by its id.
    pub require_plan: bool,
    /// The rollout gate's percent where the ledger holds none.
    pub google_rollout_percent: u8,
    /// The same for Microsoft.
    pub microsoft_rollout_percent: u8,
    /// The model's tokens in any 60 seconds.
    pub max_tokens_per_minute: u64,
    /// How much a key and its workspace may ask for.
    pub limits: Limits,
    /// How long one send, or the making of a draft, may take with all of its requests.
    pub provider_timeout: Duration,
    /// This API's own address, without a slash at its end: what a provider sends people back to, and what links begin with.
    pub public_url: String,
    /// How long a message stays unseen after it was received; an open job that nobody touched for longer is overdue.
    pub visibility_timeout: Duration,
}

impl Settings {
    /// How an account is connected, for a person.
    pub(crate) fn how_to_connect(&self, provider: Provider) -> String {
        let url = &self.public_url;
        format!("Connect the account at {url}/dev/action-runner.html (or POST {url}/oauth/{provider}/start)")
    }

    /// The rollout gate's percent where the ledger holds none.
    pub(crate) fn rollout_percent(&self, provider: Provider) -> u8 {
        match provider {
            Provider::Google => self.google_rollout_percent,
            Provider::Microsoft => self.microsoft_rollout_percent,
        }
    }
}
