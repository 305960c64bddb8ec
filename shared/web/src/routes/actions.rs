use axum::{Json as Out, extract::State};
use domain::{Address, Provider};
use engine::accounts::Connection;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    Web,
    door::{ActionsPreview, May},
    problem::{Problems, Refused},
};

/// The catalogue, as this caller sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActionList {
    data: Vec<ActionView>,
}

/// One action of the catalogue.
#[derive(Serialize, ToSchema)]
pub(crate) struct ActionView {
    #[schema(example = "gmail.send")]
    id: &'static str,
    #[schema(value_type = String, example = "google")]
    provider: Provider,
    description: &'static str,
    /// The JSON Schema of its params.
    #[schema(value_type = Object)]
    params_schema: Value,
    scopes: Scopes,
    /// Whether this caller may run it.
    allowed: bool,
    /// Whether the provider is connected, or mails go to the outbox.
    connected: bool,
    /// `live`, `sandbox`, `needs_reauth` or `not_connected`.
    mode: &'static str,
    /// The address that sends, where it is known.
    address: Option<String>,
}

/// The OAuth scopes that an action needs.
#[derive(Serialize, ToSchema)]
pub(crate) struct Scopes {
    /// The least with which it can be carried out.
    send: Vec<&'static str>,
    /// With these it makes a draft first, so that a lost answer leaves no unknown outcome.
    draft: Vec<&'static str>,
}

/// What can be done, and by whom.
#[utoipa::path(
    get, path = "/actions", operation_id = "list_actions", tag = "actions", security(("key" = ["actions:preview"])),
    responses(
        (status = 200, description = "The catalogue", body = ActionList),
        Problems,
    )
)]
pub(crate) async fn list(State(web): State<Web>, may: May<ActionsPreview>) -> Result<Out<ActionList>, Refused> {
    let listings = web.engine.actions.list(&may.caller).await?;
    let data = listings.into_iter().map(|listing| {
        let about = listing.action.about();
        ActionView {
            id: about.id,
            provider: about.provider,
            description: about.description,
            params_schema: listing.action.params_schema(),
            scopes: Scopes { send: about.scopes.send.to_vec(), draft: about.scopes.draft.to_vec() },
            allowed: listing.allowed,
            connected: matches!(listing.connection, Connection::Live(_)),
            mode: listing.connection.mode(),
            address: listing.connection.address().map(Address::addr_spec),
        }
    });
    Ok(Out(ActionList { data: data.collect() }))
}
