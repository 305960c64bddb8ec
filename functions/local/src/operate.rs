//! The operator's commands, printed.

use std::{error::Error, process::ExitCode};

use app::{
    Config,
    operator::{self, Command},
};

/// Runs the command on the configured ledger, and prints its result, and on standard error what a person should know. The
/// exit code is 1 if something is wrong with what was looked at.
pub async fn run(config: &Config, command: Command) -> Result<ExitCode, Box<dyn Error>> {
    let titles =
        matches!(command, Command::Reseal).then_some("purpose\tsealed again\twith the first key now\tunreadable");
    let outcome = operator::run(config, &app::engine(config)?, command).await.map_err(|problem| problem.detail)?;
    if let Some(titles) = titles {
        println!("{titles}");
    }
    print!("{}", outcome.text());
    for note in &outcome.notes {
        eprintln!("{note}");
    }
    Ok(if outcome.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
