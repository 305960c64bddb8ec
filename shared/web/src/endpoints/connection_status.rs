//! `GET /oauth/{provider}/status`: the workspace's connection with a provider.

use engine::connect::ConnectionView;

use crate::endpoint::prelude::*;

endpoint! {
    path: "/oauth/{provider}/status", function: Connect, scope: ActionsPreview, tag: "connections",
    problems: [NotFound],
    example: || example(include_str!("connection_status.json")),
}

/// Shows whether a provider is connected, and with which account.
#[utoipa::path(
    get, path = ENDPOINT.path, params(("provider" = String, Path, example = "google")),
    responses((status = 200, description = "The connection", body = ConnectionView))
)]
async fn handler(
    State(web): State<Web>,
    may: Authorized,
    Segment(provider): Segment<Provider>,
) -> Answer<ConnectionView> {
    Ok(Out(web.engine.connector.show(&may.caller, provider).await?))
}
