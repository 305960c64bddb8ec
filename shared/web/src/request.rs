//! What surrounds every request: the door, a correlation id and a trace, one log line, the metrics, and the
//! answer to what went wrong, a panic too.

use std::{panic::AssertUnwindSafe, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use engine::{Problem, ProblemCode, ports::Ids};
use futures_util::FutureExt;
use telemetry::{
    TraceContext,
    record::{Method as MethodLabel, Route, Status, record_http_request},
};
use tracing::Instrument as _;

use crate::{
    Web, cors,
    door::OpenTicket,
    page::AsPage,
    problem::{self, Refused},
};

/// An id that the request has already, as an extension: where it came in, it is known by it.
#[derive(Debug, Clone)]
pub struct CorrelationId(pub String);

/// The trace that a request belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trace {
    pub context: TraceContext,
    /// The caller named it, in its `traceparent` header; else it begins here.
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

pub(crate) async fn surround(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let given = request.extensions().get::<CorrelationId>();
    let correlation_id = given.map_or_else(|| web.engine.ids.uuid().to_string(), |CorrelationId(id)| id.clone());
    let trace = Trace::of(&request, &*web.engine.ids);
    request.extensions_mut().insert(trace);
    // Of the highest level, so that no filter takes the ids away from the lines that it leaves.
    let span =
        tracing::error_span!("request", correlation.id = correlation_id.as_str(), trace.id = %trace.context.id());
    handle(web, request, next, correlation_id).instrument(span).await
}

async fn handle(web: Web, mut request: Request, next: Next, correlation_id: String) -> Response {
    let began = web.engine.clock.now();
    let method = request.method().clone();
    let route = route(&request);
    let origin = cors::allowed(&web, request.headers());
    let preflight = origin.as_ref().and_then(|_| cors::preflight(&method, request.headers()));
    let ticket = OpenTicket::default();
    request.extensions_mut().insert(ticket.clone());
    let mut response = match web.door.admits(&method, request.headers()) {
        Ok(()) if preflight.is_some() => preflight.unwrap_or_default(),
        Ok(()) => AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
            Refused::from(Problem::new(ProblemCode::Internal, "a handler panicked")).into_response()
        }),
        Err(problem) => Refused::from(problem).into_response(),
    };
    if let Err(problem) = ticket.charge(&web.engine).await {
        response = Refused::from(problem).into_response();
    }
    let mut response = explain(response, &correlation_id, &web.public_url);
    let took = web.engine.clock.now().duration_since(began).unsigned_abs();
    let status = response.status().as_u16();
    let method = MethodLabel::of(method.as_str());
    record_http_request(route, method, Status::of(status), took);
    log(route, method, status, took);
    web.engine.metrics.flush().await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&correlation_id) {
        headers.insert("x-correlation-id", value);
    }
    cors::expose(&web, origin, headers);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Makes the body of a problem, keeping the headers that the router gave (Allow).
fn explain(mut response: Response, correlation_id: &str, public_url: &str) -> Response {
    let Some(Refused(problem)) = response.extensions_mut().remove() else { return response };
    if problem::kind(problem.code).status >= 500 {
        tracing::error!(problem.code = %problem.code, problem.detail, "a request failed");
    }
    let mut answer = match response.extensions_mut().remove() {
        Some(AsPage) => problem::page(&problem, correlation_id),
        None => problem::answer(*problem, correlation_id.to_owned(), public_url),
    };
    if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    answer
}

/// The pattern of the router's table that matched, so that no path of a caller's becomes a label.
fn route(request: &Request) -> Route {
    Route::matched(request.extensions().get::<MatchedPath>().map(MatchedPath::as_str))
}

fn log(route: Route, method: MethodLabel, status: u16, took: Duration) {
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(
        http.route = route.as_str(),
        http.method = method.as_str(),
        http.status = status,
        http.duration_ms = took_ms,
        "answered"
    );
}
