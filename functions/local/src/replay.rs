use std::{error::Error, process::ExitCode};

use app::Config;
use clap::Args;
use domain::{PlanId, WorkspaceId};

/// Runs the stored answer of a plan through today's code, and prints where the two plans differ, as JSON.
/// Ends with 0 where nothing differs, with 1 where something does, with 2 where there is no such plan.
#[derive(Args)]
pub struct Replay {
    /// The plan's id; it is kept for 24 hours.
    plan_id: PlanId,
    /// The workspace that it was made in.
    #[arg(long, default_value = "local")]
    workspace: WorkspaceId,
}

/// Replays, with the ledger and the settings that the environment names; a server may run beside it.
pub async fn run(config: &Config, command: Replay) -> Result<ExitCode, Box<dyn Error>> {
    match app::engine(config)?.planner.replay(&command.workspace, command.plan_id).await {
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
