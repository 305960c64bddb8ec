//! The actions that a workspace may run.

use domain::{ActionId, Allowlist, WorkspaceId};
use engine::{Engine, Problem};
use serde::Deserialize;
use serde_json::json;

use super::{Outcome, known};

/// Permissions of workspaces. A change takes effect at once, or within 10 seconds with LEDGER_TABLE.
#[cfg_attr(feature = "clap", derive(clap::Subcommand))]
pub enum Workspaces {
    /// Allow a workspace only these actions, of those in ALLOW_ACTIONS_DEFAULT. Without any, it may run none.
    Allow(Allow),
    /// Allow a workspace all actions in ALLOW_ACTIONS_DEFAULT, which is the default.
    Reset(Workspace),
    /// Print the actions that a workspace may run.
    Show(Workspace),
}

/// What a workspace may run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Allow {
    /// The workspace.
    workspace: WorkspaceId,
    /// The actions, comma separated.
    #[cfg_attr(feature = "clap", arg(value_delimiter = ','))]
    actions: Vec<ActionId>,
}

/// A workspace.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Workspace {
    /// The workspace.
    workspace: WorkspaceId,
}

pub(super) async fn run(engine: &Engine, command: Workspaces) -> Result<Outcome, Problem> {
    let workspace = match command {
        Workspaces::Allow(Allow { workspace, actions }) => {
            engine.settings.allow(&workspace, Some(known(engine, "actions", actions)?)).await?;
            workspace
        }
        Workspaces::Reset(Workspace { workspace }) => {
            engine.settings.allow(&workspace, None).await?;
            workspace
        }
        Workspaces::Show(Workspace { workspace }) => workspace,
    };
    let settings = engine.settings.workspace(&workspace).await?;
    let allow = settings.allow.as_ref().map_or_else(|| "all".to_owned(), Allowlist::to_string);
    Ok(Outcome::of(json!({ "allow": allow })))
}
