//! `GET /webhooks/{id}/deliveries`: what was sent to an endpoint, and how that went.

use domain::EndpointId;

use super::webhook_view::{DeliveryView, delivery_example};
use crate::{endpoint::prelude::*, paging};

endpoint! {
    path: "/webhooks/{id}/deliveries", function: Connect, scope: WebhooksWrite, tag: "webhooks", problems: [NotFound],
    example: || json!({ "response": { "data": [delivery_example()], "next_cursor": null, "has_more": false } }),
}

/// A page of deliveries, newest first.
#[derive(Serialize, ToSchema)]
struct DeliveryList {
    data: Vec<DeliveryView>,
    /// The `cursor` of the next page.
    next_cursor: Option<String>,
    has_more: bool,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct DeliveryQuery {
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Deliveries per page, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
}

/// Lists the deliveries to an endpoint: those that are open, and those that ended in the last 30 days.
#[utoipa::path(
    get, path = ENDPOINT.path, params(("id" = uuid::Uuid, Path), DeliveryQuery),
    responses((status = 200, description = "A page of deliveries", body = DeliveryList))
)]
async fn handler(
    State(web): State<Web>,
    may: Authorized,
    Segment(id): Segment<EndpointId>,
    Query(query): Query<DeliveryQuery>,
) -> Answer<DeliveryList> {
    let limit = paging::limit(query.limit)?;
    let after = paging::read_cursor(query.cursor)?;
    let (deliveries, next) = web.engine.webhooks.deliveries(&may.caller, id, after, limit).await?;
    let next_cursor = next.map(paging::cursor);
    let data = deliveries.into_iter().map(DeliveryView::from).collect();
    Ok(Out(DeliveryList { data, has_more: next_cursor.is_some(), next_cursor }))
}
