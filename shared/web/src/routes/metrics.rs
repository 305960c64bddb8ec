use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
};
use telemetry::{Format, Gauges};

use crate::{
    Web,
    door::{May, MetricsRead},
    problem::Problems,
};

/// Every count of the whole deployment, as Prometheus or OpenMetrics text.
///
/// What cannot be known now is left out: it is never an error. `ai_metrics_store_up` says whether the counts are there.
#[utoipa::path(
    get, path = "/metrics", tag = "about", security(("key" = ["metrics:read"])),
    responses(
        (status = 200, description = "Every metric", content_type = "text/plain"),
        Problems,
    )
)]
pub(crate) async fn metrics(State(web): State<Web>, _: May<MetricsRead>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    let gauges = async {
        let backlog = web.engine.health.backlog().await;
        Gauges { queue_depth: backlog.depth, queue_oldest_age: backlog.oldest }
    };
    let text = web.engine.metrics.scrape(format, gauges).await;
    ([(header::CONTENT_TYPE, format.content_type())], text)
}
