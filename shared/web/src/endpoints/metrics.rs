//! `GET /metrics`: the metrics of the whole deployment.

use std::io::Write;

use axum::{
    http::{HeaderMap, header},
    response::IntoResponse,
};
use flate2::{Compression, write::GzEncoder};
use telemetry::CONTENT_TYPE;

use crate::{accept::takes_gzip, endpoint::prelude::*};

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
async fn handler(State(web): State<Web>, _: Authorized, headers: HeaderMap) -> impl IntoResponse {
    let text = web.engine.metrics.scrape(web.engine.health.backlog()).await;
    let about = [(header::CONTENT_TYPE, CONTENT_TYPE), (header::VARY, "accept-encoding")];
    if takes_gzip(&headers) {
        (about, [(header::CONTENT_ENCODING, "gzip")], gzip(&text)).into_response()
    } else {
        (about, text).into_response()
    }
}

/// A tenth of the text, mostly: every scrape goes over the internet, which AWS bills.
fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).expect("a list can be written to")
}
