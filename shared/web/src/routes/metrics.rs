use std::time::Duration;

use axum::{extract::State, http::header, response::IntoResponse};
use domain::State as JobState;
use jiff::Timestamp;
use telemetry::record::set_queue;

use crate::{
    Web,
    door::{May, MetricsRead},
    problem::{Problems, Refused},
};

/// How many open jobs are looked at for the oldest that waits.
const LOOK_AT: usize = 100;

/// Prometheus text.
#[utoipa::path(
    get, path = "/metrics", tag = "about", security(("key" = ["metrics:read"])),
    responses(
        (status = 200, description = "Every metric", content_type = "text/plain"),
        Problems,
    )
)]
pub(crate) async fn metrics(State(web): State<Web>, _: May<MetricsRead>) -> Result<impl IntoResponse, Refused> {
    let depth = web.engine.queue.depth().await.unwrap_or(0);
    let open = web.engine.ledger.overdue_jobs(Timestamp::MAX, LOOK_AT).await.unwrap_or_default();
    let oldest = open.iter().filter(|job| job.state == JobState::Queued).map(|job| job.created_at).min();
    let age = oldest.map_or(Duration::ZERO, |oldest| web.engine.clock.now().duration_since(oldest).unsigned_abs());
    set_queue(depth, age);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], web.metrics.render()))
}
