//! What surrounds every request: the door, a correlation id, one log line, the metrics, and the
//! answer to what went wrong, a panic too.

use std::{panic::AssertUnwindSafe, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use engine::{Problem, ProblemCode};
use futures_util::FutureExt;
use telemetry::record::{Method as MethodLabel, Route, Status, record_http_request};

use crate::{
    Web,
    page::AsPage,
    problem::{self, Refused},
};

pub(crate) async fn surround(State(web): State<Web>, request: Request, next: Next) -> Response {
    let correlation_id = web.engine.ids.uuid().to_string();
    let began = web.engine.clock.now();
    let method = request.method().clone();
    let route = route(&request);
    let response = match web.door.admits(&method, request.headers()) {
        Ok(()) => AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| {
            Refused::from(Problem::new(ProblemCode::Internal, "a handler panicked")).into_response()
        }),
        Err(problem) => Refused::from(problem).into_response(),
    };
    let mut response = explain(response, &correlation_id, &web.public_url);
    let took = web.engine.clock.now().duration_since(began).unsigned_abs();
    let status = response.status().as_u16();
    let method = MethodLabel::of(method.as_str());
    record_http_request(route, method, Status::of(status), took);
    log(route, method, status, took, &correlation_id);
    web.engine.metrics.flush().await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&correlation_id) {
        headers.insert("x-correlation-id", value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Makes the body of a problem, keeping the headers that the router gave (Allow).
fn explain(mut response: Response, correlation_id: &str, public_url: &str) -> Response {
    let Some(Refused(problem)) = response.extensions_mut().remove() else { return response };
    if problem::kind(problem.code).status >= 500 {
        tracing::error!(correlation.id = correlation_id, problem.code = %problem.code, problem.detail, "a request failed");
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

fn log(route: Route, method: MethodLabel, status: u16, took: Duration, correlation_id: &str) {
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(
        http.route = route.as_str(),
        http.method = method.as_str(),
        http.status = status,
        http.duration_ms = took_ms,
        correlation.id = correlation_id,
        "answered"
    );
}
