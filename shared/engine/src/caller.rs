//! The caller of a use case.

use std::collections::BTreeSet;

use domain::{ActionId, ActorHash, ActorId, Allowlist, AuditEntry, Job, KeyId, Rule, Scope, WorkspaceId};

use crate::{Problem, ProblemCode, limits::Ticket};

/// The caller, as a credential or keyless mode makes it, for one request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The workspace the credential belongs to.
    pub workspace: WorkspaceId,
    /// The API key that it is; none in keyless mode and for an access token.
    pub key_id: Option<KeyId>,
    /// The one actor it may act for; none when it may act for any.
    pub bound_actor: Option<ActorHash>,
    /// The actor when the request names none.
    pub default_actor: ActorHash,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// The actions that it may run, of those that its workspace may; all of them if it is not set.
    pub allow: Option<Allowlist>,
    /// It is an agent's: its jobs are held.
    pub agent: bool,
    /// Its sends end after their drafts.
    pub draft_only: bool,
    /// What this request still owes the rate limits.
    pub ticket: Ticket,
}

impl Caller {
    /// The same caller as an agent's: its jobs are held, and it decides about none.
    #[must_use]
    pub fn by_agent(mut self) -> Self {
        self.agent = true;
        self.scopes.remove(&Scope::ActionsApprove);
        self
    }

    /// Whether limits apply: they do wherever a credential is needed.
    pub(crate) fn is_limited(&self) -> bool {
        self.ticket.key().is_some()
    }

    /// The workspace that a request is for: the credential's, and no other.
    pub fn workspace_of(&self, asked: Option<&str>) -> Result<&WorkspaceId, Problem> {
        match asked {
            Some(asked) if asked != self.workspace.as_str() => {
                let detail = "workspace_id is not the credential's; leave it out";
                Err(Problem::at(ProblemCode::WorkspaceMismatch, "/workspace_id", detail).by_rule(Rule::Key))
            }
            _ => Ok(&self.workspace),
        }
    }

    /// The actor that a request acts for; none when neither it nor the credential names one.
    pub fn actor_of(&self, asked: Option<ActorId>) -> Result<Option<ActorHash>, Problem> {
        let asked = asked.map(|asked| ActorHash::of(&self.workspace, &asked));
        match (&self.bound_actor, asked) {
            (Some(bound), Some(asked)) if *bound != asked => {
                let detail = "the credential acts for another actor";
                Err(Problem::at(ProblemCode::ActorMismatch, "/actor_id", detail).by_rule(Rule::Key))
            }
            (Some(bound), _) => Ok(Some(bound.clone())),
            (None, asked) => Ok(asked),
        }
    }

    /// Whether a job is the caller's to know of: one of its workspace, and of its actor if it is bound to one; and whosever
    /// it is, as long as it is held, for callers who approve. For any other caller there is no such job. Every lookup and
    /// every list asks here.
    pub(crate) fn knows(&self, job: &Job) -> bool {
        let decides = job.is_held() && self.scopes.contains(&Scope::ActionsApprove);
        job.workspace_id == self.workspace && (self.is_for(&job.actor) || decides)
    }

    /// Whether the caller may read and change jobs of an action: a key that is narrowed to actions reaches no others.
    pub(crate) fn covers(&self, action: &ActionId) -> bool {
        self.allow.as_ref().is_none_or(|allow| allow.allows(action))
    }

    /// Whether the caller may see an entry of its workspace's audit.
    pub(crate) fn may_see(&self, entry: &AuditEntry) -> bool {
        let mut actors = entry.actor.iter().chain(&entry.by_actor);
        (self.bound_actor.is_none() || actors.any(|actor| self.is_for(actor)))
            && entry.action.as_ref().is_none_or(|action| self.covers(action))
    }

    /// Whether the caller may act for an actor.
    pub(crate) fn is_for(&self, actor: &ActorHash) -> bool {
        self.bound_actor.as_ref().is_none_or(|bound| bound == actor)
    }
}
