//! The whole orchestrator in one process: the API, the page and the worker, with embedded parts.

mod keys;
mod serve;

use std::process::ExitCode;

use app::Config;
use clap::{Parser, Subcommand};

/// Turns a sentence into typed actions and carries each out once.
#[derive(Parser)]
#[command(name = "orchestrator", version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API and the page, and work the jobs (what happens without a command).
    Serve,
    /// Make, list and revoke API keys.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Work the jobs of a shared queue (QUEUE_URL) and ledger (LEDGER_TABLE), and serve nothing.
    Worker,
    /// Make the table LEDGER_TABLE as infra/template.yaml would: for DynamoDB on this machine.
    #[cfg(feature = "aws")]
    CreateTable,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(errors) => return refuse(&errors),
    };
    telemetry::logs::init(&config.log_filter, false);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error),
    };
    let done = match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => runtime.block_on(serve::serve(&config)),
        #[cfg(feature = "aws")]
        Command::CreateTable => runtime.block_on(app::create_table(&config)).map_err(Into::into),
        Command::Keys(command) => runtime.block_on(keys::run(&config, command)),
        Command::Worker => runtime.block_on(serve::work(&config)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

fn refuse(why: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("orchestrator: {why}");
    ExitCode::FAILURE
}
