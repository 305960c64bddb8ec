//! The catalogue: every action, found by its id, and as a caller sees it.

use std::sync::{Arc, OnceLock};

use domain::{ActionId, ClientRequestId, Provider, sha256_hex};
use serde_json::{Value, json};

use crate::{
    Caller, Problem, ProblemCode,
    accounts::{Accounts, Connection},
    gate::Gate,
    ports::{Action, ActionSpec, Call, ProviderSpec},
};

/// The most actions of one request, and of one plan.
pub const MAX_ACTIONS: usize = 10;

/// An action as a client writes it.
#[derive(Debug, Clone)]
pub struct RequestedAction {
    /// The provider; may be left out.
    pub provider: Option<String>,
    /// The action's id.
    pub action: String,
    /// Its params.
    pub params: Value,
    /// Its idempotency key.
    pub client_request_id: Option<ClientRequestId>,
}

/// Every action, and every provider.
#[derive(Clone)]
pub struct Catalogue {
    providers: Vec<&'static ProviderSpec>,
    actions: Vec<Arc<dyn Action>>,
    version: OnceLock<String>,
}

impl Catalogue {
    /// A catalogue of these providers' actions.
    pub fn new(providers: Vec<&'static ProviderSpec>, actions: Vec<Arc<dyn Action>>) -> Self {
        Self { providers, actions, version: OnceLock::new() }
    }

    /// Every provider.
    pub fn providers(&self) -> &[&'static ProviderSpec] {
        &self.providers
    }

    /// What is known of a provider.
    pub fn provider(&self, id: Provider) -> &'static ProviderSpec {
        self.providers.iter().find(|spec| spec.id == id).expect("the catalogue has every provider")
    }

    /// Changes with the actions and with the schemas of their params: a SHA-256 in lower-case hex.
    pub fn version(&self) -> &str {
        self.version.get_or_init(|| {
            let all = self.iter().map(|action| json!([action.spec().id, action.params_schema()])).collect::<Value>();
            sha256_hex(all.to_string().as_bytes())
        })
    }

    /// The action of this id.
    pub fn find(&self, id: &str) -> Option<&Arc<dyn Action>> {
        self.actions.iter().find(|action| action.spec().id == id)
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
    ) -> Result<(&ActionSpec, Box<dyn Call>), Problem> {
        let known = self.find(action).ok_or_else(|| {
            let ids: Vec<&str> = self.iter().map(|action| action.spec().id).collect();
            unknown("/action", format!("there is no such action; there are {}", ids.join(", ")))
        })?;
        let spec = known.spec();
        if provider.is_some_and(|provider| provider != spec.provider.as_str()) {
            return Err(unknown("/provider", format!("{} is an action of {}", spec.id, spec.provider)));
        }
        let call = known.parse(params).map_err(|violations| {
            let errors: Vec<_> = violations.into_iter().map(|violation| violation.under("/params")).collect();
            Problem::new(ProblemCode::InvalidParams, format!("the params of {} are not valid", spec.id))
                .with_errors(errors)
        })?;
        Ok((spec, call))
    }
}

fn unknown(pointer: &str, detail: String) -> Problem {
    let errors = vec![domain::Violation::new(pointer, detail.clone())];
    Problem::new(ProblemCode::UnknownAction, detail).with_errors(errors)
}

impl ActionSpec {
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
            let spec = action.spec();
            listings.push(Listing {
                action: Arc::clone(action),
                allowed: permissions.allow(&spec.action_id()),
                connection: self.account(caller, spec.provider).await?,
            });
        }
        Ok(listings)
    }

    /// The caller's account with a provider.
    pub async fn account(&self, caller: &Caller, provider: Provider) -> Result<Connection, Problem> {
        Ok(self.accounts.known(&caller.workspace, provider).await?)
    }
}
