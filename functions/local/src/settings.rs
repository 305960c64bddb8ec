use std::error::Error;

use app::Config;
use clap::Subcommand;
use domain::{ActionId, Allowlist, Provider, WorkspaceId};
use engine::Engine;

use crate::keys::known;

/// The share of actors that may use a provider.
#[derive(Subcommand)]
pub enum Rollout {
    /// Set a provider's percent. With Redis all servers hear of it within seconds, else within about a minute.
    Set {
        /// google or microsoft.
        provider: Provider,
        /// 0 to 100.
        #[arg(value_parser = clap::value_parser!(u8).range(0..=100))]
        percent: u8,
    },
    /// Print the percents, and where each is from.
    Get {
        /// google or microsoft; both, if left out.
        provider: Option<Provider>,
    },
}

/// What workspaces may do. Servers hear of a change within a minute.
#[derive(Subcommand)]
pub enum Workspaces {
    /// Let a workspace run these actions alone, of those that ALLOW_ACTIONS_DEFAULT holds; without any, none.
    Allow {
        /// The workspace.
        workspace: WorkspaceId,
        /// The actions.
        #[arg(value_delimiter = ',')]
        actions: Vec<ActionId>,
    },
    /// Let a workspace run all actions that ALLOW_ACTIONS_DEFAULT holds, as it may when nothing was set.
    Reset {
        /// The workspace.
        workspace: WorkspaceId,
    },
    /// Print which actions a workspace may run.
    Show {
        /// The workspace.
        workspace: WorkspaceId,
    },
}

/// Does what the command says, in the ledger that the environment names, and prints what holds now; a server may run beside it.
pub async fn rollout(config: &Config, command: Rollout) -> Result<(), Box<dyn Error>> {
    let engine = app::engine(config)?;
    match command {
        Rollout::Set { provider, percent } => {
            if !engine.settings.set_rollout(provider, percent).await? {
                eprintln!("Redis does not answer: servers hear of it when it does, within a minute");
            }
            print_percent(&engine, provider).await?;
        }
        Rollout::Get { provider } => {
            for provider in provider.map_or_else(|| Provider::ALL.to_vec(), |provider| vec![provider]) {
                print_percent(&engine, provider).await?;
            }
        }
    }
    Ok(())
}

async fn print_percent(engine: &Engine, provider: Provider) -> Result<(), Box<dyn Error>> {
    let (percent, of_environment) = engine.settings.rollout(provider).await?;
    println!("{provider}\t{percent}\t{}", if of_environment { "environment" } else { "ledger" });
    Ok(())
}

/// The same for what workspaces may do.
pub async fn workspaces(config: &Config, command: Workspaces) -> Result<(), Box<dyn Error>> {
    let engine = app::engine(config)?;
    let workspace = match command {
        Workspaces::Allow { workspace, actions } => {
            let allow = known(&engine, actions)?;
            engine.settings.allow(&workspace, Some(allow)).await?;
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

/// Prints the audit of a workspace, or of what is about the whole deployment: one line of JSON an entry, newest first.
pub async fn audit(config: &Config, workspace: Option<WorkspaceId>) -> Result<(), Box<dyn Error>> {
    let engine = app::engine(config)?;
    let mut after = None;
    loop {
        let page = engine.auditor.page(workspace.clone(), after, 100).await?;
        for entry in &page.entries {
            println!("{}", serde_json::to_string(entry)?);
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
