//! The program `orchestrator`: API, page and worker in one process, and the command line.

mod ask;
mod audit;
mod connections;
mod eval;
mod operate;
mod replay;
mod serve;

use std::{error::Error, process::ExitCode};

use app::{
    Config, Runtime,
    operator::{self, Keys, Rollout, Workspaces},
};
use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turns a sentence into typed actions and carries out each one once.
#[derive(Parser)]
#[command(name = "orchestrator", version, after_help = ask::EXIT_CODES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Ask(ask::Ask),
    #[command(flatten)]
    Run(Run),
}

/// Commands that run in this process, with the configuration of its environment.
#[derive(Subcommand)]
enum Run {
    /// Serve the API and the page, and work jobs. This is the default.
    Serve,
    /// Create, list and revoke API keys.
    #[command(subcommand)]
    Keys(Keys),
    /// Plan the prompts of a file and score the plans.
    Eval(eval::Eval),
    /// Show how the current code reads the stored answer of a plan.
    Replay(replay::Replay),
    /// Set and print the share of actors that may use a provider.
    #[command(subcommand)]
    Rollout(Rollout),
    /// Restrict what a workspace may do.
    #[command(subcommand)]
    Workspaces(Workspaces),
    /// Print the audit of a workspace, or check that nobody has changed it.
    Audit(audit::Audit),
    /// Seal everything in the ledger again with the first key of TOKEN_KEY, so that the others can be removed. It may be
    /// stopped and started again. A server may run at the same time, with the same TOKEN_KEY.
    Reseal,
    /// Work jobs of a shared queue (QUEUE_URL) and ledger (LEDGER_TABLE), without serving the API.
    Worker,
    /// Create the table LEDGER_TABLE as infra/template.yaml does, for a local DynamoDB.
    #[cfg(feature = "aws")]
    CreateTable,
}

fn main() -> ExitCode {
    app::keep_memory_private();
    let arguments = Arguments::parse();
    start(arguments.command.unwrap_or(Command::Run(Run::Serve))).unwrap_or_else(|error| {
        eprintln!("orchestrator: {error}");
        ExitCode::FAILURE
    })
}

fn start(command: Command) -> Result<ExitCode, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match command {
        Command::Ask(command) => runtime.block_on(ask::run(&app::client()?, command)),
        Command::Run(command) => runtime.block_on(run(&Config::from_env(Runtime::Local)?, command)),
    }
}

async fn run(config: &Config, command: Run) -> Result<ExitCode, Box<dyn Error>> {
    telemetry::logs::init(&config.log_filter, config.log_json);
    match command {
        Run::Serve => serve::serve(config).await?,
        Run::Worker => serve::work(config).await?,
        #[cfg(feature = "aws")]
        Run::CreateTable => app::create_table(config).await?,
        Run::Eval(command) => return eval::run(config, command).await,
        Run::Audit(command) => return audit::run(config, command).await,
        Run::Replay(command) => return replay::run(&app::engine(config)?, command).await,
        Run::Keys(command) => return operate::run(config, operator::Command::Keys(command)).await,
        Run::Rollout(command) => return operate::run(config, operator::Command::Rollout(command)).await,
        Run::Workspaces(command) => return operate::run(config, operator::Command::Workspaces(command)).await,
        Run::Reseal => return operate::run(config, operator::Command::Reseal).await,
    }
    Ok(ExitCode::SUCCESS)
}
