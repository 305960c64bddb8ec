use std::{sync::Arc, time::Duration};

use adapters::{
    actions::{self, Apis},
    connections::{Mode, PastedTokens},
    embedded::{FolderLock, LocalVault, MemoryCache, MemoryQueue, SqliteLedger, SystemClock, SystemIds},
    google::GmailApi,
    http::{ClientOptions, LazyClient},
    microsoft::GraphApi,
    offline::OfflinePlanner,
    openai::OpenAi,
};
use axum::Router;
use domain::WorkspaceId;
use engine::{
    Engine, Settings,
    catalogue::Catalogue,
    ports::{Access, Clock, Model},
};
use secrecy::ExposeSecret;
use telemetry::Metrics;
use web::{Web, door::Door};

use crate::{Config, ProviderMode};

/// Longer than a worker's lease, so that a message does not come again while its job is in good hands.
const VISIBILITY_TIMEOUT: Duration = Duration::from_mins(1);
/// The workspace of a server without keys.
const LOCAL: &str = "local";

/// The program, put together and not yet running.
pub struct App {
    /// The use cases.
    pub engine: Arc<Engine>,
    /// Every route.
    pub router: Router,
    /// Held as long as the program runs: no other works in its folder.
    _lock: FolderLock,
}

/// A part that cannot be put together; says which, and why.
#[derive(Debug, thiserror::Error)]
#[error("{part}: {why}")]
pub struct BuildError {
    part: &'static str,
    why: String,
}

/// Puts the program together from its embedded parts. `public_url` is where it is reached.
pub fn build(config: &Config, public_url: &str) -> Result<App, BuildError> {
    let lock = FolderLock::acquire(&config.data).map_err(failed("the data folder"))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let local: WorkspaceId = LOCAL.parse().expect("the constant is a workspace id");
    let vault = match &config.token_key {
        Some(key) => LocalVault::from_text(key.expose_secret()),
        None => LocalVault::from_file(&config.data),
    };
    let engine = Arc::new(Engine {
        catalogue: Catalogue::new(actions::all(&apis(config)?)),
        ledger: Arc::new(SqliteLedger::open(&config.data, Arc::clone(&clock)).map_err(failed("the ledger"))?),
        cache: Arc::new(MemoryCache::new(Arc::clone(&clock))),
        queue: Arc::new(MemoryQueue::new(Arc::clone(&clock), VISIBILITY_TIMEOUT)),
        model: model(config)?,
        connections: Arc::new(connections(config, local.clone())),
        vault: Arc::new(vault.map_err(failed("TOKEN_KEY"))?),
        clock,
        ids: Arc::new(SystemIds),
        settings: Settings {
            allowlist: config.allowlist.clone(),
            recipient_domains: config.recipient_domains.clone(),
            google_rollout_percent: config.google_rollout_percent,
            microsoft_rollout_percent: config.microsoft_rollout_percent,
            max_tokens_per_minute: config.max_tokens_per_minute,
            provider_timeout: ClientOptions::PROVIDER.total,
            visibility_timeout: VISIBILITY_TIMEOUT,
        },
    });
    let router = web::router(Web {
        engine: Arc::clone(&engine),
        door: Arc::new(Door::Keyless { workspace: local, actor: LOCAL.parse().expect("the constant is an actor id") }),
        metrics: Metrics::install(),
        public_url: config.public_url.as_deref().unwrap_or(public_url).into(),
    });
    Ok(App { engine, router, _lock: lock })
}

fn apis(config: &Config) -> Result<Apis, BuildError> {
    let client = LazyClient::new(ClientOptions::PROVIDER);
    let gmail = GmailApi::new(client.clone(), &config.gmail_base_url).map_err(failed("GMAIL_BASE_URL"))?;
    let graph = GraphApi::new(client, &config.graph_base_url).map_err(failed("GRAPH_BASE_URL"))?;
    Ok(Apis { gmail, graph })
}

fn model(config: &Config) -> Result<Arc<dyn Model>, BuildError> {
    let Some(planner) = config.planner.clone() else { return Ok(Arc::new(OfflinePlanner::new())) };
    let client = LazyClient::new(ClientOptions::MODEL);
    let http = client.get().map_err(failed("the HTTP client"))?.clone();
    Ok(Arc::new(OpenAi::new(http, &planner.base_url, planner.key, planner.model, planner.max_output_tokens)))
}

fn connections(config: &Config, workspace: WorkspaceId) -> PastedTokens {
    let tokens = config.tokens.iter().map(|(provider, pasted)| {
        (*provider, Access { token: pasted.token.clone(), scopes: pasted.scopes.clone(), address: None })
    });
    let mode = match config.provider_mode {
        None => Mode::WhereConnected,
        Some(ProviderMode::Sandbox) => Mode::Sandbox,
        Some(ProviderMode::Live) => Mode::Live,
    };
    PastedTokens::new(workspace, tokens.collect(), mode)
}

fn failed<E: std::fmt::Display>(part: &'static str) -> impl FnOnce(E) -> BuildError {
    move |error| BuildError { part, why: error.to_string() }
}
