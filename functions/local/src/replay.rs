//! `orchestrator replay`.

use std::{error::Error, process::ExitCode};

use clap::Args;
use domain::{PlanId, WorkspaceId};
use engine::Engine;

/// Reads the stored answer of a plan with the current code, and prints the differences between the two plans as JSON.
/// The exit code is 0 without differences, 1 with some, and 2 if there is no such plan.
#[derive(Args)]
pub struct Replay {
    /// The plan's id. Plans are stored for 24 hours.
    plan_id: PlanId,
    /// The plan's workspace.
    #[arg(long, default_value = "local")]
    workspace: WorkspaceId,
}

/// Replays with the configured ledger. A server may run at the same time.
pub async fn run(engine: &Engine, command: Replay) -> Result<ExitCode, Box<dyn Error>> {
    match engine.planner.replay(&command.workspace, command.plan_id).await {
        Ok(replay) => {
            println!("{}", serde_json::to_string_pretty(&replay)?);
            Ok(ExitCode::from(u8::from(!replay.differences.is_empty())))
        }
        Err(problem) => {
            eprintln!("orchestrator: {}", problem.detail);
            Ok(ExitCode::from(2))
        }
    }
}
