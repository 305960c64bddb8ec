//! `GET /readyz`: the stores answer, and every secret has a value.

use super::healthz::Health;
use crate::endpoint::prelude::*;

endpoint! {
    path: "/readyz", function: Metrics, scope: none, tag: "about", problems: [StoreUnavailable],
    example: || json!({ "response": { "status": "ok" } }),
}

/// Checks that the stores answer, and that every stored secret has a value. `failing` of a problem says what is wrong.
#[utoipa::path(get, path = ENDPOINT.path, responses((status = 200, description = "They answer", body = Health)))]
async fn handler(State(web): State<Web>) -> Answer<Health> {
    web.engine.health.ready().await?;
    Ok(Out(Health { status: "ok" }))
}
