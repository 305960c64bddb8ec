//! `orchestrator audit`: what happened in a workspace, and whether its record is as it was written.

use std::{collections::BTreeMap, error::Error, process::ExitCode};

use clap::{Args, Subcommand};
use domain::{AuditHead, WorkspaceId};
use engine::Engine;

/// Print the audit of a workspace, or of the whole deployment.
#[derive(Args)]
pub struct Audit {
    /// The workspace; default the entries of no workspace.
    #[arg(long, global = true)]
    workspace: Option<WorkspaceId>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Check that no entry was changed, removed, inserted or moved: of the workspace, or of all of them.
    Verify {
        /// A head that the log or an earlier check printed; may be given again. What it names must still be there.
        #[arg(long = "head", value_name = "HEAD")]
        heads: Vec<AuditHead>,
    },
}

pub async fn run(engine: &Engine, Audit { workspace, command }: Audit) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        None => print(engine, workspace).await,
        Some(Command::Verify { heads }) => verify(engine, workspace, heads).await,
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

/// Prints one line a workspace, with its head or the first entry that does not fit.
async fn verify(
    engine: &Engine,
    workspace: Option<WorkspaceId>,
    logged: Vec<AuditHead>,
) -> Result<ExitCode, Box<dyn Error>> {
    // Each with the heads that were logged of it; at least once without one.
    let mut checks: BTreeMap<Option<WorkspaceId>, Vec<AuditHead>> = BTreeMap::new();
    if workspace.is_none() {
        checks.insert(None, Vec::new());
        checks.extend(engine.auditor.heads().await?.into_iter().map(|head| (head.workspace_id, Vec::new())));
    }
    checks.extend(workspace.map(|workspace| (Some(workspace), Vec::new())));
    for head in logged {
        checks.entry(head.workspace_id.clone()).or_default().push(head);
    }
    let mut is_whole = true;
    for (workspace, logged) in &checks {
        let name = workspace.as_ref().map_or("-", WorkspaceId::as_str);
        let logged = logged.iter().map(Some).chain(logged.is_empty().then_some(None));
        for logged in logged {
            let verdict = engine.auditor.verify(workspace.as_ref(), logged).await?;
            let (fit, unchained) = (verdict.fit, verdict.unchained);
            let before =
                if unchained > 0 { format!(", {unchained} are from before the chains") } else { String::new() };
            match &verdict.tampering {
                Some(tampering) => println!("{name}\ttampered\t{tampering}"),
                None => println!("{name}\tok\t{fit} entries fit{before}\t{}", verdict.head),
            }
            is_whole &= verdict.tampering.is_none();
        }
    }
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
