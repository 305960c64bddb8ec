//! What credentials, workspaces and the deployment allow.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::{ActionId, ActorHash, Address, InvalidId, serde_text::serde_as_text};

/// A permission of a credential.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Display, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(parse_err_ty = InvalidId, parse_err_fn = unknown_scope)]
pub enum Scope {
    /// Plan, preview, look at jobs and connections.
    #[strum(serialize = "actions:preview")]
    ActionsPreview,
    /// Execute actions; cancel, retry and resolve jobs.
    #[strum(serialize = "actions:execute")]
    ActionsExecute,
    /// See, approve and reject the held jobs of the workspace.
    #[strum(serialize = "actions:approve")]
    ActionsApprove,
    /// Look up people, events and free time in the connected accounts.
    #[strum(serialize = "accounts:read")]
    AccountsRead,
    /// Connect and disconnect accounts.
    #[strum(serialize = "connections:write")]
    ConnectionsWrite,
    /// Manage webhook endpoints.
    #[strum(serialize = "webhooks:write")]
    WebhooksWrite,
    /// Scrape metrics of the whole deployment.
    #[strum(serialize = "metrics:read")]
    MetricsRead,
    /// Read the audit log.
    #[strum(serialize = "audit:read")]
    AuditRead,
}

serde_as_text!(Scope);

impl Scope {
    /// Every scope.
    pub fn all() -> BTreeSet<Self> {
        Self::VARIANTS.iter().copied().collect()
    }

    /// The scope's name in keys and documents.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn unknown_scope(_: &str) -> InvalidId {
    InvalidId(
        "a scope is one of actions:preview, actions:execute, actions:approve, accounts:read, connections:write, webhooks:write, \
         metrics:read, audit:read",
    )
}

/// The actions that may run. An empty list allows none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Allowlist(BTreeSet<ActionId>);

impl Allowlist {
    /// Whether the list contains an action.
    pub fn allows(&self, action: &ActionId) -> bool {
        self.0.contains(action)
    }

    /// The actions on the list, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &ActionId> {
        self.0.iter()
    }
}

impl fmt::Display for Allowlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(ActionId::as_str).collect();
        f.write_str(if names.is_empty() { "none" } else { "" })?;
        f.write_str(&names.join(","))
    }
}

impl FromIterator<ActionId> for Allowlist {
    fn from_iter<I: IntoIterator<Item = ActionId>>(actions: I) -> Self {
        Self(actions.into_iter().collect())
    }
}

/// The domains that may receive mail.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RecipientDomains {
    /// Any domain.
    #[default]
    Any,
    /// Only these domains, in lower case; a subdomain is another domain.
    Only(BTreeSet<String>),
}

impl RecipientDomains {
    /// Whether an address may receive mail.
    pub fn allow(&self, address: &Address) -> bool {
        match self {
            Self::Any => true,
            Self::Only(domains) => domains.contains(&address.domain()),
        }
    }
}

/// Whether an actor of a workspace is within the first `percent` of a rollout.
///
/// Sticky: an actor always has the same place from 0 to 99, so a higher percent only adds actors.
pub fn in_rollout(actor: &ActorHash, percent: u8) -> bool {
    let first_bits = actor.as_str().get(..16).and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or_default();
    first_bits % 100 < u64::from(percent)
}

/// The settings of a workspace, made by an operator.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkspaceSettings {
    /// The actions that it may run, among those of the deployment; all of those if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allowlist>,
    /// Its sends end after their drafts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draft_only: bool,
}

impl fmt::Display for WorkspaceSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.allow {
            Some(allow) => allow.fmt(f)?,
            None => f.write_str("all")?,
        }
        f.write_str(if self.draft_only { "; draft-only" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_allowlist_allows_nothing() {
        let send: ActionId = "gmail.send".parse().unwrap();
        assert!(!Allowlist::default().allows(&send));
        assert!(Allowlist::from_iter([send.clone()]).allows(&send));
    }

    #[test]
    fn a_rollout_is_sticky_and_only_grows() {
        let workspace = "acme".parse().unwrap();
        let actors: Vec<ActorHash> =
            (0..2000).map(|i| ActorHash::of(&workspace, &format!("user{i}").parse().unwrap())).collect();
        let inside = |percent| actors.iter().filter(|a| in_rollout(a, percent)).collect::<Vec<_>>();
        assert!(inside(0).is_empty());
        assert_eq!(inside(100).len(), actors.len());
        let (quarter, half) = (inside(25), inside(50));
        assert!(quarter.iter().all(|a| half.contains(a)));
        assert!((400..600).contains(&quarter.len()), "{}", quarter.len());
    }

    #[test]
    fn an_actors_place_comes_from_the_sha_256_of_workspace_and_actor() {
        // printf acme:ana | sha256sum: 1935… is place 21.
        let ana = ActorHash::of(&"acme".parse().unwrap(), &"ana".parse().unwrap());
        let place = (0..=100).find(|percent| in_rollout(&ana, *percent)).unwrap() - 1;
        assert_eq!((&ana.as_str()[..16], place), ("1935624ef17a6bb1", 21));
    }

    #[test]
    fn a_subdomain_is_another_domain() {
        let only = RecipientDomains::Only(["example.com".to_owned()].into());
        assert!(only.allow(&"a@Example.com".parse().unwrap()));
        assert!(!only.allow(&"a@x.example.com".parse().unwrap()));
    }
}
