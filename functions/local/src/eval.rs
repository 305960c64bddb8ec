//! `orchestrator eval`.

use std::{error::Error, path::PathBuf, process::ExitCode};

use app::Config;
use clap::Args;
use engine::evaluation::Case;

/// Plans every prompt of a file with the configured model, and prints scores. Nothing is stored or sent.
#[derive(Args)]
pub struct Eval {
    /// One JSON object a line: `{"id", "prompt", "expect": "send" | "ask" | "none", "actions": [{"action", "to": []}]}`.
    file: PathBuf,
    /// Print JSON, with every case, instead of a table.
    #[arg(long)]
    json: bool,
    /// The price of a million input tokens, in dollars.
    #[arg(long, requires = "price_out")]
    price_in: Option<f64>,
    /// The price of a million output tokens, in dollars.
    #[arg(long, requires = "price_in")]
    price_out: Option<f64>,
}

/// Evaluates. The exit code is 1 if a plan has a recipient that its prompt does not contain.
pub async fn run(config: &Config, command: Eval) -> Result<ExitCode, Box<dyn Error>> {
    let name = command.file.display().to_string();
    let text = std::fs::read_to_string(&command.file).map_err(|error| format!("{name}: {error}"))?;
    let cases = Case::read(&text).map_err(|error| format!("{name}, {error}"))?;
    let prices = command.price_in.zip(command.price_out).map(<[f64; 2]>::from);
    let workspace = "eval".parse().expect("the constant is a workspace id");
    let report = app::engine(config)?.planner.evaluate(&workspace, &cases, prices).await;
    if command.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", report.table());
    }
    Ok(ExitCode::from(u8::from(report.counts["invented"] > 0)))
}
