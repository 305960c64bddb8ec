//! `GET /webhooks`: the workspace's webhook endpoints.

use super::webhook_view::{WebhookView, webhook_example};
use crate::endpoint::prelude::*;

endpoint! {
    path: "/webhooks", function: Connect, scope: WebhooksWrite, tag: "webhooks", problems: [],
    example: || json!({ "response": { "data": [webhook_example()] } }),
}

/// The webhook endpoints, oldest first.
#[derive(Serialize, ToSchema)]
struct WebhookList {
    data: Vec<WebhookView>,
}

/// Lists the workspace's webhook endpoints. For a key that is bound to an actor or narrowed to actions, only those that were
/// made with the same bounds.
#[utoipa::path(
    get, path = ENDPOINT.path,
    responses((status = 200, description = "Every endpoint", body = WebhookList))
)]
async fn handler(State(web): State<Web>, may: Authorized) -> Answer<WebhookList> {
    let views = web.engine.webhooks.list(&may.caller).await?;
    Ok(Out(WebhookList { data: views.into_iter().map(WebhookView::from).collect() }))
}
