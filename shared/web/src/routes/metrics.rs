use std::time::Duration;

use axum::{
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
};
use engine::Engine;
use futures_util::future::join;
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
    let engine = &web.engine;
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    let text = engine.metrics.scrape(format, gauges(engine)).await;
    ([(header::CONTENT_TYPE, format.content_type())], text)
}

async fn gauges(engine: &Engine) -> Gauges {
    let (depth, oldest) = join(engine.queue.depth(), engine.ledger.oldest_unclaimed()).await;
    let depth = depth.inspect_err(|error| tracing::warn!(%error, "the queue's depth is not known")).ok();
    let oldest = oldest.inspect_err(|error| tracing::warn!(%error, "the oldest job's age is not known")).ok();
    let now = engine.clock.now();
    let age = oldest.map(|oldest| {
        oldest.map_or(Duration::ZERO, |since| Duration::try_from(now.duration_since(since)).unwrap_or_default())
    });
    Gauges { queue_depth: depth, queue_oldest_age: age }
}
