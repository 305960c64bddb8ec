//! `orchestrator serve` and `orchestrator worker`.

use std::{error::Error, sync::Arc, time::Duration};

use app::{Config, QueueConfig, WorkerTiming, run_dead_letters, run_housekeeping, run_worker};
use domain::Via;
use engine::Engine;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::connections;

/// How long jobs and requests in progress may take after a signal to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(25);

/// Serves until SIGTERM or Ctrl-C, then finishes requests and jobs in progress. A job that does not finish in time is
/// resumed at the next start.
pub async fn serve(config: &Config) -> Result<(), Box<dyn Error>> {
    let (host, port) = (config.listen.ip(), config.listen.port());
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("port {port} of {host} cannot be used ({error}); set PORT or HOST"))?;
    let url = app::url_of(listener.local_addr()?);
    let (engine, router, lock) = app::build(config, &url).await?;
    if lock.is_some() {
        let open = engine.sweeper.pick_up().await?;
        if open > 0 {
            tracing::info!(jobs.count = open, "resuming open jobs of an earlier run");
        }
    }

    println!("AI Orchestrator is listening on {url}");
    println!("Open {url}/dev/action-runner.html");
    println!("{}", described(config));
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(connections::serve(listener, router, stop.clone()));
    run_until_signal(config, engine, stop, tasks).await
}

/// What plans, where actions go, and where the ledger is.
fn described(config: &Config) -> String {
    let planner =
        config.planner.as_ref().map_or("the built-in rules (OPENAI_API_KEY is not set)", |planner| &planner.model);
    let actions = match config.options.provider_mode {
        Some(Via::Live) => "carried out (PROVIDER_MODE)",
        Some(Via::Sandbox) => "written to the outbox (PROVIDER_MODE)",
        None => "written to the outbox, unless an account is connected",
    };
    let ledger = config.ledger_table.clone().unwrap_or_else(|| config.data.display().to_string());
    format!("Planner: {planner}. Actions: {actions}. Ledger: {ledger}.")
}

/// Works jobs of a shared queue until SIGTERM or Ctrl-C.
pub async fn work(config: &Config) -> Result<(), Box<dyn Error>> {
    if config.ledger_table.is_none() || config.queue == QueueConfig::Embedded {
        return Err("a worker needs a shared ledger and queue: set LEDGER_TABLE and QUEUE_URL".into());
    }
    let engine = Arc::new(app::engine(config)?);
    println!("AI Orchestrator is working");
    run_until_signal(config, engine, CancellationToken::new(), JoinSet::new()).await
}

/// Works jobs and keeps house until SIGTERM or Ctrl-C, then finishes those in progress, and the other `tasks`.
async fn run_until_signal(
    config: &Config,
    engine: Arc<Engine>,
    stop: CancellationToken,
    mut tasks: JoinSet<()>,
) -> Result<(), Box<dyn Error>> {
    let timing = WorkerTiming::default();
    tasks.spawn(run_worker(engine.clone(), timing, stop.clone()));
    tasks.spawn(run_housekeeping(engine.clone(), timing, stop.clone()));
    if let Some(queue) = app::dead_letters(config) {
        tasks.spawn(run_dead_letters(engine.clone(), queue, stop.clone()));
    }
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping when the jobs in progress have finished");
    stop.cancel();
    let in_progress = async { while tasks.join_next().await.is_some() {} };
    if timeout(SHUTDOWN_TIMEOUT, in_progress).await.is_err() {
        tracing::warn!("some jobs did not finish; they will be resumed");
    }
    // The files keep nothing that should be gone, however long the program is not running.
    if let Err(error) = engine.sweeper.erase_expired().await {
        tracing::warn!(%error, "expired records were not erased; the next start does it");
    }
    if let Err(error) = engine.sweeper.log_heads().await {
        tracing::warn!(%error, "the heads of the audit were not logged");
    }
    Ok(())
}
