//! `POST /webhooks/{id}/test`: sends a test to an endpoint.

use axum::http::StatusCode;
use domain::EndpointId;
use engine::webhooks::By;

use super::webhook_view::{DeliveryView, delivery_example};
use crate::endpoint::prelude::*;

endpoint! {
    path: "/webhooks/{id}/test", function: Connect, scope: WebhooksWrite, tag: "webhooks",
    problems: [NotFound, WebhookGone],
    example: || json!({ "response": delivery_example() }),
}

/// Sends an event `webhook.test` to an endpoint, as any other: signed, and tried again if it fails. An endpoint that was
/// disabled since it failed is active again once a test reaches it.
#[utoipa::path(
    post, path = ENDPOINT.path, params(("id" = uuid::Uuid, Path)),
    responses((status = 202, description = "The delivery, which begins now", body = DeliveryView))
)]
async fn handler(
    State(web): State<Web>,
    may: Authorized,
    Segment(id): Segment<EndpointId>,
    _: NoBody,
) -> Result<(StatusCode, Out<DeliveryView>), Refused> {
    let delivery = web.engine.webhooks.test(By::Caller(&may.caller), id).await?;
    Ok((StatusCode::ACCEPTED, Out(delivery.into())))
}
