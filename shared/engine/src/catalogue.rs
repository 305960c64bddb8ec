//! The catalogue: every action, found by its id, and as a caller sees it.

use std::sync::{Arc, OnceLock};

use domain::{ActionId, Provider, sha256_hex};
use serde_json::{Value, json};

use crate::{
    Caller, Problem, ProblemCode,
    accounts::{Accounts, Connection},
    gate::Gate,
    ports::{About, Action, Call},
};

/// Every action.
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

/// An action as a caller sees it.
pub struct Listing {
    /// The action.
    pub action: Arc<dyn Action>,
    /// Whether this caller may run it.
    pub allowed: bool,
    /// The account that would carry it out.
    pub connection: Connection,
}

/// The catalogue as a caller sees it.
pub struct CatalogueView {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) accounts: Arc<Accounts>,
}

impl CatalogueView {
    /// Every action, with its account and whether the caller may run it.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<Listing>, Problem> {
        let permissions = self.gate.permissions(caller).await?;
        let mut listings = Vec::new();
        for action in self.catalogue.iter() {
            let about = action.about();
            listings.push(Listing {
                action: Arc::clone(action),
                allowed: permissions.allow(&about.action_id()),
                connection: self.account(caller, about.provider).await?,
            });
        }
        Ok(listings)
    }

    /// The caller's account with a provider.
    pub async fn account(&self, caller: &Caller, provider: Provider) -> Result<Connection, Problem> {
        Ok(self.accounts.known(&caller.workspace, provider).await?)
    }
}
