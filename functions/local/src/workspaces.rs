//! `orchestrator workspaces`: the actions that a workspace may run.

use std::error::Error;

use clap::Subcommand;
use domain::{ActionId, Allowlist, WorkspaceId};
use engine::Engine;

use crate::keys::known;

/// Permissions of workspaces. A change takes effect at once, or within 10 seconds with LEDGER_TABLE.
#[derive(Subcommand)]
pub enum Workspaces {
    /// Allow a workspace only these actions, of those in ALLOW_ACTIONS_DEFAULT. Without any, it may run none.
    Allow {
        /// The workspace.
        workspace: WorkspaceId,
        /// The actions, comma separated.
        #[arg(value_delimiter = ',')]
        actions: Vec<ActionId>,
    },
    /// Allow a workspace all actions in ALLOW_ACTIONS_DEFAULT, which is the default.
    Reset {
        /// The workspace.
        workspace: WorkspaceId,
    },
    /// Print the actions that a workspace may run.
    Show {
        /// The workspace.
        workspace: WorkspaceId,
    },
}

/// Runs the command on the configured ledger, and prints the result. A server may run at the same time.
pub async fn run(engine: &Engine, command: Workspaces) -> Result<(), Box<dyn Error>> {
    let workspace = match command {
        Workspaces::Allow { workspace, actions } => {
            engine.settings.allow(&workspace, Some(known(engine, actions)?)).await?;
            workspace
        }
        Workspaces::Reset { workspace } => {
            engine.settings.allow(&workspace, None).await?;
            workspace
        }
        Workspaces::Show { workspace } => workspace,
    };
    let settings = engine.settings.workspace(&workspace).await?;
    println!("{}", settings.allow.as_ref().map_or_else(|| "all".to_owned(), Allowlist::to_string));
    Ok(())
}
