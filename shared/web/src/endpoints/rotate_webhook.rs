//! `POST /webhooks/{id}/rotate`: replaces an endpoint's secret.

use domain::EndpointId;

use super::webhook_view::{WebhookWithSecret, secret_example};
use crate::endpoint::prelude::*;

endpoint! {
    path: "/webhooks/{id}/rotate", function: Connect, scope: WebhooksWrite, tag: "webhooks", problems: [NotFound],
    example: || json!({ "response": secret_example() }),
}

/// Replaces an endpoint's secret. For 24 hours the old one signs each delivery too.
#[utoipa::path(
    post, path = ENDPOINT.path, params(("id" = uuid::Uuid, Path)),
    responses((status = 200, description = "The endpoint, with its new secret", body = WebhookWithSecret))
)]
async fn handler(
    State(web): State<Web>,
    may: Authorized,
    Segment(id): Segment<EndpointId>,
    _: NoBody,
) -> Answer<WebhookWithSecret> {
    Ok(Out(web.engine.webhooks.rotate(&may.caller, id).await?.into()))
}
