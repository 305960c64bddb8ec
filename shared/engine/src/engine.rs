//! Builds the use cases from their parts.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{Allowlist, Provider, RecipientDomains, Via};
use jiff::SignedDuration;
use telemetry::Metrics;

use crate::{
    accounts::{Accounts, PastedTokens},
    approval::{ApprovalOptions, ApprovalRules},
    audit::Auditor,
    catalogue::{Catalogue, CatalogueView},
    connect::Connector,
    execute::{Executor, OPEN_JOBS_PAUSE},
    gate::Gate,
    health::Health,
    job_store::{JobStore, SUMMARIES},
    jobs::JobService,
    keys::{KeyStore, MISSING_FOR},
    limits::{Limits, RateLimiter},
    plan::{Briefings, PlanStore, Planner, Resolver},
    ports::{
        AccessTokens, Budget, CachePorts, Clock, Finder, Ids, LedgerPorts, Model, OAuth, Queue, StoredSecrets, Vault,
        WebhookSender,
    },
    rate_counts::RateCounts,
    recent::Recent,
    refusals::Refusals,
    reseal::Resealer,
    sandbox::Sandbox,
    settings::OperatorSettings,
    sweep::Sweeper,
    warnings::Lookout,
    webhooks::{Flights, WebhookService},
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
    /// Brings jobs and webhook deliveries to workers.
    pub queue: Arc<dyn Queue>,
    /// Plans.
    pub model: Arc<dyn Model>,
    /// Plans while `model` is unreachable or busy.
    pub fallback_model: Option<Arc<dyn Model>>,
    /// Connects accounts and renews their tokens.
    pub oauth: Arc<dyn OAuth>,
    /// Read the accounts of each provider.
    pub finders: BTreeMap<Provider, Arc<dyn Finder>>,
    /// Reads the made-up account of sandbox mode.
    pub sandbox_finder: Arc<dyn Finder>,
    /// Reads access tokens; none where API keys are the only credentials.
    pub tokens: Option<Arc<dyn AccessTokens>>,
    /// Seals contents at rest.
    pub vault: Arc<dyn Vault>,
    /// Tells which stored secrets have no value.
    pub secrets: Arc<dyn StoredSecrets>,
    /// Posts webhooks.
    pub webhooks: Arc<dyn WebhookSender>,
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
    /// The operator's own domains; recipients elsewhere are warned of.
    pub internal_domains: RecipientDomains,
    /// Which jobs are held until a person approves them, and how long what reaches people can be cancelled.
    pub approval: ApprovalOptions,
    /// Nothing is executed but a plan by its id.
    pub require_plan: bool,
    /// Each provider's rollout in percent where the ledger holds none; a missing one is 100.
    pub rollout: BTreeMap<Provider, u8>,
    /// How long this process goes by a rollout that it has read.
    pub rollout_good_for: SignedDuration,
    /// How long this process goes by a key, and by a workspace's settings, that it has read.
    pub ledger_good_for: SignedDuration,
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
    /// Turns a prompt into a plan, replays plans, and measures itself.
    pub planner: Arc<Planner>,
    /// Looks up in the accounts what plans refer to.
    pub resolver: Resolver,
    /// Accepts actions as jobs.
    pub executor: Executor,
    /// Carries jobs out.
    pub worker: Worker,
    /// Looks jobs up; cancels, retries and resolves them.
    pub jobs: JobService,
    /// Connects and disconnects accounts.
    pub connector: Connector,
    /// Shows the made-up account of sandbox mode.
    pub sandbox: Sandbox,
    /// The catalogue as a caller sees it, and its actions as they would go out.
    pub actions: CatalogueView,
    /// Finds jobs whose message was lost, and erases what has expired.
    pub sweeper: Sweeper,
    /// Keeps webhook endpoints, and delivers to them.
    pub webhooks: Arc<WebhookService>,
    /// Seals the ledger's texts again after a change of the key.
    pub resealer: Resealer,
    /// Tells callers apart by their API keys, and makes and ends keys.
    pub keys: Arc<KeyStore>,
    /// Records refused callers.
    pub refusals: Refusals,
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
    /// Brings jobs and webhook deliveries to workers.
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
        let Parts { catalogue, ledger, cache, budget, queue, model, fallback_model, .. } = parts;
        let Parts {
            finders,
            sandbox_finder,
            oauth,
            tokens,
            vault,
            secrets,
            webhooks,
            clock,
            ids,
            metrics,
            options,
            ..
        } = parts;
        let catalogue = Arc::new(catalogue);
        let limiter = Arc::new(RateLimiter {
            counts: cache.rate_limits.clone(),
            limits: options.limits.clone(),
            seen: Recent::default(),
            clock: clock.clone(),
            floor: Mutex::new(RateCounts::default()),
        });
        let auditor =
            Arc::new(Auditor { audit: ledger.audit, limiter: limiter.clone(), clock: clock.clone(), ids: ids.clone() });
        let keys = Arc::new(KeyStore {
            keys: ledger.keys,
            tokens,
            limiter: limiter.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            read: Recent::good_for(options.ledger_good_for),
            missing: Recent::good_for(MISSING_FOR),
            used: Recent::good_for(SignedDuration::from_hours(24)),
        });
        let refusals = Refusals::new(auditor.clone(), clock.clone());
        let settings = Arc::new(OperatorSettings {
            ledger: ledger.settings,
            cache: cache.rollouts,
            auditor: auditor.clone(),
            defaults: options.rollout,
            rollouts: Recent::good_for(options.rollout_good_for),
            workspaces: Recent::good_for(options.ledger_good_for),
        });
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
            locks: cache.locks.clone(),
            oauth,
            clock: clock.clone(),
            ids: ids.clone(),
        });
        let jobs = Arc::new(JobStore {
            ledger: ledger.jobs,
            cache: cache.jobs,
            queue: queue.clone(),
            summaries: Recent::good_for(SUMMARIES),
        });
        let expires_after = options.approval.expires_after;
        let approval =
            Arc::new(ApprovalRules { options: options.approval, internal: options.internal_domains.clone() });
        let lookout =
            Arc::new(Lookout { internal: options.internal_domains, jobs: jobs.clone(), clock: clock.clone() });
        let (outbox, upkeep) = (ledger.outbox, ledger.upkeep);
        let webhooks = Arc::new(WebhookService {
            ledger: ledger.webhooks,
            sender: webhooks,
            vault: vault.clone(),
            queue: queue.clone(),
            auditor: auditor.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            flights: Flights::default(),
        });
        let resealer = Resealer { texts: ledger.sealed_texts, vault: vault.clone() };
        let plans = Arc::new(PlanStore {
            plans: ledger.plans,
            auditor: auditor.clone(),
            vault: vault.clone(),
            clock: clock.clone(),
        });
        let planner = Arc::new(Planner {
            catalogue: catalogue.clone(),
            gate: gate.clone(),
            auditor: auditor.clone(),
            limiter: limiter.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            tokens_per_minute: options.max_tokens_per_minute,
            prompt_bytes: options.limits.prompt_bytes,
            briefings: Briefings::default(),
            model,
            fallback_model,
            budget,
            plans: plans.clone(),
            lookout: lookout.clone(),
            accounts: accounts.clone(),
            approval: approval.clone(),
        });
        Self {
            planner: planner.clone(),
            resolver: Resolver { planner, finders: finders.clone(), sandbox_finder: sandbox_finder.clone() },
            executor: Executor {
                catalogue: catalogue.clone(),
                gate: gate.clone(),
                accounts: accounts.clone(),
                jobs: jobs.clone(),
                auditor: auditor.clone(),
                limiter: limiter.clone(),
                clock: clock.clone(),
                vault: vault.clone(),
                max_open_jobs: options.limits.open_jobs,
                require_plan: options.require_plan,
                approval: approval.clone(),
                claims: cache.claims,
                plans: plans.clone(),
                open_jobs: Recent::good_for(SignedDuration::try_from(OPEN_JOBS_PAUSE).unwrap_or_default()),
            },
            worker: Worker {
                catalogue: catalogue.clone(),
                gate: gate.clone(),
                accounts: accounts.clone(),
                jobs: jobs.clone(),
                clock: clock.clone(),
                ids: ids.clone(),
                vault: vault.clone(),
                outbox: outbox.clone(),
                rate_limits: cache.rate_limits.clone(),
                provider_timeout: options.provider_timeout,
                public_url: options.public_url.clone(),
                webhooks: webhooks.clone(),
            },
            jobs: JobService {
                catalogue: catalogue.clone(),
                gate: gate.clone(),
                accounts: accounts.clone(),
                jobs: jobs.clone(),
                auditor: auditor.clone(),
                limiter: limiter.clone(),
                clock: clock.clone(),
                vault: vault.clone(),
                approval: approval.clone(),
                outbox,
            },
            connector: Connector {
                catalogue: catalogue.clone(),
                gate: gate.clone(),
                accounts: accounts.clone(),
                jobs: jobs.clone(),
                auditor: auditor.clone(),
                clock: clock.clone(),
                ids: ids.clone(),
                vault,
                public_url: options.public_url,
                consents: cache.consents,
                finders,
            },
            sandbox: Sandbox { finder: sandbox_finder, clock: clock.clone() },
            actions: CatalogueView {
                catalogue: catalogue.clone(),
                gate,
                accounts,
                clock: clock.clone(),
                ids: ids.clone(),
                plans,
                lookout,
                approval,
            },
            sweeper: Sweeper {
                jobs: jobs.clone(),
                webhooks: webhooks.clone(),
                clock: clock.clone(),
                upkeep: upkeep.clone(),
                auditor: auditor.clone(),
                locks: cache.locks,
                ids: ids.clone(),
                visibility_timeout: options.visibility_timeout,
            },
            webhooks,
            resealer,
            health: Health { jobs, clock: clock.clone(), upkeep, cache: cache.health, secrets, expires_after },
            keys,
            refusals,
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
