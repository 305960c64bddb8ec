//! `GET /healthz`: the process runs.

use crate::endpoint::prelude::*;

endpoint! {
    path: "/healthz", function: Metrics, scope: none, tag: "about", problems: [],
    example: || json!({ "response": { "status": "ok" } }),
}

/// The state of the process.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(example = "ok")]
    pub status: &'static str,
}

/// Tells that the process runs.
#[utoipa::path(get, path = ENDPOINT.path, responses((status = 200, description = "It runs", body = Health)))]
async fn handler() -> Out<Health> {
    Out(Health { status: "ok" })
}
