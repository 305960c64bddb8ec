//! Whether the audit is as it was written.

use std::collections::BTreeMap;

use domain::{AuditHead, WorkspaceId};
use engine::{Engine, Problem};
use serde::Deserialize;
use serde_json::json;

use super::Outcome;
use crate::config::LOCAL;

/// An audit to check: of the workspace, or of all of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The workspace.
    pub workspace: Option<WorkspaceId>,
    /// Heads that the log or an earlier check printed. What they name must still be there.
    #[serde(default)]
    pub heads: Vec<AuditHead>,
}

/// A row for each workspace, with its head or the first entry that does not fit; then `ok` is false.
pub(super) async fn run(engine: &Engine, Verify { workspace, heads }: Verify) -> Result<Outcome, Problem> {
    // Each with the heads that were logged of it; at least once without one.
    let mut checks: BTreeMap<Option<WorkspaceId>, Vec<AuditHead>> = BTreeMap::new();
    if workspace.is_none() {
        // Where somebody took the heads of a workspace away, its keys still name it; without keys it is the one of this machine.
        let keys = engine.keys.list().await?;
        let local = keys.is_empty().then(|| LOCAL.parse().ok()).into_iter();
        let of_keys = keys.into_iter().map(|key| Some(key.workspace_id)).chain(local);
        let of_heads = engine.auditor.heads().await?.into_iter().map(|head| head.workspace_id);
        checks.extend(of_heads.chain(of_keys).chain([None]).map(|workspace| (workspace, Vec::new())));
    }
    checks.extend(workspace.map(|workspace| (Some(workspace), Vec::new())));
    for head in heads {
        checks.entry(head.workspace_id.clone()).or_default().push(head);
    }
    let (mut rows, mut ok) = (Vec::new(), true);
    for (workspace, logged) in &checks {
        let logged = logged.iter().map(Some).chain(logged.is_empty().then_some(None));
        for logged in logged {
            let verdict = engine.auditor.verify(workspace.as_ref(), logged).await?;
            let (fit, unchained) = (verdict.fit, verdict.unchained);
            let before =
                if unchained > 0 { format!(", {unchained} are from before the chains") } else { String::new() };
            rows.push(match &verdict.tampering {
                Some(tampering) => {
                    json!({ "workspace": workspace, "state": "tampered", "says": tampering.to_string() })
                }
                None => json!({
                    "workspace": workspace, "state": "ok", "says": format!("{fit} entries fit{before}"),
                    "head": verdict.head.to_string(),
                }),
            });
            ok &= verdict.tampering.is_none();
        }
    }
    Ok(Outcome { ok, ..Outcome::of(rows.into()) })
}
