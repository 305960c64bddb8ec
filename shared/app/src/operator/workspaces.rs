//! What a workspace may do.

use domain::{ActionId, Allowlist, WorkspaceId, WorkspaceSettings};
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
    /// End a workspace's sends after their drafts: nothing is sent. Jobs that were accepted before end so, too.
    DraftOnly(DraftOnly),
    /// Print the actions that a workspace may run, and whether it is draft-only.
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

/// Whether a workspace is draft-only.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct DraftOnly {
    /// The workspace.
    workspace: WorkspaceId,
    /// Send again. A job that was accepted as draft-only stays so.
    #[cfg_attr(feature = "clap", arg(long))]
    #[serde(default)]
    off: bool,
}

/// A workspace.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct Workspace {
    /// The workspace.
    pub(super) workspace: WorkspaceId,
}

pub(super) async fn run(engine: &Engine, command: Workspaces) -> Result<Outcome, Problem> {
    let settings = &engine.settings;
    let now = match command {
        Workspaces::Allow(Allow { workspace, actions }) => {
            let allow = Some(known(engine, "actions", actions)?);
            settings.change_workspace(&workspace, |now| WorkspaceSettings { allow: allow.clone(), ..now }).await?
        }
        Workspaces::Reset(Workspace { workspace }) => {
            settings.change_workspace(&workspace, |now| WorkspaceSettings { allow: None, ..now }).await?
        }
        Workspaces::DraftOnly(DraftOnly { workspace, off }) => {
            settings.change_workspace(&workspace, |now| WorkspaceSettings { draft_only: !off, ..now }).await?
        }
        Workspaces::Show(Workspace { workspace }) => settings.workspace(&workspace).await?,
    };
    let allow = now.allow.as_ref().map_or_else(|| "all".to_owned(), Allowlist::to_string);
    let mut shown = json!({ "allow": allow });
    if now.draft_only {
        shown["kind"] = json!("draft-only");
    }
    Ok(Outcome::of(shown))
}
