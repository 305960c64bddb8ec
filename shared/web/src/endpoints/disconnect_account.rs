//! `DELETE /oauth/{provider}`: disconnects an account.

use engine::connect::Disconnected;

use crate::endpoint::prelude::*;

endpoint! {
    path: "/oauth/{provider}", function: Connect, scope: ConnectionsWrite, tag: "connections", problems: [NotFound],
    example: || json!({
        "response": { "provider": "google", "disconnected": true, "revoked": true, "revoke_at": null }
    }),
}

/// Disconnects an account: revokes its tokens at the provider, if possible, and deletes them.
#[utoipa::path(
    delete, path = ENDPOINT.path, params(("provider" = String, Path, example = "google")),
    responses((status = 200, description = "No account is connected any more", body = Disconnected))
)]
async fn handler(
    State(web): State<Web>,
    may: Authorized,
    Segment(provider): Segment<Provider>,
) -> Answer<Disconnected> {
    Ok(Out(web.engine.connector.disconnect(&may.caller, provider).await?))
}
