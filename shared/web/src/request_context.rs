//! Context of every request: correlation id, trace, one log line, and the HTTP metrics.

use axum::{
    extract::{MatchedPath, Request, State},
    http::HeaderValue,
    middleware::Next,
    response::Response,
};
use engine::ports::Ids;
use telemetry::{TraceContext, labels, record::record_http_request};
use tracing::Instrument as _;

use crate::state::Web;

/// The id of a request, as an extension. Whatever runs before the router may set it; otherwise it is made here.
#[derive(Debug, Clone)]
pub struct CorrelationId(pub String);

/// The trace that a request belongs to, as an extension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trace {
    pub context: TraceContext,
    /// The caller sent it, in its `traceparent` header.
    pub given: bool,
}

impl Trace {
    fn of(request: &Request, ids: &dyn Ids) -> Self {
        let header = request.headers().get("traceparent").and_then(|header| header.to_str().ok());
        if let Some(context) = header.and_then(TraceContext::read) {
            return Self { context, given: true };
        }
        let (_, parent) = ids.uuid().as_u64_pair();
        Self { context: TraceContext::begin(ids.uuid().as_u128(), parent), given: false }
    }
}

pub(crate) async fn request_context(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let new_id = || CorrelationId(web.engine.ids.uuid().to_string());
    let CorrelationId(id) = request.extensions_mut().get_or_insert_with(new_id).clone();
    let trace = Trace::of(&request, &*web.engine.ids);
    request.extensions_mut().insert(trace);
    // At the highest level: a filter that keeps a line must not drop its ids.
    let span = tracing::error_span!("request", correlation.id = id.as_str(), trace.id = %trace.context.id());
    let mut response = observed(&web, request, next).instrument(span).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-correlation-id", id);
    }
    response
}

/// Runs the request, counts and logs it, and flushes the metrics.
async fn observed(web: &Web, request: Request, next: Next) -> Response {
    let began = web.engine.clock.now();
    let method = labels::method(request.method().as_str());
    // The pattern, never the path: a path from a caller must not become a label.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    let response = next.run(request).await;
    let took = web.engine.clock.now().duration_since(began).unsigned_abs();
    record_http_request(route, method, response.status().as_str(), took);
    tracing::debug!(
        http.route = route,
        http.method = method,
        http.status = response.status().as_u16(),
        http.duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "answered"
    );
    web.engine.metrics.flush().await;
    response
}
