//! What can be done: every action, found by its id, and what a caller sees of it.

use std::sync::{Arc, OnceLock};

use domain::{ActionId, Address, Provider, sha256_hex};
use serde_json::{Value, json};

use crate::{
    Caller, Engine, Problem, ProblemCode,
    ports::{About, Action, Call, Connection},
};

/// Every action there is.
#[derive(Clone)]
pub struct Catalogue {
    actions: Vec<Arc<dyn Action>>,
    version: OnceLock<String>,
}

impl Catalogue {
    /// A catalogue of these actions.
    pub fn new(actions: Vec<Arc<dyn Action>>) -> Self {
        Self { actions, version: OnceLock::new() }
    }

    /// Changes with the actions and with the schemas of their params: a SHA-256 in lower-case hex.
    pub fn version(&self) -> &str {
        self.version.get_or_init(|| {
            let all = self.iter().map(|action| json!([action.about().id, action.params_schema()])).collect::<Value>();
            sha256_hex(all.to_string().as_bytes())
        })
    }

    /// The action of this id.
    pub fn find(&self, id: &str) -> Option<&Arc<dyn Action>> {
        self.actions.iter().find(|action| action.about().id == id)
    }

    /// Every action, in order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Action>> {
        self.actions.iter()
    }

    /// Finds and parses an action as a request names it. `provider` may be left out; if it is
    /// there, it must be the action's own. Pointers start at the action.
    pub fn parse(
        &self,
        provider: Option<&str>,
        action: &str,
        params: &serde_json::Value,
    ) -> Result<(&About, Box<dyn Call>), Problem> {
        let known = self.find(action).ok_or_else(|| {
            let ids: Vec<&str> = self.iter().map(|action| action.about().id).collect();
            unknown("/action", format!("there is no such action; there are {}", ids.join(", ")))
        })?;
        let about = known.about();
        if provider.is_some_and(|provider| provider != about.provider.as_str()) {
            return Err(unknown("/provider", format!("{} is an action of {}", about.id, about.provider)));
        }
        let call = known.parse(params).map_err(|violations| {
            let errors: Vec<_> = violations.into_iter().map(|violation| violation.under("/params")).collect();
            Problem::new(ProblemCode::InvalidParams, format!("the params of {} are not valid", about.id))
                .with_errors(errors)
        })?;
        Ok((about, call))
    }
}

fn unknown(pointer: &str, detail: String) -> Problem {
    let errors = vec![domain::Violation::new(pointer, detail.clone())];
    Problem::new(ProblemCode::UnknownAction, detail).with_errors(errors)
}

impl About {
    /// The action's id as a parsed type.
    pub fn action_id(&self) -> ActionId {
        self.id.parse().expect("a test holds every id of the catalogue to be well formed")
    }
}

/// What a caller sees of an action.
pub struct Listing {
    /// The action.
    pub action: Arc<dyn Action>,
    /// Whether this caller may run it.
    pub allowed: bool,
    /// Where its mails go.
    pub mode: Mode,
    /// From which address, where it is known.
    pub address: Option<Address>,
}

/// Where mails of a provider go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Into the outbox.
    Sandbox,
    /// To the provider.
    Live,
    /// Nowhere: the account's owner has to consent again.
    NeedsReauth,
    /// Nowhere: no account is connected.
    NotConnected,
}

impl Mode {
    /// The mode's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Live => "live",
            Self::NeedsReauth => "needs_reauth",
            Self::NotConnected => "not_connected",
        }
    }
}

impl Engine {
    /// The catalogue as a caller sees it.
    pub async fn list_actions(&self, caller: &Caller) -> Result<Vec<Listing>, Problem> {
        let permissions = self.permissions(caller).await?;
        let mut listings = Vec::new();
        for action in self.catalogue.iter() {
            let about = action.about();
            let (mode, address) = self.mode(caller, about.provider).await?;
            listings.push(Listing {
                action: Arc::clone(action),
                allowed: permissions.allow(&about.action_id()),
                mode,
                address,
            });
        }
        Ok(listings)
    }

    /// Where a caller's mails of a provider go, and from which address.
    pub async fn mode(&self, caller: &Caller, provider: Provider) -> Result<(Mode, Option<Address>), Problem> {
        Ok(match self.connections.known(&caller.workspace, provider).await? {
            Connection::Sandbox(address) => (Mode::Sandbox, Some(address)),
            Connection::Live(access) => (Mode::Live, access.address),
            Connection::NeedsReauth(access) => (Mode::NeedsReauth, access.address),
            Connection::None => (Mode::NotConnected, None),
        })
    }
}
