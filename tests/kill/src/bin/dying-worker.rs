//! The product's worker, or its API without a worker, with traps, and at a pace that tests choose.
//!
//! The environment is the product's own. It prints `sprung POINT` when a trap springs; a worker
//! prints `working` and the API `listening` when they have begun. It ends with its standard input,
//! so that it does not outlive whoever started it.

use std::{error::Error, process::ExitCode, sync::Arc, time::Duration};

use adapters::{
    redis::{RedisConnection, RedisQueue},
    secret::Secret,
};
use app::{Config, QueueConfig, Runtime, WorkerTiming, run_housekeeping, run_worker};
use clap::{Parser, ValueEnum};
use engine::Engine;
use jiff::SignedDuration;
use kill::{API, Deed, Trap, Traps, WORKER, all, wrap};
use secrecy::ExposeSecret;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
struct Arguments {
    /// What to be.
    #[arg(required_unless_present = "points")]
    role: Option<Role>,
    /// List the points, those of the worker first.
    #[arg(long)]
    points: bool,
    /// Abort at a point: CALL:before or CALL:after, then perhaps :PASS.
    #[arg(long, value_name = "TRAP")]
    kill_at: Vec<Trap>,
    /// Stop there, as by SIGSTOP.
    #[arg(long, value_name = "TRAP")]
    stop_at: Vec<Trap>,
    /// Flush Redis there.
    #[arg(long, value_name = "TRAP")]
    flush_at: Vec<Trap>,
    /// A worker's hold on a job, in seconds.
    #[arg(long, default_value_t = 45)]
    lease: u32,
    /// How long a received message stays unseen, in seconds; SQS knows its own.
    #[arg(long, default_value_t = 60)]
    visibility: u32,
    /// The pause between sweeps, in seconds.
    #[arg(long, default_value_t = 60)]
    sweep: u32,
    /// How long a request to a provider is taken to last, in seconds.
    #[arg(long, default_value_t = 15)]
    provider_timeout: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    Work,
    Serve,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.points {
        for (role, points) in [("work", all(WORKER)), ("serve", all(API))] {
            for point in points {
                println!("{role} {point}");
            }
        }
        return ExitCode::SUCCESS;
    }
    std::thread::spawn(|| {
        // Whether it ends or fails: nobody is there any more.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dying-worker: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let config = Config::from_env(Runtime::Local)?;
    telemetry::logs::init(&config.log_filter, false);
    let mut parts = app::parts(&config)?;
    parts.options.visibility_timeout = seconds(arguments.visibility);
    parts.options.provider_timeout = seconds(arguments.provider_timeout);
    let url = match &config.redis_url {
        Some(Secret::Given(url)) => Some(url.expose_secret()),
        _ => None,
    };
    if let (QueueConfig::Redis, Some(url)) = (&config.queue, url) {
        let connection = Arc::new(RedisConnection::new(url)?);
        let (clock, ids) = (Arc::clone(&parts.clock), Arc::clone(&parts.ids));
        parts.queue = Arc::new(RedisQueue::new(connection, "jobs", seconds(arguments.visibility), clock, ids));
    }
    let set = [(Deed::Kill, &arguments.kill_at), (Deed::Stop, &arguments.stop_at), (Deed::Flush, &arguments.flush_at)];
    let set = set.into_iter().flat_map(|(deed, traps)| traps.iter().map(move |trap| (deed, trap.clone()))).collect();
    let redis = url.map(|url| url.trim_start_matches("redis://").to_owned());
    wrap(&mut parts, &Traps::new(set, redis));
    let engine = Arc::new(Engine::new(parts));
    match arguments.role.expect("clap wants one") {
        Role::Work => work(engine, arguments).await,
        Role::Serve => serve(engine, &config).await,
    }
}

async fn work(engine: Arc<Engine>, arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let timing = WorkerTiming {
        lease: SignedDuration::from_secs(arguments.lease.into()),
        sweep: Duration::from_secs(arguments.sweep.into()),
    };
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    println!("working");
    let worker = tokio::spawn(run_worker(Arc::clone(&engine), timing, stop.clone()));
    let housekeeping = tokio::spawn(run_housekeeping(engine, timing, stop.clone()));
    terminate.recv().await;
    stop.cancel();
    worker.await?;
    Ok(housekeeping.await?)
}

async fn serve(engine: Arc<Engine>, config: &Config) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(config.listen).await?;
    let router = app::router(config, engine, &format!("http://{}", listener.local_addr()?)).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    println!("listening");
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        terminate.recv().await;
    });
    Ok(server.await?)
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}
