use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{ActionId, ActorHash, Address, InvalidId};

/// What a credential may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// Plan, preview, look at jobs and connections.
    ActionsPreview,
    /// Execute actions; cancel, retry and resolve jobs.
    ActionsExecute,
    /// Connect and disconnect accounts.
    ConnectionsWrite,
    /// Scrape metrics of the whole deployment.
    MetricsRead,
    /// Read the audit log.
    AuditRead,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] =
        [Self::ActionsPreview, Self::ActionsExecute, Self::ConnectionsWrite, Self::MetricsRead, Self::AuditRead];

    /// The scope's name in keys and documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ActionsPreview => "actions:preview",
            Self::ActionsExecute => "actions:execute",
            Self::ConnectionsWrite => "connections:write",
            Self::MetricsRead => "metrics:read",
            Self::AuditRead => "audit:read",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(InvalidId(
            "a scope is one of actions:preview, actions:execute, connections:write, metrics:read, audit:read",
        ))
    }
}

impl TryFrom<String> for Scope {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.as_str().to_owned()
    }
}

/// The actions that may run. Empty allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Allowlist(BTreeSet<ActionId>);

impl Allowlist {
    /// Whether it holds an action.
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

/// The domains that mail may go to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RecipientDomains {
    /// Any domain.
    #[default]
    Any,
    /// These domains alone, in lower case; a subdomain is another domain.
    Only(BTreeSet<String>),
}

impl RecipientDomains {
    /// Whether mail may go to an address.
    pub fn allow(&self, address: &Address) -> bool {
        match self {
            Self::Any => true,
            Self::Only(domains) => domains.contains(&address.domain()),
        }
    }
}

/// Whether a workspace's actor is within the first `percent` of a provider's rollout.
///
/// Sticky: the same two always fall on the same place of 0 to 99, so raising the percent only adds.
pub fn in_rollout(actor: &ActorHash, percent: u8) -> bool {
    actor.first_bits() % 100 < u64::from(percent)
}

/// What an operator has set for one workspace.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkspaceSettings {
    /// The actions that it may run, of those that the deployment allows; all of them if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allowlist>,
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
    fn an_actors_place_is_of_the_sha_256_of_workspace_and_actor() {
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
