//! Puts the program together from its configuration.

use std::{sync::Arc, time::Duration};

use adapters::{
    embedded::{FolderLock, MemoryBudget, MemoryCache, MemoryQueue},
    http::{self, ClientOptions, LazyClient},
    oauth::{OAuthClient, OAuthClients},
    openai::OpenAi,
    providers::{self, Apis, specs},
    redis::{RedisBudget, RedisCache, RedisConnection, RedisMetrics, RedisQueue},
    rules::RulesPlanner,
    secret::Secret,
    system::{SystemClock, SystemIds},
    vault::LocalVault,
};
use axum::Router;
use domain::{ActorHash, WorkspaceId};
use engine::{
    Engine, Options, Parts,
    accounts::PastedTokens,
    catalogue::Catalogue,
    ports::{Access, BUDGET_WINDOW, Budget, CachePorts, Clock, Ids, LedgerPorts, Model, Queue, Vault},
};
use jiff::SignedDuration;
use telemetry::{Metrics, Vocabulary};
use web::{Authenticator, Function, Web};

use crate::{Config, QueueConfig, SealingConfig, SecretConfig, config::TokenConfig};

/// Longer than a worker's lease, so that a message is not redelivered while a worker has its job.
const VISIBILITY_TIMEOUT: Duration = Duration::from_mins(1);
/// How long a rollout percentage is cached in the process, beside the minute in Redis.
const ROLLOUT_GOOD_FOR: SignedDuration = SignedDuration::from_secs(5);
/// Name of the queue in Redis.
const QUEUE_NAME: &str = "jobs";
/// Name of the token budget in Redis.
const BUDGET_NAME: &str = "budget";
/// Name of the metrics in Redis.
const METRICS_NAME: &str = "metrics";
/// Workspace of a server without keys.
const LOCAL: &str = "local";

/// The program, built but not running.
pub struct App {
    /// The use cases.
    pub engine: Arc<Engine>,
    /// Every route.
    pub router: Router,
    /// With the embedded ledger, keeps other servers out of its folder.
    pub lock: Option<FolderLock>,
}

/// A part that cannot be built, and why.
#[derive(Debug, thiserror::Error)]
#[error("{part}: {why}")]
pub struct BuildError {
    part: &'static str,
    why: String,
}

/// Builds the server. `public_url` is its own address.
pub async fn build(config: &Config, public_url: &str) -> Result<App, BuildError> {
    let lock = match config.ledger_table {
        None => Some(FolderLock::acquire(&config.data).map_err(failed("the data folder"))?),
        Some(_) => None,
    };
    let mut parts = parts(config)?;
    if config.public_url.is_none() {
        public_url.clone_into(&mut parts.options.public_url);
    }
    let engine = Arc::new(Engine::new(parts));
    let router = router(config, Arc::clone(&engine), public_url).await?;
    Ok(App { engine, router, lock })
}

/// All routes over these use cases. `public_url` is their address.
pub async fn router(config: &Config, engine: Arc<Engine>, public_url: &str) -> Result<Router, BuildError> {
    // As soon as the ledger has a key, even a revoked one, every request needs one.
    let authenticator = if engine.keys.list().await.map_err(failed("the ledger"))?.is_empty() {
        let actor = LOCAL.parse().expect("the constant is an actor id");
        Authenticator::Keyless { actor: ActorHash::of(&local(), &actor), workspace: local() }
    } else {
        Authenticator::Keys
    };
    Ok(web::router(web(config, engine, authenticator, public_url)))
}

/// The routes of one function on Lambda. A key is always required, and the ledger is not read before a request
/// needs it.
pub fn function(config: &Config, engine: Arc<Engine>, function: Function) -> Router {
    web::router_of(function, web(config, engine, Authenticator::Keys, ""))
}

fn web(config: &Config, engine: Arc<Engine>, authenticator: Authenticator, public_url: &str) -> Web {
    Web {
        engine,
        authenticator: Arc::new(authenticator),
        public_url: config.public_url.as_deref().unwrap_or(public_url).into(),
        dev_ui: config.dev_ui,
        origins: config.origins.iter().cloned().collect(),
    }
}

/// Builds the use cases with the adapters that the configuration selects.
pub fn engine(config: &Config) -> Result<Engine, BuildError> {
    Ok(Engine::new(parts(config)?))
}

/// The adapters and options that the environment names.
pub fn parts(config: &Config) -> Result<Parts, BuildError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn Ids> = Arc::new(SystemIds);
    let aws = Aws::new(&clock, &ids);
    let vault = vault(config, &aws)?;
    let catalogue = Catalogue::new(specs(), providers::actions(&apis(config)?));
    let metrics = Metrics::install(vocabulary(&catalogue));
    let stores = stores(config, &aws, &clock, &ids, metrics)?;
    let every_action = || catalogue.iter().map(|action| action.spec().action_id()).collect();
    let allowlist = config.allowlist.clone().unwrap_or_else(every_action);
    Ok(Parts {
        catalogue,
        ledger: stores.ledger,
        cache: stores.cache,
        budget: stores.budget,
        queue: stores.queue,
        model: model(config, &aws),
        oauth: Arc::new(oauth(config, &aws, &clock)),
        vault,
        clock,
        ids,
        metrics: stores.metrics,
        options: Options {
            allowlist,
            recipient_domains: config.recipient_domains.clone(),
            require_plan: config.require_plan,
            rollout: config.providers.iter().map(|(id, provider)| (*id, provider.rollout_percent)).collect(),
            rollout_good_for: ROLLOUT_GOOD_FOR,
            provider_mode: config.provider_mode,
            pasted: pasted(config),
            max_tokens_per_minute: config.max_tokens_per_minute,
            limits: config.limits.clone(),
            // One call may be two requests, such as one that reads a draft's state and one that sends it.
            provider_timeout: ClientOptions::PROVIDER.total * 2,
            public_url: config.public_url.clone().unwrap_or_else(|| format!("http://127.0.0.1:{}", config.port)),
            visibility_timeout: VISIBILITY_TIMEOUT,
        },
    })
}

struct Stores {
    ledger: LedgerPorts,
    cache: CachePorts,
    budget: Arc<dyn Budget>,
    queue: Arc<dyn Queue>,
    metrics: Metrics,
}

/// The label values that only the running program knows.
fn vocabulary(catalogue: &Catalogue) -> Vocabulary {
    let actions = catalogue.iter().map(|action| action.spec());
    let actions = actions.map(|spec| (spec.provider.as_str(), spec.id));
    Vocabulary::new(actions, web::routes().into_keys())
}

fn vault(config: &Config, aws: &Aws) -> Result<Arc<dyn Vault>, BuildError> {
    Ok(match &config.sealing {
        SealingConfig::KeyFile => Arc::new(LocalVault::from_file(&config.data).map_err(failed("TOKEN_KEY"))?),
        SealingConfig::Key(key) => Arc::new(LocalVault::from_secret(aws.secret(key))),
        #[cfg(feature = "aws")]
        SealingConfig::Kms(key_id) => {
            Arc::new(adapters::aws::KmsVault::new(Arc::clone(&aws.sdk), key_id, Arc::clone(&aws.clock)))
        }
    })
}

fn stores(
    config: &Config,
    aws: &Aws,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn Ids>,
    metrics: Metrics,
) -> Result<Stores, BuildError> {
    let redis = config.redis_url.as_ref().map(|url| {
        http::install_tls();
        Arc::new(RedisConnection::with_secret(aws.secret(url)))
    });
    let (cache, budget): (CachePorts, Arc<dyn Budget>) = match &redis {
        None => (
            CachePorts::of(Arc::new(MemoryCache::new(Arc::clone(clock)))),
            Arc::new(MemoryBudget::new(Arc::clone(clock), BUDGET_WINDOW)),
        ),
        Some(redis) => (
            CachePorts::of(Arc::new(RedisCache::new(Arc::clone(redis)))),
            Arc::new(RedisBudget::new(Arc::clone(redis), BUDGET_NAME, BUDGET_WINDOW)),
        ),
    };
    let metrics = match &redis {
        None => metrics,
        Some(redis) => {
            metrics.with_store(Arc::new(RedisMetrics::new(Arc::clone(redis), METRICS_NAME, Arc::clone(ids))))
        }
    };
    let queue: Arc<dyn Queue> = match (&config.queue, redis) {
        #[cfg(feature = "aws")]
        (QueueConfig::Sqs(url), _) => aws.queue(url),
        (QueueConfig::Redis, Some(redis)) => {
            Arc::new(RedisQueue::new(redis, QUEUE_NAME, VISIBILITY_TIMEOUT, Arc::clone(clock), Arc::clone(ids)))
        }
        (QueueConfig::Redis | QueueConfig::Embedded, _) => {
            Arc::new(MemoryQueue::new(Arc::clone(clock), VISIBILITY_TIMEOUT))
        }
    };
    let ledger = match &config.ledger_table {
        #[cfg(feature = "aws")]
        Some(table) => LedgerPorts::of(Arc::new(aws.ledger(table))),
        _ => embedded_ledger(config, clock)?,
    };
    Ok(Stores { ledger, cache, budget, queue, metrics })
}

#[cfg(feature = "sqlite")]
fn embedded_ledger(config: &Config, clock: &Arc<dyn Clock>) -> Result<LedgerPorts, BuildError> {
    let ledger = adapters::embedded::SqliteLedger::open(&config.data, Arc::clone(clock));
    Ok(LedgerPorts::of(Arc::new(ledger.map_err(failed("the ledger"))?)))
}

#[cfg(not(feature = "sqlite"))]
fn embedded_ledger(_: &Config, _: &Arc<dyn Clock>) -> Result<LedgerPorts, BuildError> {
    Err(BuildError { part: "LEDGER_TABLE", why: "must be set: this build has no embedded ledger".to_owned() })
}

/// Creates the table `LEDGER_TABLE`, unless it exists.
#[cfg(feature = "aws")]
pub async fn create_table(config: &Config) -> Result<(), BuildError> {
    let table = config.ledger_table.as_ref().ok_or("must be set").map_err(failed("LEDGER_TABLE"))?;
    Aws::system().ledger(table).create_table().await.map_err(failed("LEDGER_TABLE"))
}

/// The dead-letter queue of `DEAD_LETTER_QUEUE_URL`.
#[cfg(feature = "aws")]
pub fn dead_letters(config: &Config) -> Option<Arc<dyn Queue>> {
    config.dead_letter_queue.as_ref().map(|url| Aws::system().queue(url))
}

/// Without AWS there is no dead-letter queue.
#[cfg(not(feature = "aws"))]
pub fn dead_letters(_: &Config) -> Option<Arc<dyn Queue>> {
    None
}

/// The adapters of AWS. Empty in a build without the feature `aws`, where the configuration refers to none of them.
struct Aws {
    #[cfg(feature = "aws")]
    sdk: Arc<adapters::aws::Sdk>,
    #[cfg(feature = "aws")]
    secrets: Arc<adapters::aws::SecretsManager>,
    #[cfg(feature = "aws")]
    clock: Arc<dyn Clock>,
    #[cfg(feature = "aws")]
    ids: Arc<dyn Ids>,
}

#[cfg(not(feature = "aws"))]
impl Aws {
    fn new(_: &Arc<dyn Clock>, _: &Arc<dyn Ids>) -> Self {
        Self {}
    }
}

#[cfg(feature = "aws")]
impl Aws {
    fn new(clock: &Arc<dyn Clock>, ids: &Arc<dyn Ids>) -> Self {
        let sdk = adapters::aws::Sdk::new();
        let secrets = Arc::new(adapters::aws::SecretsManager::new(Arc::clone(&sdk), Arc::clone(clock)));
        Self { sdk, secrets, clock: Arc::clone(clock), ids: Arc::clone(ids) }
    }

    /// By the system's clock and ids.
    fn system() -> Self {
        Self::new(&(Arc::new(SystemClock) as _), &(Arc::new(SystemIds) as _))
    }

    fn queue(&self, url: &str) -> Arc<dyn Queue> {
        let (sdk, clock, ids) = (Arc::clone(&self.sdk), Arc::clone(&self.clock), Arc::clone(&self.ids));
        Arc::new(adapters::aws::SqsQueue::new(sdk, url, clock, ids))
    }

    fn ledger(&self, table: &str) -> adapters::aws::DynamoLedger {
        let (sdk, clock, ids) = (Arc::clone(&self.sdk), Arc::clone(&self.clock), Arc::clone(&self.ids));
        adapters::aws::DynamoLedger::new(sdk, table, clock, ids)
    }
}

impl Aws {
    /// The secret that a variable contains or refers to.
    #[cfg_attr(not(feature = "aws"), expect(clippy::unused_self, reason = "stored secrets need it"))]
    fn secret(&self, secret: &SecretConfig) -> Secret {
        match secret {
            SecretConfig::Value(secret) => Secret::Given(secret.clone()),
            #[cfg(feature = "aws")]
            SecretConfig::Arn(arn) => Secret::Stored { manager: Arc::clone(&self.secrets), arn: arn.as_str().into() },
        }
    }
}

fn local() -> WorkspaceId {
    LOCAL.parse().expect("the constant is a workspace id")
}

fn apis(config: &Config) -> Result<Apis, BuildError> {
    let addresses = config.providers.values().flat_map(|provider| provider.apis.clone()).collect();
    Apis::new(&LazyClient::new(ClientOptions::PROVIDER), &addresses).map_err(failed("a provider's API"))
}

fn model(config: &Config, aws: &Aws) -> Arc<dyn Model> {
    let Some(planner) = config.planner.clone() else { return Arc::new(RulesPlanner) };
    let http = LazyClient::new(ClientOptions::MODEL);
    let key = planner.key.map(|key| aws.secret(&key));
    Arc::new(OpenAi::new(http, &planner.base_url, key, planner.model, planner.max_output_tokens))
}

fn oauth(config: &Config, aws: &Aws, clock: &Arc<dyn Clock>) -> OAuthClients {
    let clients = config.providers.iter().filter_map(|(provider, config)| {
        let client = config.client.as_ref()?;
        let client = OAuthClient {
            client_id: client.client_id.clone(),
            client_secret: aws.secret(&client.client_secret),
            auth_url: client.auth_url.clone(),
            token_url: client.token_url.clone(),
            revoke_url: client.revoke_url.clone(),
        };
        Some((*provider, client))
    });
    OAuthClients::new(LazyClient::new(ClientOptions::PROVIDER), Arc::clone(clock), clients.collect())
}

fn pasted(config: &Config) -> PastedTokens {
    let tokens = config.providers.iter().filter_map(|(provider, config)| {
        let TokenConfig { token, scopes } = config.token.clone()?;
        Some((*provider, Access { token, scopes, address: None, account: None }))
    });
    PastedTokens { workspace: local(), tokens: tokens.collect() }
}

fn failed<E: std::fmt::Display>(part: &'static str) -> impl FnOnce(E) -> BuildError {
    move |error| BuildError { part, why: error.to_string() }
}
