//! Builds the use cases from their parts.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use domain::{Allowlist, Provider, RecipientDomains, Via};
use jiff::SignedDuration;
use telemetry::Metrics;

use crate::{
    accounts::{Accounts, PastedTokens},
    audit::Auditor,
    catalogue::{Catalogue, CatalogueView},
    connect::Connector,
    evaluation::Evaluator,
    execute::{Executor, OpenJobs},
    gate::Gate,
    health::Health,
    job_store::JobStore,
    jobs::JobService,
    keys::KeyStore,
    limits::{Limits, RateLimiter},
    plan::{PlanStore, Planner, TokenBudget},
    ports::{Budget, CachePorts, Clock, Ids, LedgerPorts, Model, OAuth, Queue, Vault},
    preview::Previewer,
    settings::OperatorSettings,
    sweep::Sweeper,
    work::Worker,
};

/// What the use cases are built from.
#[derive(Clone)]
pub struct Parts {
    /// The actions.
    pub catalogue: Catalogue,
    /// What must not be lost.
    pub ledger: LedgerPorts,
    /// What makes things quick.
    pub cache: CachePorts,
    /// The budget of the model's tokens.
    pub budget: Arc<dyn Budget>,
    /// Brings jobs to workers.
    pub queue: Arc<dyn Queue>,
    /// Plans.
    pub model: Arc<dyn Model>,
    /// Connects accounts and renews their tokens.
    pub oauth: Arc<dyn OAuth>,
    /// Seals contents at rest.
    pub vault: Arc<dyn Vault>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids and chance.
    pub ids: Arc<dyn Ids>,
    /// The recorder; flushed before an invocation answers.
    pub metrics: Metrics,
    /// The operator's options.
    pub options: Options,
}

/// What the operator has set.
#[derive(Debug, Clone)]
pub struct Options {
    /// The actions that may run; if not set, every action of the catalogue.
    pub allowlist: Option<Allowlist>,
    /// The domains that recipients may be of.
    pub recipient_domains: RecipientDomains,
    /// Nothing is executed but a plan by its id.
    pub require_plan: bool,
    /// Each provider's rollout in percent where the ledger holds none; a missing one is 100.
    pub rollout: BTreeMap<Provider, u8>,
    /// How long this process goes by a rollout that it has read.
    pub rollout_good_for: SignedDuration,
    /// Whether all actions go to the providers or to the sandbox; if not set, to the providers that are connected.
    pub provider_mode: Option<Via>,
    /// Tokens that were pasted by hand.
    pub pasted: PastedTokens,
    /// The model's tokens in any 60 seconds.
    pub max_tokens_per_minute: u64,
    /// The limits of keys and workspaces.
    pub limits: Limits,
    /// How long one operation at a provider may take, with all of its requests.
    pub provider_timeout: Duration,
    /// This API's own address, without a slash at its end: providers send people back to it, and links begin with it.
    pub public_url: String,
    /// How long a message stays unseen after it was received; an open job that was not touched for longer is overdue.
    pub visibility_timeout: Duration,
}

/// The use cases, built once; cheap to share behind an `Arc`.
pub struct Engine {
    /// Turns a prompt into a plan, and replays plans.
    pub planner: Arc<Planner>,
    /// Measures a planner.
    pub evaluator: Evaluator,
    /// Accepts actions as jobs.
    pub executor: Executor,
    /// Carries jobs out.
    pub worker: Worker,
    /// Looks jobs up; cancels, retries and resolves them.
    pub jobs: JobService,
    /// Shows an action as it would go out.
    pub previewer: Previewer,
    /// Connects and disconnects accounts.
    pub connector: Connector,
    /// The catalogue as a caller sees it.
    pub actions: CatalogueView,
    /// Finds jobs whose message was lost, and erases what has expired.
    pub sweeper: Sweeper,
    /// Tells callers apart by their API keys, and makes and ends keys.
    pub keys: Arc<KeyStore>,
    /// Counts requests.
    pub limiter: Arc<RateLimiter>,
    /// Reads and writes the audit.
    pub auditor: Arc<Auditor>,
    /// Reads and changes the operator's settings.
    pub settings: Arc<OperatorSettings>,
    /// Whether the stores answer, and how long the queue is.
    pub health: Health,
    /// The actions.
    pub catalogue: Arc<Catalogue>,
    /// Brings jobs to workers.
    pub queue: Arc<dyn Queue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Ids and chance.
    pub ids: Arc<dyn Ids>,
    /// The recorder; flushed before an invocation answers.
    pub metrics: Metrics,
}

impl Engine {
    /// Wires the use cases.
    pub fn new(parts: Parts) -> Self {
        let Parts { catalogue, ledger, cache, budget, queue, model, oauth, vault, clock, ids, metrics, options } =
            parts;
        let catalogue = Arc::new(catalogue);
        let limiter = Arc::new(RateLimiter::new(cache.rate_limits, &options.limits));
        let auditor = Arc::new(Auditor { audit: ledger.audit, clock: clock.clone(), ids: ids.clone() });
        let keys = Arc::new(KeyStore::new(ledger.keys, limiter.clone(), clock.clone(), ids.clone()));
        let settings = Arc::new(OperatorSettings::new(
            ledger.settings,
            cache.rollouts,
            auditor.clone(),
            options.rollout,
            options.rollout_good_for,
        ));
        let every_action = || catalogue.iter().map(|action| action.spec().action_id()).collect();
        let gate = Arc::new(Gate {
            allowlist: options.allowlist.unwrap_or_else(every_action),
            recipient_domains: options.recipient_domains,
            settings: settings.clone(),
            keys: keys.clone(),
        });
        let accounts = Arc::new(Accounts {
            mode: options.provider_mode,
            pasted: options.pasted,
            connections: ledger.connections,
            vault: vault.clone(),
            locks: cache.locks,
            oauth,
            clock: clock.clone(),
            ids: ids.clone(),
        });
        let jobs = Arc::new(JobStore { ledger: ledger.jobs, cache: cache.jobs, queue: queue.clone() });
        let plans = Arc::new(PlanStore {
            plans: ledger.plans,
            vault: vault.clone(),
            auditor: auditor.clone(),
            clock: clock.clone(),
        });
        let planner = Arc::new(Planner {
            catalogue: catalogue.clone(),
            model,
            budget: TokenBudget {
                budget,
                ids: ids.clone(),
                per_minute: options.max_tokens_per_minute,
                prompt_bytes: options.limits.prompt_bytes,
            },
            plans: plans.clone(),
            gate: gate.clone(),
            limiter: limiter.clone(),
            auditor: auditor.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
        });
        Self {
            evaluator: Evaluator { planner: planner.clone() },
            executor: Executor {
                catalogue: catalogue.clone(),
                jobs: jobs.clone(),
                claims: cache.claims,
                plans,
                accounts: accounts.clone(),
                vault: vault.clone(),
                gate: gate.clone(),
                limiter: limiter.clone(),
                auditor: auditor.clone(),
                clock: clock.clone(),
                require_plan: options.require_plan,
                open_jobs: OpenJobs::new(jobs.ledger.clone(), options.limits.open_jobs),
            },
            worker: Worker {
                catalogue: catalogue.clone(),
                jobs: jobs.clone(),
                outbox: ledger.outbox.clone(),
                accounts: accounts.clone(),
                vault: vault.clone(),
                gate: gate.clone(),
                clock: clock.clone(),
                ids: ids.clone(),
                provider_timeout: options.provider_timeout,
                public_url: options.public_url.clone(),
            },
            jobs: JobService {
                jobs: jobs.clone(),
                outbox: ledger.outbox,
                vault,
                gate: gate.clone(),
                auditor: auditor.clone(),
                clock: clock.clone(),
            },
            previewer: Previewer {
                catalogue: catalogue.clone(),
                accounts: accounts.clone(),
                gate: gate.clone(),
                clock: clock.clone(),
                ids: ids.clone(),
            },
            connector: Connector {
                catalogue: catalogue.clone(),
                accounts: accounts.clone(),
                consents: cache.consents,
                gate: gate.clone(),
                auditor: auditor.clone(),
                public_url: options.public_url,
            },
            actions: CatalogueView { catalogue: catalogue.clone(), gate, accounts },
            sweeper: Sweeper {
                jobs: jobs.clone(),
                upkeep: ledger.upkeep.clone(),
                clock: clock.clone(),
                visibility_timeout: options.visibility_timeout,
            },
            health: Health { jobs, upkeep: ledger.upkeep, cache: cache.health, clock: clock.clone() },
            planner,
            keys,
            limiter,
            auditor,
            settings,
            catalogue,
            queue,
            clock,
            ids,
            metrics,
        }
    }
}
