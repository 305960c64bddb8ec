//! `DELETE /oauth/{provider}`: disconnects an account.

use crate::endpoint::prelude::*;

endpoint! {
    path: "/oauth/{provider}", function: Connect, scope: ConnectionsWrite, tag: "connections", problems: [NotFound],
    example: || json!({
        "response": { "provider": "google", "disconnected": true, "revoked": true, "revoke_at": null }
    }),
}

/// The result of disconnecting.
#[derive(Serialize, ToSchema)]
struct Ended {
    #[schema(example = "google")]
    provider: &'static str,
    /// An account was connected, and now is not.
    disconnected: bool,
    /// The provider revoked the tokens too.
    revoked: bool,
    /// Where the account's owner can revoke them, if the provider did not.
    revoke_at: Option<&'static str>,
}

/// Disconnects an account: revokes its tokens at the provider, if possible, and deletes them.
#[utoipa::path(
    delete, path = ENDPOINT.path, params(("provider" = String, Path, example = "google")),
    responses((status = 200, description = "No account is connected any more", body = Ended))
)]
async fn handler(State(web): State<Web>, may: Authorized, Segment(provider): Segment<Provider>) -> Answer<Ended> {
    let ended = web.engine.connector.disconnect(&may.caller, provider).await?;
    let revoke_at = web.engine.catalogue.provider(provider).revoke_page;
    Ok(Out(Ended {
        provider: provider.as_str(),
        disconnected: ended.was_connected,
        revoked: ended.revoked,
        revoke_at: (ended.was_connected && !ended.revoked).then_some(revoke_at),
    }))
}
