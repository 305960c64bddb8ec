use axum::{Json as Out, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Web,
    problem::{ProblemBody, Refused},
};

/// That the process is well.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the process is up.
#[utoipa::path(
    get, path = "/healthz", tag = "about",
    responses((status = 200, description = "It is", body = Health))
)]
pub(crate) async fn healthz() -> Out<Health> {
    Out(Health { status: "ok" })
}

/// Whether it can reach what it needs.
#[utoipa::path(
    get, path = "/readyz", tag = "about",
    responses(
        (status = 200, description = "It can", body = Health),
        (status = 503, description = "A store does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn readyz(State(web): State<Web>) -> Result<Out<Health>, Refused> {
    web.engine.health.ready().await?;
    Ok(Out(Health { status: "ok" }))
}
