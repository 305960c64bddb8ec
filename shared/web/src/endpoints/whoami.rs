//! `GET /whoami`: what the caller's credential may do.

use std::collections::BTreeSet;

use domain::{ActionId, Scope};
use jiff::Timestamp;

use crate::endpoint::prelude::*;

endpoint! {
    path: "/whoami", function: Jobs, scope: any, tag: "about", problems: [],
    example: || json!({ "response": {
        "workspace_id": "acme", "scopes": ["actions:preview", "actions:execute"], "key_id": "a1B2c3D4e5F6",
        "key_name": "backend", "expires_at": "2027-02-20T09:00:00Z", "actor_sha256": null, "actions": null, "agent": false, "draft_only": false,
    } }),
}

/// What a credential may do.
#[derive(Serialize, ToSchema)]
struct Whoami {
    /// The workspace that it belongs to.
    workspace_id: String,
    #[schema(value_type = Vec<String>)]
    scopes: BTreeSet<Scope>,
    /// The part of the key between the underscores. Null on a server without keys, and for an access token.
    key_id: Option<String>,
    /// The key's name, if it has one.
    key_name: Option<String>,
    /// When the key expires. Null if it never does, and for what is no key.
    expires_at: Option<Timestamp>,
    /// The one actor that it may act for, as the SHA-256 of `workspace:actor`. Null if it may act for any.
    actor_sha256: Option<String>,
    /// The actions that it may run, of those that its workspace may. Null if it may run all of these.
    #[schema(value_type = Option<Vec<String>>)]
    actions: Option<Vec<ActionId>>,
    /// Whether it is an agent's: its jobs are held until a person approves them.
    agent: bool,
    /// Whether its sends end as drafts.
    draft_only: bool,
}

/// Tells the workspace and the scopes of the caller's credential.
#[utoipa::path(
    get, path = ENDPOINT.path,
    responses((status = 200, description = "What the credential may do", body = Whoami))
)]
async fn handler(State(web): State<Web>, may: Authorized) -> Answer<Whoami> {
    let caller = may.caller;
    let key = match &caller.key_id {
        Some(id) => web.engine.keys.record(id).await.map_err(Problem::from)?,
        None => None,
    };
    Ok(Out(Whoami {
        key_name: key.as_ref().and_then(|key| key.name.as_ref()).map(ToString::to_string),
        expires_at: key.and_then(|key| key.expires_at),
        workspace_id: caller.workspace.into(),
        scopes: caller.scopes,
        key_id: caller.key_id.map(|id| id.to_string()),
        actor_sha256: caller.bound_actor.map(|actor| actor.as_str().to_owned()),
        actions: caller.allow.map(|allow| allow.iter().cloned().collect()),
        agent: caller.agent,
        draft_only: caller.draft_only,
    }))
}
