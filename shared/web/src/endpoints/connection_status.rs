//! `GET /oauth/{provider}/status`: the workspace's connection with a provider.

use domain::Address;
use engine::accounts::Connection;

use crate::endpoint::prelude::*;

endpoint! {
    path: "/oauth/{provider}/status", function: Connect, scope: ActionsPreview, tag: "connections",
    problems: [NotFound],
    example: || example(include_str!("connection_status.json")),
}

/// A workspace's connection with a provider.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the answer")]
struct ConnectionStatus {
    #[schema(example = "google")]
    provider: &'static str,
    connected: bool,
    /// `live`, `sandbox`, `needs_reauth` or `not_connected`.
    mode: &'static str,
    /// The account's address, if it is known.
    address: Option<String>,
    /// The scopes that the account's owner granted, in the provider's words.
    scopes: Vec<String>,
    /// The provider requires the owner's consent again.
    needs_reauth: bool,
    /// A draft is made before sending, so that a lost answer leaves no unknown outcome.
    drafts: bool,
    /// An account can be connected: the operator registered an OAuth client with the provider.
    can_connect: bool,
}

/// Shows whether a provider is connected, and with which account.
#[utoipa::path(
    get, path = ENDPOINT.path, params(("provider" = String, Path, example = "google")),
    responses((status = 200, description = "The connection", body = ConnectionStatus))
)]
async fn handler(
    State(web): State<Web>,
    may: Authorized,
    Segment(provider): Segment<Provider>,
) -> Answer<ConnectionStatus> {
    let shown = web.engine.connector.show(&may.caller, provider).await?;
    let connection = shown.connection;
    Ok(Out(ConnectionStatus {
        provider: provider.as_str(),
        connected: matches!(connection, Connection::Live(_)),
        mode: connection.mode(),
        address: connection.address().map(Address::addr_spec),
        scopes: connection.access().map(|access| access.scopes.clone()).unwrap_or_default(),
        needs_reauth: matches!(connection, Connection::NeedsReauth(_)),
        drafts: shown.drafts,
        can_connect: shown.can_connect,
    }))
}
