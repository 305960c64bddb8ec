//! `orchestrator serve` and `orchestrator worker`.

use std::{error::Error, io, net::Ipv4Addr, sync::Arc, time::Duration};

use app::{Config, QueueConfig, WorkerTiming, run_dead_letters, run_housekeeping, run_worker};
use engine::Engine;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};

/// How long jobs and requests in progress may take after a signal to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(25);

/// Serves until SIGTERM or Ctrl-C, then finishes requests and jobs in progress. A job that does not finish in time is
/// resumed at the next start.
pub async fn serve(config: &Config) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port))
        .await
        .map_err(|error| format!("port {} of 127.0.0.1 cannot be used ({error}); set PORT", config.port))?;
    let url = format!("http://{}", listener.local_addr()?);
    let app = app::build(config, &url).await?;
    if app.lock.is_some() {
        let open = app.engine.sweeper.pick_up().await?;
        if open > 0 {
            tracing::info!(jobs.count = open, "resuming open jobs of an earlier run");
        }
    }

    let (stop, stopped) = watch::channel(false);
    println!("AI Orchestrator is listening on {url}");
    println!("Open {url}/dev/action-runner.html");
    let mut stopping = stopped.clone();
    let server = axum::serve(listener, app.router.clone()).with_graceful_shutdown(async move {
        // An error means that the channel is closed, so the process is ending.
        let _ = stopping.wait_for(|stop| *stop).await;
    });
    run_until_signal(config, &app.engine, stop, stopped, tokio::spawn(async move { server.await })).await
}

/// Works jobs of a shared queue until SIGTERM or Ctrl-C.
pub async fn work(config: &Config) -> Result<(), Box<dyn Error>> {
    if config.ledger_table.is_none() || config.queue == QueueConfig::Embedded {
        return Err("a worker needs a shared ledger and queue: set LEDGER_TABLE and QUEUE_URL".into());
    }
    let engine = Arc::new(app::engine(config)?);
    let (stop, stopped) = watch::channel(false);
    println!("AI Orchestrator is working");
    run_until_signal(config, &engine, stop, stopped, tokio::spawn(async { Ok(()) })).await
}

/// Works jobs and keeps house until SIGTERM or Ctrl-C, then finishes those in progress.
async fn run_until_signal(
    config: &Config,
    engine: &Arc<Engine>,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    server: JoinHandle<io::Result<()>>,
) -> Result<(), Box<dyn Error>> {
    let timing = WorkerTiming::default();
    let worker = tokio::spawn(run_worker(Arc::clone(engine), timing, stopped.clone()));
    let housekeeping = tokio::spawn(run_housekeeping(Arc::clone(engine), timing, stopped));
    let dead_letters = match app::dead_letters(config) {
        Some(queue) => tokio::spawn(run_dead_letters(Arc::clone(engine), queue, stop.subscribe())),
        None => tokio::spawn(async {}),
    };
    signal().await?;
    tracing::info!("stopping when the jobs in progress have finished");
    stop.send_replace(true);
    let in_progress = async {
        let _ = tokio::join!(server, worker, dead_letters, housekeeping);
    };
    if timeout(SHUTDOWN_TIMEOUT, in_progress).await.is_err() {
        tracing::warn!("some jobs did not finish; they will be resumed");
    }
    Ok(())
}

#[cfg(unix)]
async fn signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn signal() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
