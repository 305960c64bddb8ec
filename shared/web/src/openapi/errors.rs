//! Which problems each route may answer with.

use std::collections::BTreeMap;

use engine::ProblemCode::{self, *};
use serde_json::json;
use utoipa::{
    ToSchema,
    openapi::{Content, Ref, RefOr, ResponseBuilder, example::ExampleBuilder, path::Operation},
};

use crate::problem::{ProblemBody, kind};

/// Of every route with a scope.
const DOOR: &[ProblemCode] = &[Unauthenticated, ForbiddenScope, RateLimited, StoreUnavailable, Internal];
/// Of every route that reads a body.
const BODY: &[ProblemCode] = &[MalformedJson, UnsupportedMediaType, PayloadTooLarge, InvalidRequest];

/// What a route may answer beyond that.
fn own(route: &str) -> &'static [ProblemCode] {
    match route {
        "POST /ai/plan2" => &[
            WorkspaceMismatch,
            ActorMismatch,
            PromptTooLarge,
            TokenBudgetExhausted,
            PlannerInvalidAnswer,
            PlannerUnavailable,
        ],
        "POST /ai/execute" => &[
            WorkspaceMismatch,
            ActorMismatch,
            ActionNotAllowed,
            RecipientNotAllowed,
            RolloutDenied,
            UnknownAction,
            InvalidParams,
            IdempotencyKeyMissing,
            IdempotencyKeyReused,
            ConnectionRequired,
            ReauthRequired,
            PlanNotFound,
        ],
        "POST /actions/preview" => &[UnknownAction, InvalidParams],
        "GET /ai/jobs/{job_id}" => &[InvalidRequest, JobNotFound],
        "POST /ai/jobs/{job_id}/cancel" | "POST /ai/jobs/{job_id}/retry" => {
            &[MalformedJson, UnsupportedMediaType, PayloadTooLarge, InvalidRequest, JobNotFound, JobNotRetriable]
        }
        "POST /ai/jobs/{job_id}/resolve" => &[JobNotFound, JobNotRetriable],
        "GET /problems/{code}" => &[NotFound],
        "GET /readyz" => &[StoreUnavailable],
        route if route.contains("{provider}") => &[NotFound],
        // What takes a query may be asked wrongly.
        "GET /ai/jobs" => &[InvalidRequest],
        _ => &[],
    }
}

/// Puts a response for each status there is, with an example for each code, in place of the ranges.
pub(super) fn list(route: &str, operation: &mut Operation) {
    let door = if operation.security.is_some() { DOOR } else { &[] };
    let body = if operation.request_body.is_some() { BODY } else { &[] };
    let mut by_status: BTreeMap<u16, Vec<ProblemCode>> = BTreeMap::new();
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
        let response =
            ResponseBuilder::new().description(titles.join("; ")).content("application/problem+json", content);
        responses.insert(status.to_string(), RefOr::T(response.build()));
    }
}

fn example(code: ProblemCode) -> serde_json::Value {
    let kind = kind(code);
    let mut example = json!({
        "type": format!("/problems/{code}"),
        "title": kind.title,
        "status": kind.status,
        "code": code.as_str(),
        "retriable": kind.retriable,
        "correlation_id": "0a4c7f2e-3f6d-4b1e-9a59-6c1d2e3f4a5b",
    });
    if matches!(code, ConnectionRequired | ReauthRequired) {
        example["connect_url"] = json!("https://orchestrator.example.com/oauth/google/start");
    }
    if matches!(code, RateLimited | TokenBudgetExhausted) {
        example["retry_after_ms"] = json!(1500);
    }
    example
}
