//! The middleware around every route: correlation id, trace, log line, HTTP metrics, fixed headers, and the bodies of
//! problems. CORS is a layer inside of it.

use std::{net::IpAddr, panic::AssertUnwindSafe, time::Duration};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use engine::{
    Problem, ProblemCode,
    limits::Ticket,
    ports::Ids,
    refusals::{Origin, Refusal},
};
use futures_util::FutureExt as _;
use jiff::Timestamp;
use telemetry::{
    TraceContext, labels,
    names::{HTTP_REQUEST_DURATION, HTTP_REQUESTS},
};
use tower_http::cors::CorsLayer;
use tracing::{Instrument as _, field::Empty};

use crate::{
    authenticator::Authenticator,
    mcp,
    page::AsPage,
    problem::{self, Refused},
    problem_kind::kind,
    state::Web,
};

/// The headers of every answer that does not set its own. Pages and their files have a policy of their own.
const FIXED_HEADERS: [(HeaderName, &str); 6] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The id of a request, as an extension. Whatever runs before the router may set it; otherwise it is made here.
#[derive(Debug, Clone)]
pub struct CorrelationId(pub String);

/// The address that a request came from, as an extension of whatever runs before the router: of the socket or of the
/// gateway, never of a header that callers can write.
#[derive(Debug, Clone, Copy)]
pub struct CallerAddress(pub IpAddr);

/// What the platform says of the invocation that a request is, as an extension of whatever runs before the router.
#[derive(Debug, Clone, Copy, Default)]
pub struct Invocation {
    /// The platform's own trace.
    pub trace: Option<TraceContext>,
    /// When it ends without an answer.
    pub deadline: Option<Timestamp>,
}

/// What a request carries to its handler, as an extension.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    /// The trace that the request belongs to.
    pub trace: TraceContext,
    /// The caller sent the trace, in its `traceparent` header.
    pub trace_given: bool,
    /// When the request ends without an answer, where that is known.
    pub deadline: Option<Timestamp>,
    /// What the request owes its rate limits.
    pub ticket: Ticket,
    /// Where it came from.
    pub address: Option<IpAddr>,
    /// Identifies its answer in the logs.
    pub correlation_id: String,
}

impl RequestContext {
    fn of(request: &Request, ids: &dyn Ids, correlation_id: String) -> Self {
        let header = request.headers().get("traceparent").and_then(|header| header.to_str().ok());
        let given = header.and_then(TraceContext::read);
        let invocation = request.extensions().get::<Invocation>().copied().unwrap_or_default();
        let begin = || TraceContext::begin(ids.uuid().as_u128(), ids.uuid().as_u64_pair().1);
        Self {
            trace: given.or(invocation.trace).unwrap_or_else(begin),
            trace_given: given.is_some(),
            deadline: invocation.deadline,
            ticket: Ticket::default(),
            address: request.extensions().get().map(|CallerAddress(address)| *address),
            correlation_id,
        }
    }
}

/// Puts the middleware around the routes.
pub(crate) fn layered(routes: Router<Web>, web: Web) -> Router {
    let routes = match cors(&web) {
        Some(cors) => routes.layer(cors),
        None => routes,
    };
    routes.layer(from_fn_with_state(web.clone(), answer)).with_state(web)
}

/// Lets pages of the origins in `ALLOW_ORIGINS` call this API with a key. Credentials are never allowed: there is no
/// login cookie. Without keys there is no CORS, since the authenticator refuses every foreign page.
fn cors(web: &Web) -> Option<CorsLayer> {
    if web.origins.is_empty() || matches!(*web.authenticator, Authenticator::Keyless { .. }) {
        return None;
    }
    let names = |names: &[&'static str]| names.iter().copied().map(HeaderName::from_static).collect::<Vec<_>>();
    let origins = web.origins.iter().filter_map(|origin| origin.parse::<HeaderValue>().ok());
    let layer = CorsLayer::new()
        .allow_origin(origins.collect::<Vec<_>>())
        .allow_methods([Method::GET, Method::POST, Method::DELETE])
        .allow_headers(names(&[
            "authorization",
            "content-type",
            "idempotency-key",
            "traceparent",
            "mcp-protocol-version",
            "mcp-method",
            "mcp-name",
        ]))
        .expose_headers(names(&[
            "location",
            "retry-after",
            "ratelimit",
            "ratelimit-policy",
            "www-authenticate",
            "x-correlation-id",
        ]))
        .max_age(Duration::from_mins(10))
        .vary([header::ORIGIN]);
    Some(layer)
}

async fn answer(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let given = request.extensions_mut().remove::<CorrelationId>();
    let id = given.map_or_else(|| web.engine.ids.uuid().to_string(), |CorrelationId(id)| id);
    let context = RequestContext::of(&request, &*web.engine.ids, id.clone());
    // At the highest level: a filter that keeps a line must not drop its ids.
    let span = tracing::error_span!(
        "request",
        correlation.id = id.as_str(),
        trace.id = %context.trace.id(),
        workspace.id = Empty,
        key.id = Empty,
        xray.id = Empty,
    );
    if let Some(Invocation { trace: Some(trace), .. }) = request.extensions().get() {
        span.record("xray.id", trace.xray_id().to_string());
    }
    request.extensions_mut().insert(context.clone());
    let mut response = observed(&web, request, next, &context, &id).instrument(span).await;
    let https_only = web.is_https().then_some((header::STRICT_TRANSPORT_SECURITY, "max-age=31536000"));
    for (name, value) in FIXED_HEADERS.into_iter().chain(https_only) {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-correlation-id", id);
    }
    response
}

/// Runs the request, counts and logs it, and flushes the metrics.
async fn observed(web: &Web, request: Request, next: Next, context: &RequestContext, id: &str) -> Response {
    let began = web.engine.clock.now();
    let method = labels::method(request.method().as_str());
    // The pattern, never the path: a path from a caller must not become a label.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    let served = served(web, request, next, context, route).await;
    let response = served.unwrap_or_else(|problem| Refused::from(problem).into_response());
    if let Some(refusal) = revoked_meanwhile(&response, context) {
        web.engine.refusals.record(*refusal, Origin { route, address: context.address }).await;
    }
    let mut response = with_problem(response, id, &web.public_url);
    if route == mcp::PATH {
        mcp::challenge(&mut response, &web.public_url);
    }
    let took = web.engine.clock.now().duration_since(began).unsigned_abs();
    let status = response.status();
    let values = [route, method, status.as_str()];
    HTTP_REQUESTS.count(&values);
    HTTP_REQUEST_DURATION.observe(&values, took);
    tracing::debug!(
        http.route = route,
        http.method = method,
        http.status = status.as_u16(),
        http.duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        "answered"
    );
    web.engine.metrics.flush().await;
    response
}

/// Refuses what the authenticator does not admit, and charges what the handler left uncharged.
async fn served(
    web: &Web,
    request: Request,
    next: Next,
    context: &RequestContext,
    route: &str,
) -> Result<Response, Problem> {
    if let Err(refusal) = web.authenticator.admit(request.method(), request.headers()) {
        return Err(web.engine.refusals.record(*refusal, Origin { route, address: context.address }).await);
    }
    let response = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    web.engine.limiter.charge(&context.ticket).await?;
    response.map_err(|_| Problem::new(ProblemCode::Internal, "a handler panicked"))
}

/// The refusal of a key that was valid when the request began, and revoked when it was counted.
fn revoked_meanwhile(response: &Response, context: &RequestContext) -> Option<Box<Refusal>> {
    let Refused(problem) = response.extensions().get()?;
    let (key, workspace) = context.ticket.key().filter(|_| problem.code == ProblemCode::Unauthenticated)?;
    Some(Refusal::of_revoked(key, workspace))
}

/// Logs a problem of our own.
pub(crate) fn log_fault(problem: &Problem) {
    if kind(problem.code).is_fault() {
        tracing::error!(problem.code = %problem.code, problem.detail, "a request failed");
    }
}

/// Writes the body of a problem.
fn with_problem(mut response: Response, id: &str, public_url: &str) -> Response {
    let Some(Refused(problem)) = response.extensions_mut().remove() else { return response };
    log_fault(&problem);
    let mut answer = match response.extensions_mut().remove() {
        Some(AsPage) => problem::answer_page(*problem, id),
        None => problem::answer(*problem, id.to_owned(), public_url),
    };
    // The router says which methods a path has, and CORS who may read the answer.
    response.headers_mut().remove(header::CONTENT_LENGTH);
    answer.headers_mut().extend(std::mem::take(response.headers_mut()));
    answer
}
