//! The program `orchestrator`: API, page and worker in one process, and the command line.

mod ask;
mod audit;
mod eval;
mod keys;
mod replay;
mod rollout;
mod serve;
mod workspaces;

use std::process::ExitCode;

use app::{ClientConfig, Config, Runtime};
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
    Keys(keys::Keys),
    /// Plan the prompts of a file and score the plans.
    Eval(eval::Eval),
    /// Show how the current code reads the stored answer of a plan.
    Replay(replay::Replay),
    /// Set and print the share of actors that may use a provider.
    #[command(subcommand)]
    Rollout(rollout::Rollout),
    /// Restrict the actions of a workspace.
    #[command(subcommand)]
    Workspaces(workspaces::Workspaces),
    /// Print the audit of a workspace, or of the whole deployment.
    Audit {
        /// The workspace; default the entries of no workspace.
        #[arg(long)]
        workspace: Option<domain::WorkspaceId>,
    },
    /// Work jobs of a shared queue (QUEUE_URL) and ledger (LEDGER_TABLE), without serving the API.
    Worker,
    /// Create the table LEDGER_TABLE as infra/template.yaml does, for a local DynamoDB.
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
        Command::Run(command) => match Config::from_env(Runtime::Local) {
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
        Run::Rollout(command) => rollout::run(config, command).await.map(succeed),
        Run::Workspaces(command) => workspaces::run(config, command).await.map(succeed),
        Run::Audit { workspace } => audit::run(config, workspace).await.map(succeed),
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
