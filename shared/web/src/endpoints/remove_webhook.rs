//! `DELETE /webhooks/{id}`: removes an endpoint.

use axum::http::StatusCode;
use domain::EndpointId;
use engine::webhooks::By;

use crate::endpoint::prelude::*;

endpoint! {
    path: "/webhooks/{id}", function: Connect, scope: WebhooksWrite, tag: "webhooks", problems: [NotFound],
    example: || json!({}),
}

/// Removes a webhook endpoint. A delivery under way may still arrive.
#[utoipa::path(
    delete, path = ENDPOINT.path, params(("id" = uuid::Uuid, Path)),
    responses((status = 204, description = "The endpoint is removed"))
)]
async fn handler(
    State(web): State<Web>,
    may: Authorized,
    Segment(id): Segment<EndpointId>,
) -> Result<StatusCode, Refused> {
    web.engine.webhooks.remove(By::Caller(&may.caller), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
