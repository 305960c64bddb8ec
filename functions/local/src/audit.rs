//! `orchestrator audit`: what happened in a workspace, and whether its record is as it was written.

use std::{error::Error, process::ExitCode};

use app::{
    Config,
    operator::{Command, Verify},
};
use clap::{Args, Subcommand};
use domain::{AuditHead, WorkspaceId};
use engine::Engine;

use crate::operate;

/// Print the audit of a workspace, or of the whole deployment.
#[derive(Args)]
pub struct Audit {
    /// The workspace; default the entries of no workspace.
    #[arg(long, global = true)]
    workspace: Option<WorkspaceId>,
    #[command(subcommand)]
    check: Option<Check>,
}

#[derive(Subcommand)]
enum Check {
    /// Check that no entry was changed, removed, inserted or moved: of the workspace, or of all of them.
    Verify {
        /// A head that the log or an earlier check printed; may be given again. What it names must still be there.
        #[arg(long = "head", value_name = "HEAD")]
        heads: Vec<AuditHead>,
    },
}

pub async fn run(config: &Config, Audit { workspace, check }: Audit) -> Result<ExitCode, Box<dyn Error>> {
    match check {
        None => print(&app::engine(config)?, workspace).await,
        Some(Check::Verify { heads }) => operate::run(config, Command::Verify(Verify { workspace, heads })).await,
    }
}

/// Prints one line of JSON an entry, newest first.
async fn print(engine: &Engine, workspace: Option<WorkspaceId>) -> Result<ExitCode, Box<dyn Error>> {
    let mut after = None;
    loop {
        let page = engine.auditor.page(workspace.clone(), None, after, 100).await?;
        for entry in &page.entries {
            println!("{}", serde_json::to_string(entry)?);
        }
        after = page.next;
        if after.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}
