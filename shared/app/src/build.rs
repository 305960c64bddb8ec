//! Puts the program together from its configuration.

use std::{path::PathBuf, sync::Arc, time::Duration};

use adapters::{
    embedded::{FolderLock, MemoryBudget, MemoryCache, MemoryQueue, SandboxAccount},
    http::ClientOptions,
    oauth::{IssuedTokens, OAuthClients},
    openai::OpenAi,
    providers::{self, Apis, specs},
    redis::{RedisBudget, RedisCache, RedisConnection, RedisMetrics, RedisQueue},
    rules::RulesPlanner,
    secret::Secrets,
    system::{SystemClock, SystemIds},
    vault::LocalVault,
    webhooks::{HttpWebhooks, system_lookup},
};
use axum::Router;
use domain::{ActorHash, WorkspaceId};
use engine::{
    Engine, Parts,
    catalogue::Catalogue,
    ports::{AccessTokens, BUDGET_WINDOW, Budget, CachePorts, Clock, LedgerPorts, Model, Queue, Vault},
};
use telemetry::{EmfLog, FLUSH_TIMEOUT, MetricStore, Metrics, Vocabulary};
use web::{Authenticator, Function, Web};

use crate::{
    Config, QueueConfig, SealingConfig,
    config::{LOCAL, VISIBILITY_TIMEOUT},
};

/// Name of the queue in Redis.
const QUEUE_NAME: &str = "jobs";
/// Name of the token budget in Redis.
const BUDGET_NAME: &str = "budget";
/// A poll may wait as long as it asks for, which is at most 20 seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// On Lambda a poll that waits takes one of the account's concurrent invocations, and costs by the second.
const LONGEST_WAIT_ON_LAMBDA: Duration = Duration::from_secs(5);
/// Name of the metrics in Redis.
const METRICS_NAME: &str = "metrics";

/// A part that cannot be built, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(String);

/// Builds the server: the use cases, every route, and with the embedded ledger a lock that keeps other servers out of
/// its folder. `public_url` is its own address. A server without keys that others could reach is not built.
pub async fn build(config: &Config, public_url: &str) -> Result<(Arc<Engine>, Router, Option<FolderLock>), BuildError> {
    let lock = match config.ledger_table {
        None => Some(FolderLock::acquire(&config.data).map_err(failed("the data folder"))?),
        Some(_) => None,
    };
    let mut parts = parts(config)?;
    if config.public_url.is_none() {
        // The port was not known before.
        public_url.clone_into(&mut parts.options.public_url);
        parts.tokens = access_tokens(config, public_url, parts.clock.clone());
    }
    let engine = Arc::new(Engine::new(parts));
    let authenticator = authenticator(config, &engine).await?;
    let keyless = matches!(authenticator, Authenticator::Keyless { .. });
    let host = config.listen.ip();
    if keyless && !host.is_loopback() {
        let create = create_key(LOCAL);
        return Err(BuildError(format!(
            "HOST is {host}, where others reach this server, and it has no key. First run: {create}; or leave HOST unset"
        )));
    }
    if let Some(lock) = &lock {
        lock.set_keyless(keyless).map_err(failed("the data folder"))?;
    }
    if let Authenticator::Keyless { workspace, .. } = &authenticator {
        warn_of_open_door(&engine, workspace).await;
    }
    let router = web::router(web(config, Arc::clone(&engine), authenticator, public_url));
    Ok((engine, router, lock))
}

/// Loopback is no border between the users and the programs of one machine.
async fn warn_of_open_door(engine: &Engine, workspace: &WorkspaceId) {
    let accounts = match engine.connector.live_accounts(workspace).await {
        Ok(accounts) if accounts.is_empty() => return,
        Ok(accounts) => accounts.join(" and "),
        Err(error) => return tracing::warn!(%error, "the connected accounts are not known"),
    };
    tracing::warn!(
        "every program of every user of this machine can send through the connected account ({accounts}), since this \
         server has no keys; to close the door, run: {}; then restart the server",
        create_key(workspace.as_str())
    );
}

/// The command that makes a key for all that the page does.
fn create_key(workspace: &str) -> String {
    format!(
        "orchestrator keys create --workspace {workspace} --scopes actions:preview,actions:execute,actions:approve,accounts:read,connections:write"
    )
}

/// All routes over these use cases. `public_url` is their address.
pub async fn router(config: &Config, engine: Arc<Engine>, public_url: &str) -> Result<Router, BuildError> {
    let authenticator = authenticator(config, &engine).await?;
    Ok(web::router(web(config, engine, authenticator, public_url)))
}

/// As soon as the ledger has a key, even a revoked one, or an issuer is trusted, every request needs a credential.
async fn authenticator(config: &Config, engine: &Engine) -> Result<Authenticator, BuildError> {
    if config.issuer.is_some() || !engine.keys.list().await.map_err(failed("the ledger"))?.is_empty() {
        return Ok(Authenticator::Keys);
    }
    let workspace: WorkspaceId = LOCAL.parse().expect("the constant is a workspace id");
    let actor = LOCAL.parse().expect("the constant is an actor id");
    Ok(Authenticator::Keyless { actor: ActorHash::of(&workspace, &actor), workspace })
}

/// Whether a server without keys is running beside this process, on the same embedded ledger.
pub fn is_beside_keyless_server(config: &Config) -> bool {
    config.ledger_table.is_none() && FolderLock::is_keyless(&config.data)
}

/// The folder of the embedded ledger, if there is no ledger in it yet.
pub fn missing_ledger(config: &Config) -> Option<PathBuf> {
    let is_missing = config.ledger_table.is_none() && !FolderLock::has_ledger(&config.data);
    is_missing.then(|| std::path::absolute(&config.data).unwrap_or_else(|_| config.data.clone()))
}

/// The routes of one function on Lambda. A key is always required, and the ledger is not read before a request
/// needs it.
pub fn function(config: &Config, engine: Arc<Engine>, function: Function) -> Router {
    let web = web(config, engine, Authenticator::Keys, "");
    let web = Web { longest_wait: LONGEST_WAIT_ON_LAMBDA, behind_gateway: true, ..web };
    web::router_of(function, web)
}

fn web(config: &Config, engine: Arc<Engine>, authenticator: Authenticator, public_url: &str) -> Web {
    Web {
        engine,
        authenticator: Arc::new(authenticator),
        public_url: config.public_url.as_deref().unwrap_or(public_url).into(),
        dev_ui: config.dev_ui,
        longest_wait: LONGEST_WAIT,
        origins: config.origins.iter().cloned().collect(),
        behind_gateway: false,
        issuer: config.issuer.as_ref().map(|trusted| trusted.issuer.as_str().into()),
    }
}

/// Builds the use cases with the adapters that the configuration selects.
pub fn engine(config: &Config) -> Result<Engine, BuildError> {
    Ok(Engine::new(parts(config)?))
}

/// The adapters and options that the environment names.
pub fn parts(config: &Config) -> Result<Parts, BuildError> {
    parts_by(config, Arc::new(SystemClock))
}

/// The same with another clock than the system's. Keys of KMS and log lines for CloudWatch still go by the system's.
pub fn parts_by(config: &Config, clock: Arc<dyn Clock>) -> Result<Parts, BuildError> {
    let ids = Arc::new(SystemIds);
    let vault = vault(config)?;
    let apis =
        Apis::new(&config.network.client(ClientOptions::PROVIDER), &config.apis).map_err(failed("a provider's API"))?;
    let catalogue = Catalogue::new(specs(), providers::actions(&apis));
    let actions = catalogue.iter().map(|action| (action.spec().provider.as_str(), action.spec().id));
    let mut metrics = Metrics::install(Vocabulary::new(actions, web::routes().into_keys()));
    let redis = config.redis_url.clone().map(|url| {
        let connection = RedisConnection::with_secret(url, clock.clone()).allow_plaintext(config.redis_plaintext);
        Arc::new(connection.with_roots(config.network.more_roots().to_vec()))
    });
    let (cache, budget): (_, Arc<dyn Budget>) = match &redis {
        None => (
            CachePorts::of(Arc::new(MemoryCache::new(clock.clone()))),
            Arc::new(MemoryBudget::new(clock.clone(), BUDGET_WINDOW)),
        ),
        Some(redis) => (
            CachePorts::of(Arc::new(RedisCache::new(redis.clone()))),
            Arc::new(RedisBudget::new(redis.clone(), BUDGET_NAME, BUDGET_WINDOW)),
        ),
    };
    let counts: Option<Arc<dyn MetricStore>> = match (&config.emf_namespace, &redis) {
        (Some(namespace), _) => Some(Arc::new(EmfLog::new(namespace.clone(), || SystemClock.now()))),
        (None, Some(redis)) => Some(Arc::new(RedisMetrics::new(redis.clone(), METRICS_NAME, &*ids))),
        (None, None) => None,
    };
    if let Some(counts) = counts {
        metrics = metrics.with_store(counts, FLUSH_TIMEOUT);
    }
    let queue: Arc<dyn Queue> = match (&config.queue, redis) {
        #[cfg(feature = "aws")]
        (QueueConfig::Sqs(url), _) => sqs(config, url, clock.clone()),
        (QueueConfig::Redis, Some(redis)) => {
            Arc::new(RedisQueue::new(redis, QUEUE_NAME, VISIBILITY_TIMEOUT, clock.clone(), ids.clone()))
        }
        // The configuration refuses a queue whose server is not configured, or not in this build.
        _ => Arc::new(MemoryQueue::new(clock.clone(), VISIBILITY_TIMEOUT)),
    };
    let ledger = match &config.ledger_table {
        #[cfg(feature = "aws")]
        Some(table) => LedgerPorts::of(Arc::new(dynamo(config, table, clock.clone()).announcing(queue.clone()))),
        _ => embedded_ledger(config, &queue, clock.clone())?,
    };
    let http = config.network.client(ClientOptions::PROVIDER);
    let (model, fallback_model) = models(config);
    Ok(Parts {
        catalogue,
        ledger,
        cache,
        budget,
        queue,
        model,
        fallback_model,
        oauth: Arc::new(OAuthClients::new(http, clock.clone(), config.oauth.clone())),
        finders: providers::finders(&apis),
        sandbox_finder: Arc::new(SandboxAccount::new(clock.clone())),
        tokens: access_tokens(config, &config.options.public_url, clock.clone()),
        vault,
        secrets: Arc::new(Secrets(config.secrets())),
        webhooks: Arc::new(HttpWebhooks::new(&config.network, config.webhook_hosts.clone(), system_lookup())),
        clock,
        ids,
        metrics,
        options: config.options.clone(),
    })
}

fn vault(config: &Config) -> Result<Arc<dyn Vault>, BuildError> {
    Ok(match &config.sealing {
        SealingConfig::KeyFile => Arc::new(LocalVault::from_file(&config.data).map_err(failed("TOKEN_KEY"))?),
        SealingConfig::Key(key) => Arc::new(LocalVault::from_secret(key.clone())),
        #[cfg(feature = "aws")]
        SealingConfig::Kms(id) => Arc::new(adapters::aws::KmsVault::new(config.sdk.clone(), id, Arc::new(SystemClock))),
    })
}

/// Reads the tokens of the trusted issuer, if there is one.
fn access_tokens(config: &Config, public_url: &str, clock: Arc<dyn Clock>) -> Option<Arc<dyn AccessTokens>> {
    let http = config.network.client(ClientOptions::PROVIDER);
    let tokens = |issuer| IssuedTokens::new(http, clock, issuer, public_url);
    config.issuer.clone().map(|issuer| Arc::new(tokens(issuer)) as Arc<dyn AccessTokens>)
}

/// The model and its fallback.
fn models(config: &Config) -> (Arc<dyn Model>, Option<Arc<dyn Model>>) {
    let Some(planner) = config.planner.clone() else { return (Arc::new(RulesPlanner), None) };
    let http = config.network.client(ClientOptions::MODEL);
    let model = |name| -> Arc<dyn Model> {
        let (http, key) = (http.clone(), planner.key.clone());
        Arc::new(OpenAi::new(http, &planner.base_url, key, name, planner.max_output_tokens))
    };
    (model(planner.model.clone()), planner.fallback.clone().map(model))
}

#[cfg(feature = "sqlite")]
fn embedded_ledger(config: &Config, queue: &Arc<dyn Queue>, clock: Arc<dyn Clock>) -> Result<LedgerPorts, BuildError> {
    let ledger = adapters::embedded::SqliteLedger::open(&config.data, clock);
    Ok(LedgerPorts::of(Arc::new(ledger.map_err(failed("the ledger"))?.announcing(queue.clone()))))
}

#[cfg(not(feature = "sqlite"))]
fn embedded_ledger(_: &Config, _: &Arc<dyn Queue>, _: Arc<dyn Clock>) -> Result<LedgerPorts, BuildError> {
    Err(BuildError("LEDGER_TABLE: must be set: this build has no embedded ledger".to_owned()))
}

#[cfg(feature = "aws")]
fn dynamo(config: &Config, table: &str, clock: Arc<dyn Clock>) -> adapters::aws::DynamoLedger {
    adapters::aws::DynamoLedger::new(config.sdk.clone(), table, clock, Arc::new(SystemIds))
}

#[cfg(feature = "aws")]
fn sqs(config: &Config, url: &str, clock: Arc<dyn Clock>) -> Arc<dyn Queue> {
    Arc::new(adapters::aws::SqsQueue::new(config.sdk.clone(), url, clock, Arc::new(SystemIds)))
}

/// Creates the table `LEDGER_TABLE`, unless it exists.
#[cfg(feature = "aws")]
pub async fn create_table(config: &Config) -> Result<(), BuildError> {
    let table = config.ledger_table.as_ref().ok_or("must be set").map_err(failed("LEDGER_TABLE"))?;
    dynamo(config, table, Arc::new(SystemClock)).create_table().await.map_err(failed("LEDGER_TABLE"))
}

/// The dead-letter queue of `DEAD_LETTER_QUEUE_URL`.
#[cfg(feature = "aws")]
pub fn dead_letters(config: &Config) -> Option<Arc<dyn Queue>> {
    config.dead_letter_queue.as_ref().map(|url| sqs(config, url, Arc::new(SystemClock)))
}

/// Without AWS there is no dead-letter queue.
#[cfg(not(feature = "aws"))]
pub fn dead_letters(_: &Config) -> Option<Arc<dyn Queue>> {
    None
}

fn failed<E: std::fmt::Display>(part: &'static str) -> impl FnOnce(E) -> BuildError {
    move |error| BuildError(format!("{part}: {error}"))
}
