//! Which problems each route may answer with.

use std::collections::BTreeMap;

use engine::ProblemCode as P;
use serde_json::json;
use utoipa::{
    ToSchema,
    openapi::{Content, Ref, RefOr, ResponseBuilder, example::ExampleBuilder, path::Operation},
};

use crate::problem::{ProblemBody, kind};

/// Of every route with a scope.
const DOOR: &[P] = &[P::Unauthenticated, P::ForbiddenScope, P::RateLimited, P::StoreUnavailable, P::Internal];
/// Of every route that reads a body.
const BODY: &[P] = &[P::MalformedJson, P::UnsupportedMediaType, P::PayloadTooLarge, P::InvalidRequest];

/// What a route may answer beyond that.
fn own(route: &str) -> &'static [P] {
    match route {
        "POST /ai/plan2" => &[
            P::WorkspaceMismatch,
            P::ActorMismatch,
            P::PromptTooLarge,
            P::TokenBudgetExhausted,
            P::PlannerInvalidAnswer,
            P::PlannerUnavailable,
        ],
        "POST /ai/execute" => &[
            P::WorkspaceMismatch,
            P::ActorMismatch,
            P::ActionNotAllowed,
            P::RecipientNotAllowed,
            P::RolloutDenied,
            P::UnknownAction,
            P::InvalidParams,
            P::IdempotencyKeyMissing,
            P::IdempotencyKeyReused,
            P::ConnectionRequired,
            P::ReauthRequired,
            P::PlanNotFound,
        ],
        "POST /actions/preview" => &[P::UnknownAction, P::InvalidParams],
        "GET /ai/jobs/{job_id}" => &[P::InvalidRequest, P::JobNotFound],
        "POST /ai/jobs/{job_id}/retry" => &[
            P::MalformedJson,
            P::UnsupportedMediaType,
            P::PayloadTooLarge,
            P::InvalidRequest,
            P::ActorMismatch,
            P::ActionNotAllowed,
            P::JobNotFound,
            P::JobNotRetriable,
        ],
        "POST /ai/jobs/{job_id}/cancel" => &[
            P::MalformedJson,
            P::UnsupportedMediaType,
            P::PayloadTooLarge,
            P::InvalidRequest,
            P::JobNotFound,
            P::JobNotRetriable,
        ],
        "POST /ai/jobs/{job_id}/resolve" => &[P::JobNotFound, P::JobNotRetriable],
        "GET /problems/{code}" => &[P::NotFound],
        "GET /readyz" => &[P::StoreUnavailable],
        "POST /oauth/{provider}/start" => &[P::NotFound, P::ActionNotAllowed],
        "GET /oauth/{provider}/callback" => &[
            P::NotFound,
            P::InvalidRequest,
            P::AuthorizationInvalid,
            P::AuthorizationDenied,
            P::AccountDiffers,
            P::ProviderUnavailable,
            P::StoreUnavailable,
            P::Internal,
        ],
        route if route.contains("{provider}") => &[P::NotFound],
        // What takes a query may be asked wrongly.
        "GET /ai/jobs" | "GET /audit" => &[P::InvalidRequest],
        _ => &[],
    }
}

/// Puts a response for each status there is, with an example for each code, in place of the ranges.
pub(super) fn list(route: &str, operation: &mut Operation) {
    let door = if operation.security.is_some() { DOOR } else { &[] };
    let body = if operation.request_body.is_some() { BODY } else { &[] };
    let mut by_status: BTreeMap<u16, Vec<P>> = BTreeMap::new();
    for code in door.iter().chain(body).chain(own(route)) {
        by_status.entry(kind(*code).status).or_default().push(*code);
    }
    let responses = &mut operation.responses.responses;
    responses.retain(|status, _| !matches!(status.as_str(), "4XX" | "5XX"));
    for (status, codes) in by_status {
        let titles: Vec<&str> = codes.iter().map(|code| kind(*code).title).collect();
        let mut content = Content::new(Some(Ref::from_schema_name(ProblemBody::name())));
        for code in codes {
            let example = ExampleBuilder::new().summary(kind(code).title).value(Some(example(code))).build();
            content.examples.insert(code.as_str().to_owned(), RefOr::T(example));
        }
        let mut response =
            ResponseBuilder::new().description(titles.join("; ")).content("application/problem+json", content);
        if route == "GET /oauth/{provider}/callback" {
            // A person comes by, in a browser.
            response = response.content("text/html", Content::default());
        }
        responses.insert(status.to_string(), RefOr::T(response.build()));
    }
}

fn example(code: P) -> serde_json::Value {
    let kind = kind(code);
    let mut example = json!({
        "type": format!("/problems/{code}"),
        "title": kind.title,
        "status": kind.status,
        "code": code.as_str(),
        "retriable": kind.retriable,
        "correlation_id": "0a4c7f2e-3f6d-4b1e-9a59-6c1d2e3f4a5b",
    });
    if matches!(code, P::ConnectionRequired | P::ReauthRequired) {
        example["connect_url"] = json!("https://orchestrator.example.com/oauth/google/start");
    }
    if matches!(code, P::RateLimited | P::TokenBudgetExhausted) {
        example["retry_after_ms"] = json!(1500);
    }
    example
}
