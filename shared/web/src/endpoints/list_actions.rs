//! `GET /actions`: the catalogue, as this caller may use it.

use domain::Address;
use engine::accounts::Connection;

use crate::endpoint::prelude::*;

endpoint! {
    path: "/actions", function: Plan2, scope: ActionsPreview, tag: "actions", problems: [],
    example: || example(include_str!("list_actions.json")),
}

/// The catalogue, as this caller may use it.
#[derive(Serialize, ToSchema)]
struct ActionList {
    data: Vec<ActionView>,
    /// The providers of these actions.
    providers: Vec<ProviderView>,
}

/// A provider.
#[derive(Serialize, ToSchema)]
struct ProviderView {
    #[schema(example = "google")]
    id: &'static str,
    /// Its name for people.
    #[schema(example = "Google")]
    name: &'static str,
    /// The name of the account that people connect.
    #[schema(example = "Gmail")]
    account: &'static str,
    /// The page where an account's owner withdraws a consent.
    revoke_page: &'static str,
}

/// One action of the catalogue.
#[derive(Serialize, ToSchema)]
struct ActionView {
    #[schema(example = "gmail.send")]
    id: &'static str,
    /// Its name for people.
    title: &'static str,
    #[schema(example = "google")]
    provider: &'static str,
    /// `read`, `draft`, `change` or `send`.
    #[schema(example = "send")]
    effect: &'static str,
    description: &'static str,
    /// The JSON Schema of its params.
    #[schema(value_type = Object)]
    params_schema: Value,
    scopes: Scopes,
    /// Whether this caller may run it.
    allowed: bool,
    /// Whether an account of the provider is connected.
    connected: bool,
    /// `live`, `sandbox`, `needs_reauth` or `not_connected`.
    mode: &'static str,
    /// The account's address, if it is known.
    address: Option<String>,
}

/// The OAuth scopes that an action needs.
#[derive(Serialize, ToSchema)]
struct Scopes {
    /// The minimum to carry it out.
    send: Vec<&'static str>,
    /// With these it makes a draft first, so that a lost answer leaves no unknown outcome.
    draft: Vec<&'static str>,
}

/// Lists the catalogue, and what the caller may run.
#[utoipa::path(get, path = ENDPOINT.path, responses((status = 200, description = "The catalogue", body = ActionList)))]
async fn handler(State(web): State<Web>, may: Authorized) -> Answer<ActionList> {
    let listings = web.engine.actions.list(&may.caller).await?;
    let data = listings.into_iter().map(|listing| {
        let spec = listing.action.spec();
        ActionView {
            id: spec.id,
            title: spec.title,
            provider: spec.provider.as_str(),
            effect: spec.effect.into(),
            description: spec.description,
            params_schema: listing.action.params_schema(),
            scopes: Scopes { send: spec.scopes.required.to_vec(), draft: spec.scopes.draft.to_vec() },
            allowed: listing.allowed,
            connected: matches!(listing.connection, Connection::Live(_)),
            mode: listing.connection.mode(),
            address: listing.connection.address().map(Address::addr_spec),
        }
    });
    let providers = web.engine.catalogue.providers().iter().map(|spec| ProviderView {
        id: spec.id.as_str(),
        name: spec.name,
        account: spec.account,
        revoke_page: spec.revoke_page,
    });
    Ok(Out(ActionList { data: data.collect(), providers: providers.collect() }))
}
