use std::collections::BTreeSet;

use domain::{ActorHash, Allowlist, KeyId, Scope, WorkspaceId};

/// Who asks: what a credential, or keyless mode, stands for.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The workspace the credential belongs to.
    pub workspace: WorkspaceId,
    /// The API key that it is; none in keyless mode.
    pub key_id: Option<KeyId>,
    /// The one actor it may act for; none when it may act for any.
    pub bound_actor: Option<ActorHash>,
    /// Whom it acts for when the request does not say.
    pub default_actor: ActorHash,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// The actions that it may run, of those that its workspace may; all of them if it is not set.
    pub allow: Option<Allowlist>,
}
