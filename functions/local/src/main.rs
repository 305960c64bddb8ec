//! The whole orchestrator in one process: the API, the page and the worker, with embedded parts.

mod ask;
mod eval;
mod keys;
mod replay;
mod serve;
mod settings;

use std::process::ExitCode;

use app::{ClientConfig, Config, Place};
use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Turns a sentence into typed actions and carries each out once.
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

/// What this process does itself, with the parts that its environment names.
#[derive(Subcommand)]
enum Run {
    /// Serve the API and the page, and work the jobs (what happens without a command).
    Serve,
    /// Make, list and revoke API keys.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Plan the prompts of a file and show how good the plans are.
    Eval(eval::Eval),
    /// Show what today's code makes of a plan's stored answer.
    Replay(replay::Replay),
    /// Set and print the share of actors that may use a provider.
    #[command(subcommand)]
    Rollout(settings::Rollout),
    /// Narrow what a workspace may run.
    #[command(subcommand)]
    Workspaces(settings::Workspaces),
    /// Print the audit of a workspace, or of the whole deployment's settings.
    Audit {
        /// The workspace; what is of none, if left out.
        #[arg(long)]
        workspace: Option<domain::WorkspaceId>,
    },
    /// Work the jobs of a shared queue (QUEUE_URL) and ledger (LEDGER_TABLE), and serve nothing.
    Worker,
    /// Make the table LEDGER_TABLE as infra/template.yaml would: for DynamoDB on this machine.
    #[cfg(feature = "aws")]
    CreateTable,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error),
    };
    match arguments.command.unwrap_or(Command::Run(Run::Serve)) {
        Command::Ask(ask) => match ClientConfig::from_env() {
            Ok(config) => runtime.block_on(ask::run(config, ask)).unwrap_or_else(|error| refuse(&*error)),
            Err(errors) => refuse(&errors),
        },
        Command::Run(command) => match Config::from_env(Place::Local) {
            Ok(config) => runtime.block_on(run(&config, command)),
            Err(errors) => refuse(&errors),
        },
    }
}

async fn run(config: &Config, command: Run) -> ExitCode {
    telemetry::logs::init(&config.log_filter, config.log_format == app::LogFormat::Json);
    let done = match command {
        Run::Serve => serve::serve(config).await.map(succeed),
        #[cfg(feature = "aws")]
        Run::CreateTable => app::create_table(config).await.map(succeed).map_err(Into::into),
        Run::Eval(command) => eval::run(config, command).await,
        Run::Keys(command) => keys::run(config, command).await.map(succeed),
        Run::Replay(command) => replay::run(config, command).await,
        Run::Worker => serve::work(config).await.map(succeed),
        Run::Rollout(command) => settings::rollout(config, command).await.map(succeed),
        Run::Workspaces(command) => settings::workspaces(config, command).await.map(succeed),
        Run::Audit { workspace } => settings::audit(config, workspace).await.map(succeed),
    };
    match done {
        Ok(code) => code,
        Err(error) => refuse(&*error),
    }
}

fn succeed(_: ()) -> ExitCode {
    ExitCode::SUCCESS
}

fn refuse(why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("orchestrator: {why}");
    ExitCode::FAILURE
}
