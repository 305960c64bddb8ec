//! The catalogue: every action, found by its id, and as a caller sees it.

use std::sync::{Arc, OnceLock};

use domain::{ActionId, Address, ClientRequestId, Effect, Provider, SendAt, Sources, sha256_hex};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, json};

use crate::{
    Caller, Problem, ProblemCode,
    accounts::{Accounts, Connection},
    approval::ApprovalRules,
    gate::Gate,
    plan::PlanStore,
    ports::{Access, Action, ActionSpec, Call, Clock, Ids, OAuthScopes, ProviderSpec},
    warnings::Lookout,
};

/// The most actions of one request, and of one plan.
pub const MAX_ACTIONS: usize = 10;

/// One action.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema), schema(as = ActionRequest))]
#[serde(deny_unknown_fields)]
pub struct RequestedAction {
    /// The action's provider; optional.
    #[cfg_attr(feature = "utoipa", schema(example = "google"))]
    pub provider: Option<String>,
    /// The action's id in the catalogue.
    #[cfg_attr(feature = "utoipa", schema(example = "gmail.send"))]
    pub action: String,
    /// The action's params, as its schema in the catalogue describes them.
    #[cfg_attr(feature = "utoipa", schema(value_type = Object))]
    pub params: Value,
    /// The action's idempotency key, unique in the workspace.
    #[cfg_attr(feature = "utoipa", schema(value_type = Option<String>))]
    pub client_request_id: Option<ClientRequestId>,
    /// When to carry it out: RFC 3339 with an offset, at most 90 days ahead; at once if it is not set.
    #[cfg_attr(feature = "utoipa", schema(value_type = Option<String>, format = DateTime))]
    pub send_at: Option<SendAt>,
    /// What a plan says of its recipients. It may stay, and is not read.
    #[serde(default)]
    #[cfg_attr(feature = "utoipa", schema(value_type = Option<Vec<Object>>))]
    pub recipients: Option<IgnoredAny>,
    /// How each of the recipients came into the plan that holds the action; empty for an action that no plan holds.
    #[serde(skip)]
    pub sources: Sources,
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

    /// Every action, provider by provider.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Action>> {
        self.actions.iter()
    }

    /// Finds and parses an action as a request names it. `provider` may be left out; if it is
    /// there, it must be the action's own. Pointers start at the action.
    pub fn parse(
        &self,
        provider: Option<&str>,
        action: &str,
        params: &Value,
    ) -> Result<(&dyn Action, Box<dyn Call>), Problem> {
        let known = self.find(action).ok_or_else(|| {
            let ids: Vec<&str> = self.iter().map(|action| action.spec().id).collect();
            let detail = format!("there is no such action; there are {}", ids.join(", "));
            Problem::at(ProblemCode::UnknownAction, "/action", detail)
        })?;
        let spec = known.spec();
        if provider.is_some_and(|provider| provider != spec.provider.as_str()) {
            let detail = format!("{} is an action of {}", spec.id, spec.provider);
            return Err(Problem::at(ProblemCode::UnknownAction, "/provider", detail));
        }
        let call = known.parse(params).map_err(|violations| {
            let errors: Vec<_> = violations.into_iter().map(|violation| violation.under("/params")).collect();
            Problem::new(ProblemCode::InvalidParams, format!("the params of {} are not valid", spec.id))
                .with_errors(errors)
        })?;
        Ok((&**known, call))
    }
}

impl ActionSpec {
    /// The action's id as a parsed type.
    pub fn action_id(&self) -> ActionId {
        self.id.parse().expect("a test holds every id of the catalogue to be well formed")
    }

    /// Whether it makes a draft first with this access to an account of its provider.
    pub(crate) fn drafts_with(&self, provider: &ProviderSpec, access: &Access) -> bool {
        !self.scopes.draft.is_empty() && provider.grants(&access.scopes, self.scopes.draft)
    }

    /// Whether it may run where sends end after their drafts: it leaves a draft, or reaches nobody.
    pub(crate) fn may_be_draft_only(&self, has_recipients: bool) -> bool {
        match self.effect {
            Effect::Read | Effect::Draft => true,
            Effect::Change => !has_recipients,
            Effect::Send => !self.scopes.draft.is_empty(),
        }
    }

    /// The scopes that it needs to make a draft, without those that only sending the draft needs.
    pub(crate) fn draft_scopes(&self) -> Vec<&'static str> {
        let OAuthScopes { required, draft } = self.scopes;
        draft.iter().copied().filter(|scope| !required.contains(scope)).collect()
    }

    /// Whether it can make a draft with this access to an account of its provider.
    pub(crate) fn can_leave_draft(&self, provider: &ProviderSpec, access: &Access) -> bool {
        provider.grants(&access.scopes, &self.draft_scopes())
    }

    /// The refusal of a job that leaves a draft, in an account that lacks the scope for it. None where nothing is known of
    /// the account.
    pub(crate) fn lacks_draft_scope(
        &self,
        provider: &ProviderSpec,
        connection: &Connection,
        draft_only: bool,
    ) -> Option<Problem> {
        let is_known = self.effect.of_job(draft_only) == Effect::Draft && connection.access().is_some();
        if !is_known || connection.access().is_some_and(|access| self.can_leave_draft(provider, access)) {
            return None;
        }
        let only = if self.effect == Effect::Draft { "" } else { ", and only drafts are allowed here" };
        let detail = format!("{} is connected without the permission for drafts{only}", provider.name);
        let problem = Problem::at(ProblemCode::ReauthRequired, "/provider", detail);
        Some(Problem { connect: Some(self.provider), ..problem })
    }
}

/// One action of the catalogue.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema), schema(as = ActionView))]
pub struct Listing {
    /// The action's id.
    #[cfg_attr(feature = "utoipa", schema(example = "gmail.send"))]
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it makes, as the subject of a sentence.
    #[cfg_attr(feature = "utoipa", schema(example = "the mail"))]
    pub noun: &'static str,
    /// The action's provider.
    #[cfg_attr(feature = "utoipa", schema(value_type = String, example = "google"))]
    pub provider: Provider,
    /// `read`, `draft`, `change` or `send`.
    #[cfg_attr(feature = "utoipa", schema(value_type = String, example = "send"))]
    pub effect: Effect,
    /// What it does.
    pub description: &'static str,
    /// The JSON Schema of its params.
    #[cfg_attr(feature = "utoipa", schema(value_type = Object))]
    pub params_schema: Value,
    /// The OAuth scopes that it needs.
    pub scopes: OAuthScopes,
    /// Whether this caller may run it.
    pub allowed: bool,
    /// Whether an account of the provider is connected.
    pub connected: bool,
    /// `live`, `sandbox`, `needs_reauth` or `not_connected`.
    pub mode: &'static str,
    /// The account's address, if it is known.
    pub address: Option<String>,
}

/// The catalogue as a caller sees it.
pub struct CatalogueView {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) plans: Arc<PlanStore>,
    pub(crate) lookout: Arc<Lookout>,
    pub(crate) approval: Arc<ApprovalRules>,
}

impl CatalogueView {
    /// Every action, with its account and whether the caller may run it.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<Listing>, Problem> {
        let permissions = self.gate.permissions(caller).await?;
        let mut listings = Vec::new();
        for action in self.catalogue.iter() {
            let spec = action.spec();
            let connection = self.account(caller, spec.provider).await?;
            listings.push(Listing {
                id: spec.id,
                title: spec.title,
                noun: spec.wording.noun,
                provider: spec.provider,
                effect: spec.effect,
                description: spec.description,
                params_schema: action.params_schema().clone(),
                scopes: spec.scopes,
                allowed: permissions.allow(&spec.action_id()),
                connected: matches!(connection, Connection::Live(_)),
                mode: connection.mode(),
                address: connection.address().map(Address::addr_spec),
            });
        }
        Ok(listings)
    }

    /// The caller's account with a provider.
    pub async fn account(&self, caller: &Caller, provider: Provider) -> Result<Connection, Problem> {
        Ok(self.accounts.known(&caller.workspace, provider).await?)
    }
}
