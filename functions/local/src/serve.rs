use std::{error::Error, net::Ipv4Addr, sync::Arc, time::Duration};

use app::{Config, run_housekeeping, run_worker};
use tokio::{net::TcpListener, sync::watch, time::timeout};

/// How long jobs and requests in hand may take after the program was told to stop.
const GRACE: Duration = Duration::from_secs(25);

/// Serves until the process is told to stop (SIGTERM, Ctrl-C); then finishes what is in hand. A
/// job that is not finished in time is picked up at the next start.
pub async fn serve(config: &Config) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port))
        .await
        .map_err(|error| format!("port {} of 127.0.0.1 cannot be used ({error}); set PORT", config.port))?;
    let url = format!("http://{}", listener.local_addr()?);
    let app = app::build(config, &url)?;
    let open = app.engine.pick_up().await?;
    if open > 0 {
        tracing::info!(jobs.count = open, "open jobs of an earlier run are picked up");
    }

    let (stop, stopped) = watch::channel(false);
    let worker = tokio::spawn(run_worker(Arc::clone(&app.engine), stopped.clone()));
    let housekeeping = tokio::spawn(run_housekeeping(Arc::clone(&app.engine), stopped.clone()));
    println!("AI Orchestrator is listening on {url}");
    println!("Open {url}/dev/action-runner.html");

    let mut told = stopped.clone();
    let server = axum::serve(listener, app.router.clone()).with_graceful_shutdown(async move {
        // The channel closes only when the process ends, which stops the server too.
        let _ = told.wait_for(|stop| *stop).await;
    });
    let server = tokio::spawn(async move { server.await });
    signal().await?;
    tracing::info!("stopping: jobs in hand are finished first");
    stop.send_replace(true);
    let in_hand = async {
        let _ = tokio::join!(server, worker, housekeeping);
    };
    if timeout(GRACE, in_hand).await.is_err() {
        tracing::warn!("some jobs are not finished; the next start picks them up");
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
