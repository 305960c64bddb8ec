//! The orchestrator on AWS Lambda. One program for every function: the template's handler says which one it is.
//!
//! Nothing is connected, read or asked before the first event needs it.

mod admin;
mod batch;
mod failed;
mod http;
mod sweep;

use std::{process::ExitCode, sync::Arc, time::Duration};

use app::{Config, Runtime};
use engine::Engine;
use futures_util::future::LocalBoxFuture;
use lambda_runtime::Error;
use web::Function;

/// The queue's own, in infra/template.yaml: six times the worker's time-out, as SQS asks of a function's queue.
const VISIBILITY_TIMEOUT: Duration = Duration::from_mins(6);

fn main() -> ExitCode {
    app::keep_memory_private();
    let config = Config::from_env(Runtime::Lambda);
    let filter = config.as_ref().map_or("info", |config| config.log_filter.as_str());
    telemetry::logs::init(filter, true);
    let run = |config: &Config| -> Result<(), Error> {
        // One thread: an invocation waits for others far more than it computes, and this one starts sooner.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(serve(config))
    };
    match config.map_err(Error::from).and_then(|config| run(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the function cannot start");
            ExitCode::FAILURE
        }
    }
}

/// Does what the handler's name says.
async fn serve(config: &Config) -> Result<(), Error> {
    let mut parts = app::parts(config)?;
    parts.options.visibility_timeout = VISIBILITY_TIMEOUT;
    let engine = Arc::new(Engine::new(parts));
    match config.handler.as_str() {
        "worker" => boxed(|| batch::work(&engine)).await,
        "dead-letters" => boxed(|| batch::settle_dead(&engine)).await,
        "admin" => boxed(|| admin::serve(config, &engine)).await,
        "sweep" => boxed(|| sweep::serve(engine)).await,
        name => {
            let function: Function = name.parse().map_err(|_| format!("there is no handler {name:?}"))?;
            boxed(|| http::serve(app::function(config, engine, function))).await
        }
    }
}

/// A role's future, apart from those of the others: all of them in one frame are 160 KiB of stack, whose pages the system
/// would have to find before the first request for work.
#[inline(never)]
fn boxed<'a, F: Future<Output = Result<(), Error>> + 'a>(
    role: impl FnOnce() -> F,
) -> LocalBoxFuture<'a, Result<(), Error>> {
    Box::pin(role())
}
