//! `orchestrator audit`: what happened in a workspace.

use std::error::Error;

use domain::WorkspaceId;
use engine::Engine;

/// Prints the audit of a workspace, or of the whole deployment: one line of JSON an entry, newest first.
pub async fn run(engine: &Engine, workspace: Option<WorkspaceId>) -> Result<(), Box<dyn Error>> {
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
