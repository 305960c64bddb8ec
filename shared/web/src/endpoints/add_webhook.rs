//! `POST /webhooks`: adds an endpoint that is told what happens.

use axum::http::StatusCode;
use domain::WebhookEvent;

use super::webhook_view::{WebhookWithSecret, secret_example};
use crate::endpoint::prelude::*;

endpoint! {
    path: "/webhooks", function: Connect, scope: WebhooksWrite, tag: "webhooks", problems: [TooManyWebhooks],
    example: || json!({
        "request": {
            "url": "https://example.com/hooks/orchestrator",
            "events": ["job.completed", "job.failed", "job.unknown"],
        },
        "response": secret_example(),
    }),
}

/// A new webhook endpoint.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WebhookBody {
    /// An `https` URL that leads to a public address.
    #[schema(max_length = 2048)]
    url: String,
    /// What to tell it of: `job.held`, `job.completed`, `job.failed`, `job.unknown`, `connection.reauth_required`. All,
    /// also those that come later, if the list is empty.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    events: Vec<WebhookEvent>,
}

/// Adds a webhook endpoint. Its secret is shown in this answer only.
#[utoipa::path(
    post, path = ENDPOINT.path,
    responses((status = 201, description = "The endpoint, with its secret", body = WebhookWithSecret))
)]
async fn handler(
    State(web): State<Web>,
    may: Authorized,
    Json(body): Json<WebhookBody>,
) -> Result<(StatusCode, Out<WebhookWithSecret>), Refused> {
    if body.events.contains(&WebhookEvent::Test) {
        return Err(Problem::invalid("/events", "webhook.test is sent when it is asked for, to any endpoint").into());
    }
    let new = web.engine.webhooks.add(&may.caller, body.url, body.events.into_iter().collect()).await?;
    Ok((StatusCode::CREATED, Out(new.into())))
}
