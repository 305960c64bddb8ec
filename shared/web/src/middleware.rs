//! The layers around every route. From the outside in: request context, fixed headers, CORS, problems, panics.

use std::{any::Any, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use engine::{Problem, ProblemCode, limits::Ticket};
use tower_http::{catch_panic::CatchPanicLayer, cors::CorsLayer, set_header::SetResponseHeaderLayer};

use crate::{
    authenticator::Authenticator,
    page::AsPage,
    problem::{self, Refused},
    problem_kind::kind,
    request_context::{CorrelationId, request_context},
    state::Web,
};

/// Puts the layers around the routes.
pub(crate) fn layered(routes: Router<Web>, web: Web) -> Router {
    let fixed = |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    let routes = routes.layer((from_fn_with_state(web.clone(), answer_problems), CatchPanicLayer::custom(panicked)));
    let routes = match cors(&web) {
        Some(cors) => routes.layer(cors),
        None => routes,
    };
    routes
        .layer((
            from_fn_with_state(web.clone(), request_context),
            fixed(header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            fixed(header::REFERRER_POLICY, "no-referrer"),
            fixed(header::CACHE_CONTROL, "no-store"),
        ))
        .with_state(web)
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
        .allow_headers(names(&["authorization", "content-type", "idempotency-key", "traceparent"]))
        .expose_headers(names(&["location", "retry-after", "ratelimit", "ratelimit-policy", "x-correlation-id"]))
        .max_age(Duration::from_mins(10))
        .vary([header::ORIGIN]);
    Some(layer)
}

/// Refuses what the authenticator does not admit, and writes the body of every problem.
async fn answer_problems(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let CorrelationId(id) = request.extensions().get().cloned().unwrap_or(CorrelationId(String::new()));
    let ticket = Ticket::default();
    request.extensions_mut().insert(ticket.clone());
    let mut response = match web.authenticator.admit(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => Refused::from(problem).into_response(),
    };
    // The handler may have left the request uncharged.
    if let Err(problem) = web.engine.limiter.charge(&ticket).await {
        response = Refused::from(problem).into_response();
    }
    let Some(Refused(problem)) = response.extensions_mut().remove() else { return response };
    if kind(problem.code).is_fault() {
        tracing::error!(problem.code = %problem.code, problem.detail, "a request failed");
    }
    let mut answer = match response.extensions_mut().remove() {
        Some(AsPage) => problem::answer_page(&problem, &id),
        None => problem::answer(*problem, id, &web.public_url),
    };
    // The router says which methods a path has.
    if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    answer
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    Refused::from(Problem::new(ProblemCode::Internal, "a handler panicked")).into_response()
}
