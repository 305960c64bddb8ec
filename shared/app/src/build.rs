//! Puts the program together from its configuration.

use std::{sync::Arc, time::Duration};

use adapters::{
    actions::{self, Apis},
    embedded::{
        FolderLock, LocalVault, MemoryBudget, MemoryCache, MemoryQueue, StoredKeyVault, SystemClock, SystemIds,
    },
    google::GmailApi,
    http::{self, ClientOptions, LazyClient},
    microsoft::GraphApi,
    oauth::{OAuthClient, OAuthClients},
    offline::OfflinePlanner,
    openai::OpenAi,
    redis::{RedisBudget, RedisCache, RedisConnection, RedisMetrics, RedisQueue},
    secret::Secret,
};
use axum::Router;
use domain::{ActorHash, Provider, WorkspaceId};
use engine::{
    Engine, Options, Parts,
    accounts::PastedTokens,
    catalogue::Catalogue,
    ports::{Access, BUDGET_WINDOW, Budget, CachePorts, Clock, Ids, LedgerPorts, Model, Queue, Vault},
};
use jiff::SignedDuration;
use secrecy::ExposeSecret;
use telemetry::{Metrics, Vocabulary};
use web::{Function, Web, door::Door};

use crate::{Config, QueueConfig, SealingConfig, SecretConfig};

/// Longer than a worker's lease, so that a message does not come again while a worker has its job.
const VISIBILITY_TIMEOUT: Duration = Duration::from_mins(1);
/// A process follows a change of the rollout within this and a minute.
const ROLLOUT_GOOD_FOR: SignedDuration = SignedDuration::from_secs(5);
/// The queue's name in Redis.
const QUEUE_NAME: &str = "jobs";
/// The token budget's name in Redis.
const BUDGET_NAME: &str = "budget";
/// The metrics' name in Redis.
const METRICS_NAME: &str = "metrics";
/// The workspace of a server without keys.
const LOCAL: &str = "local";

/// The program, put together and not yet running.
pub struct App {
    /// The use cases.
    pub engine: Arc<Engine>,
    /// Every route.
    pub router: Router,
    /// Where the ledger is this process's own: no other server works in its folder.
    pub lock: Option<FolderLock>,
}

/// A part that cannot be put together; says which, and why.
#[derive(Debug, thiserror::Error)]
#[error("{part}: {why}")]
pub struct BuildError {
    part: &'static str,
    why: String,
}

/// Puts the server together. `public_url` is where it is reached.
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

/// Every route over these use cases. `public_url` is where they are reached.
pub async fn router(config: &Config, engine: Arc<Engine>, public_url: &str) -> Result<Router, BuildError> {
    // With a key in the ledger, even a revoked one, every request needs one.
    let door = if engine.keys.list().await.map_err(failed("the ledger"))?.is_empty() {
        let actor = LOCAL.parse().expect("the constant is an actor id");
        Door::Keyless { actor: ActorHash::of(&local(), &actor), workspace: local() }
    } else {
        Door::Keys
    };
    Ok(web::router(web(config, engine, door, public_url)))
}

/// The routes that one function serves on Lambda: a credential is always wanted, and nothing is asked of
/// the ledger before a request needs it.
pub fn function(config: &Config, engine: Arc<Engine>, function: Function) -> Router {
    web::router_of(function, web(config, engine, Door::Keys, ""))
}

fn web(config: &Config, engine: Arc<Engine>, door: Door, public_url: &str) -> Web {
    Web {
        engine,
        door: Arc::new(door),
        public_url: config.public_url.as_deref().unwrap_or(public_url).into(),
        dev_ui: config.dev_ui,
        origins: config.origins.iter().cloned().collect(),
    }
}

/// The use cases over the adapters that the environment names.
pub fn engine(config: &Config) -> Result<Engine, BuildError> {
    Ok(Engine::new(parts(config)?))
}

/// The adapters and options that the environment names.
pub fn parts(config: &Config) -> Result<Parts, BuildError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn Ids> = Arc::new(SystemIds);
    let aws = Aws::new(&clock);
    let vault = vault(config, &aws, &clock)?;
    let catalogue = Catalogue::new(actions::all(&apis(config)?));
    let metrics = Metrics::install(vocabulary(&catalogue));
    let stores = stores(config, &aws, &clock, &ids, metrics)?;
    Ok(Parts {
        catalogue,
        ledger: stores.ledger,
        cache: stores.cache,
        budget: stores.budget,
        queue: stores.queue,
        model: model(config, &aws)?,
        oauth: Arc::new(oauth(config, &aws, &clock)?),
        vault,
        clock,
        ids,
        metrics: stores.metrics,
        options: Options {
            allowlist: config.allowlist.clone(),
            recipient_domains: config.recipient_domains.clone(),
            require_plan: config.require_plan,
            rollout: [
                (Provider::Google, config.google_rollout_percent),
                (Provider::Microsoft, config.microsoft_rollout_percent),
            ]
            .into(),
            rollout_good_for: ROLLOUT_GOOD_FOR,
            provider_mode: config.provider_mode,
            pasted: pasted(config),
            max_tokens_per_minute: config.max_tokens_per_minute,
            limits: config.limits.clone(),
            // Graph is asked twice for a send: whether the draft is still one, then to send it.
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

/// The names that become labels.
fn vocabulary(catalogue: &Catalogue) -> Vocabulary {
    let actions = catalogue.iter().map(|action| action.about());
    let actions = actions.map(|about| (engine::labels::provider(about.provider), about.id)).collect();
    Vocabulary { actions, routes: web::ROUTES.iter().map(|(route, _)| *route).collect() }
}

fn vault(config: &Config, aws: &Aws, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Vault>, BuildError> {
    Ok(match &config.sealing {
        SealingConfig::KeyFile => Arc::new(LocalVault::from_file(&config.data).map_err(failed("TOKEN_KEY"))?),
        SealingConfig::Key(SecretConfig::Value(key)) => {
            Arc::new(LocalVault::from_text(key.expose_secret()).map_err(failed("TOKEN_KEY"))?)
        }
        SealingConfig::Key(key) => Arc::new(StoredKeyVault::new(aws.secret("TOKEN_KEY", key)?)),
        SealingConfig::Kms(key_id) => aws.vault(key_id, clock)?,
    })
}

fn stores(
    config: &Config,
    aws: &Aws,
    clock: &Arc<dyn Clock>,
    ids: &Arc<dyn Ids>,
    metrics: Metrics,
) -> Result<Stores, BuildError> {
    let redis = match &config.redis_url {
        None => None,
        Some(url) => {
            http::install_tls();
            let connection = match url {
                SecretConfig::Value(url) => RedisConnection::new(url.expose_secret()).map_err(failed("REDIS_URL"))?,
                kept @ SecretConfig::Arn(_) => RedisConnection::with_secret(aws.secret("REDIS_URL", kept)?),
            };
            Some(Arc::new(connection))
        }
    };
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
        (QueueConfig::Sqs(url), _) => aws.queue(url, clock, ids)?,
        (QueueConfig::Redis, Some(redis)) => {
            Arc::new(RedisQueue::new(redis, QUEUE_NAME, VISIBILITY_TIMEOUT, Arc::clone(clock), Arc::clone(ids)))
        }
        (QueueConfig::Redis | QueueConfig::Embedded, _) => {
            Arc::new(MemoryQueue::new(Arc::clone(clock), VISIBILITY_TIMEOUT))
        }
    };
    let ledger = match &config.ledger_table {
        Some(table) => aws.ledger(table, clock, ids)?,
        None => embedded_ledger(config, clock)?,
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
    Err(BuildError { part: "LEDGER_TABLE", why: "must be set: this build has no ledger of its own".to_owned() })
}

/// Makes the table that `LEDGER_TABLE` names; one that is there already is left as it is.
#[cfg(feature = "aws")]
pub async fn create_table(config: &Config) -> Result<(), BuildError> {
    let table = config.ledger_table.as_ref().ok_or("must be set").map_err(failed("LEDGER_TABLE"))?;
    let (clock, ids) = (Arc::new(SystemClock), Arc::new(SystemIds));
    let ledger = adapters::aws::DynamoLedger::new(adapters::aws::Sdk::new(), table, clock, ids);
    ledger.create_table().await.map_err(failed("LEDGER_TABLE"))
}

/// The queue of dead letters that `DEAD_LETTER_QUEUE_URL` names.
pub fn dead_letters(config: &Config) -> Result<Option<Arc<dyn Queue>>, BuildError> {
    let (clock, ids): (Arc<dyn Clock>, Arc<dyn Ids>) = (Arc::new(SystemClock), Arc::new(SystemIds));
    config.dead_letter_queue.as_ref().map(|url| Aws::new(&clock).queue(url, &clock, &ids)).transpose()
}

/// The adapters of AWS; in a build without the feature `aws`, what says that they are missing.
struct Aws {
    #[cfg(feature = "aws")]
    sdk: Arc<adapters::aws::Sdk>,
    #[cfg(feature = "aws")]
    secrets: Arc<adapters::aws::SecretsManager>,
}

#[cfg(feature = "aws")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature there is an error here")]
impl Aws {
    fn new(clock: &Arc<dyn Clock>) -> Self {
        let sdk = adapters::aws::Sdk::new();
        let secrets = Arc::new(adapters::aws::SecretsManager::new(Arc::clone(&sdk), Arc::clone(clock)));
        Self { sdk, secrets }
    }

    fn queue(&self, url: &str, clock: &Arc<dyn Clock>, ids: &Arc<dyn Ids>) -> Result<Arc<dyn Queue>, BuildError> {
        let (sdk, clock, ids) = (Arc::clone(&self.sdk), Arc::clone(clock), Arc::clone(ids));
        Ok(Arc::new(adapters::aws::SqsQueue::new(sdk, url, clock, ids)))
    }

    fn ledger(&self, table: &str, clock: &Arc<dyn Clock>, ids: &Arc<dyn Ids>) -> Result<LedgerPorts, BuildError> {
        let (sdk, clock, ids) = (Arc::clone(&self.sdk), Arc::clone(clock), Arc::clone(ids));
        Ok(LedgerPorts::of(Arc::new(adapters::aws::DynamoLedger::new(sdk, table, clock, ids))))
    }

    fn vault(&self, key_id: &str, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Vault>, BuildError> {
        Ok(Arc::new(adapters::aws::KmsVault::new(Arc::clone(&self.sdk), key_id, Arc::clone(clock))))
    }

    /// The secret that a variable holds or names.
    fn secret(&self, _: &'static str, secret: &SecretConfig) -> Result<Secret, BuildError> {
        Ok(match secret {
            SecretConfig::Value(secret) => secret.clone().into(),
            SecretConfig::Arn(arn) => Secret::kept(self.secrets.clone(), arn),
        })
    }
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_self, reason = "with the feature it is used")]
impl Aws {
    fn new(_: &Arc<dyn Clock>) -> Self {
        Self {}
    }

    fn queue(&self, _: &str, _: &Arc<dyn Clock>, _: &Arc<dyn Ids>) -> Result<Arc<dyn Queue>, BuildError> {
        Err(missing("QUEUE_URL"))
    }

    fn ledger(&self, _: &str, _: &Arc<dyn Clock>, _: &Arc<dyn Ids>) -> Result<LedgerPorts, BuildError> {
        Err(missing("LEDGER_TABLE"))
    }

    fn vault(&self, _: &str, _: &Arc<dyn Clock>) -> Result<Arc<dyn Vault>, BuildError> {
        Err(missing("KMS_KEY_ID"))
    }

    fn secret(&self, variable: &'static str, secret: &SecretConfig) -> Result<Secret, BuildError> {
        match secret {
            SecretConfig::Value(secret) => Ok(secret.clone().into()),
            SecretConfig::Arn(_) => Err(missing(variable)),
        }
    }
}

#[cfg(not(feature = "aws"))]
fn missing(part: &'static str) -> BuildError {
    let why = "needs a build with AWS: cargo run --features aws";
    BuildError { part, why: why.to_owned() }
}

fn local() -> WorkspaceId {
    LOCAL.parse().expect("the constant is a workspace id")
}

fn apis(config: &Config) -> Result<Apis, BuildError> {
    let client = LazyClient::new(ClientOptions::PROVIDER);
    let gmail = GmailApi::new(client.clone(), &config.gmail_base_url).map_err(failed("GMAIL_BASE_URL"))?;
    let graph = GraphApi::new(client, &config.graph_base_url).map_err(failed("GRAPH_BASE_URL"))?;
    Ok(Apis { gmail, graph })
}

fn model(config: &Config, aws: &Aws) -> Result<Arc<dyn Model>, BuildError> {
    let Some(planner) = config.planner.clone() else { return Ok(Arc::new(OfflinePlanner::new())) };
    let http = LazyClient::new(ClientOptions::MODEL);
    let key = planner.key.map(|key| aws.secret("OPENAI_API_KEY", &key)).transpose()?;
    Ok(Arc::new(OpenAi::new(http, &planner.base_url, key, planner.model, planner.max_output_tokens)))
}

fn oauth(config: &Config, aws: &Aws, clock: &Arc<dyn Clock>) -> Result<OAuthClients, BuildError> {
    let clients = config.oauth.iter().map(|(provider, client)| {
        let variable = match provider {
            Provider::Google => "GOOGLE_CLIENT_SECRET",
            Provider::Microsoft => "MICROSOFT_CLIENT_SECRET",
        };
        let client = OAuthClient {
            client_id: client.client_id.clone(),
            client_secret: aws.secret(variable, &client.client_secret)?,
            auth_url: client.auth_url.clone(),
            token_url: client.token_url.clone(),
            revoke_url: client.revoke_url.clone(),
        };
        Ok((*provider, client))
    });
    let clients = clients.collect::<Result<_, BuildError>>()?;
    Ok(OAuthClients::new(LazyClient::new(ClientOptions::PROVIDER), Arc::clone(clock), clients))
}

fn pasted(config: &Config) -> PastedTokens {
    let tokens = config.tokens.iter().map(|(provider, pasted)| {
        let (token, scopes) = (pasted.token.clone(), pasted.scopes.clone());
        (*provider, Access { token, scopes, address: None, account: None })
    });
    PastedTokens { workspace: local(), tokens: tokens.collect() }
}

fn failed<E: std::fmt::Display>(part: &'static str) -> impl FnOnce(E) -> BuildError {
    move |error| BuildError { part, why: error.to_string() }
}
