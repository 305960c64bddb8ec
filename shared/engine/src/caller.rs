use std::collections::BTreeSet;

use domain::{ActorId, Scope, WorkspaceId};

/// Who asks: what a credential, or keyless mode, stands for.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The workspace the credential belongs to.
    pub workspace: WorkspaceId,
    /// The one actor it may act for; none when it may act for any.
    pub bound_actor: Option<ActorId>,
    /// Whom it acts for when the request does not say.
    pub default_actor: ActorId,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
}
