//! The orchestrator on AWS Lambda. One program for every function: the template's handler says which one it is.
//!
//! Nothing is connected, read or asked before the first event needs it.

mod batch;
mod http;
mod sweep;

use std::{process::ExitCode, sync::Arc, time::Duration};

use app::{Config, Runtime};
use engine::Engine;
use lambda_runtime::Error;
use web::Function;

/// The queue's own, in infra/template.yaml: six times the worker's time-out, as SQS asks of a function's queue.
const VISIBILITY_TIMEOUT: Duration = Duration::from_mins(6);

/// What a function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Serves its endpoints.
    Http(Function),
    /// Works the jobs of a batch of SQS's.
    Worker,
    /// Settles the jobs of messages that came too often.
    DeadLetters,
    /// Looks for jobs whose message was lost, and erases what has expired.
    Sweep,
}

impl Role {
    fn of(handler: &str) -> Option<Self> {
        match handler {
            "worker" => Some(Self::Worker),
            "dead-letters" => Some(Self::DeadLetters),
            "sweep" => Some(Self::Sweep),
            _ => handler.parse().ok().map(Self::Http),
        }
    }
}

fn main() -> ExitCode {
    let config = Config::from_env(Runtime::Lambda);
    let filter = config.as_ref().map_or("info", |config| config.log_filter.as_str());
    telemetry::logs::init(filter, true);
    let run = |config: &Config| -> Result<(), Error> {
        let role = Role::of(&config.handler).ok_or_else(|| format!("there is no handler {:?}", config.handler))?;
        // One thread: an invocation waits for others far more than it computes, and this one starts sooner.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(serve(role, config))
    };
    match config.map_err(Error::from).and_then(|config| run(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the function cannot start");
            ExitCode::FAILURE
        }
    }
}

async fn serve(role: Role, config: &Config) -> Result<(), Error> {
    let mut parts = app::parts(config)?;
    parts.options.visibility_timeout = VISIBILITY_TIMEOUT;
    let engine = Arc::new(Engine::new(parts));
    match role {
        Role::Http(function) => http::serve(app::function(config, engine, function)).await,
        Role::Worker => batch::work(&engine).await,
        Role::DeadLetters => batch::settle_dead(&engine).await,
        Role::Sweep => sweep::serve(engine).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_handler_has_a_role_and_nothing_else_does() {
        for handler in ["plan2", "execute", "jobs", "connect", "metrics"] {
            assert!(
                matches!(Role::of(handler), Some(Role::Http(function)) if function.as_ref() == handler),
                "{handler}"
            );
        }
        assert_eq!(Role::of("dead-letters"), Some(Role::DeadLetters));
        assert_eq!(Role::of("worker"), Some(Role::Worker));
        assert_eq!(Role::of("sweep"), Some(Role::Sweep));
        for other in ["", "Plan2", "bootstrap", "dead_letters"] {
            assert_eq!(Role::of(other), None, "{other}");
        }
    }
}
