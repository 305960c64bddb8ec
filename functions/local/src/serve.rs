use std::{error::Error, io, net::Ipv4Addr, sync::Arc, time::Duration};

use app::{Config, QueueConfig, WorkerTiming, run_dead_letters, run_housekeeping, run_worker};
use engine::Engine;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};

/// How long jobs and requests in hand may take after the program was told to stop.
const GRACE: Duration = Duration::from_secs(25);

/// Serves until the process is told to stop (SIGTERM, Ctrl-C); then finishes what is in hand. A
/// job that is not finished in time is picked up at the next start.
pub async fn serve(config: &Config) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port))
        .await
        .map_err(|error| format!("port {} of 127.0.0.1 cannot be used ({error}); set PORT", config.port))?;
    let url = format!("http://{}", listener.local_addr()?);
    let app = app::build(config, &url).await?;
    if app.lock.is_some() {
        let open = app.engine.sweeper.pick_up().await?;
        if open > 0 {
            tracing::info!(jobs.count = open, "open jobs of an earlier run are picked up");
        }
    }

    let (stop, stopped) = watch::channel(false);
    println!("AI Orchestrator is listening on {url}");
    println!("Open {url}/dev/action-runner.html");
    let mut told = stopped.clone();
    let server = axum::serve(listener, app.router.clone()).with_graceful_shutdown(async move {
        // The channel closes only when the process ends, which stops the server too.
        let _ = told.wait_for(|stop| *stop).await;
    });
    until_told(config, &app.engine, stop, stopped, tokio::spawn(async move { server.await })).await
}

/// Works the jobs of a queue that other processes fill, until the process is told to stop.
pub async fn work(config: &Config) -> Result<(), Box<dyn Error>> {
    if config.ledger_table.is_none() || config.queue == QueueConfig::Embedded {
        return Err("a worker needs the ledger and the queue of others: set LEDGER_TABLE and QUEUE_URL".into());
    }
    let engine = Arc::new(app::engine(config)?);
    let (stop, stopped) = watch::channel(false);
    println!("AI Orchestrator is working");
    until_told(config, &engine, stop, stopped, tokio::spawn(async { Ok(()) })).await
}

/// Works jobs and keeps house until the process is told to stop; then finishes what is in hand.
async fn until_told(
    config: &Config,
    engine: &Arc<Engine>,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    server: JoinHandle<io::Result<()>>,
) -> Result<(), Box<dyn Error>> {
    let timing = WorkerTiming::default();
    let worker = tokio::spawn(run_worker(Arc::clone(engine), timing, stopped.clone()));
    let housekeeping = tokio::spawn(run_housekeeping(Arc::clone(engine), timing, stopped));
    let dead_letters = match app::dead_letters(config)? {
        Some(queue) => tokio::spawn(run_dead_letters(Arc::clone(engine), queue, stop.subscribe())),
        None => tokio::spawn(async {}),
    };
    signal().await?;
    tracing::info!("stopping: jobs in hand are finished first");
    stop.send_replace(true);
    let in_hand = async {
        let _ = tokio::join!(server, worker, dead_letters, housekeeping);
    };
    if timeout(GRACE, in_hand).await.is_err() {
        tracing::warn!("some jobs are not finished; they are picked up later");
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
