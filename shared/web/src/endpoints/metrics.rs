//! `GET /metrics`: the metrics of the whole deployment.

use axum::{http::header, response::IntoResponse};
use telemetry::CONTENT_TYPE;

use crate::endpoint::prelude::*;

endpoint! {
    path: "/metrics", function: Metrics, scope: MetricsRead, tag: "about", problems: [],
    example: || json!({ "response": "# TYPE ai_queue_depth gauge\nai_queue_depth 0\n" }),
}

/// The metrics of the whole deployment, in Prometheus's text format.
///
/// A value that cannot be read is left out; this is never an error. `ai_metrics_store_up` tells whether the counts are complete.
#[utoipa::path(
    get, path = ENDPOINT.path,
    responses((status = 200, description = "Every metric", content_type = "text/plain"))
)]
async fn handler(State(web): State<Web>, _: Authorized) -> impl IntoResponse {
    let text = web.engine.metrics.scrape(web.engine.health.backlog()).await;
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text)
}
