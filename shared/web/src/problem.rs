//! The one map from what went wrong to an HTTP answer (RFC 9457).
//!
//! A 4xx says what to change. A 5xx names only the correlation id; what happened is in the log.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::Violation;
use engine::{Problem, ProblemCode};
use serde::Serialize;
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder},
};

use crate::page;

/// A problem on its way out. [`crate::request`] makes the body of it, when the correlation id is known.
#[derive(Debug, Clone)]
pub struct Refused(pub Box<Problem>);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The body of every error, `application/problem+json`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// Where this kind of problem is explained.
    #[serde(rename = "type")]
    #[schema(example = "/problems/action-not-allowed")]
    pub kind: String,
    /// The kind of problem, in words.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened here, and what to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The kind of problem, for programs.
    #[schema(example = "action-not-allowed")]
    pub code: &'static str,
    /// Whether the same request may succeed later.
    pub retriable: bool,
    /// After how many milliseconds another try makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Names this answer in the logs.
    pub correlation_id: String,
    /// Where to connect the account that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_url: Option<String>,
    /// The places in the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Place>,
}

/// In the OpenAPI document: what any route with a scope may answer instead.
pub(crate) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let problem = |description: &str| {
            let schema = Ref::from_schema_name(ProblemBody::name());
            let content = ContentBuilder::new().schema(Some(schema)).build();
            let response = ResponseBuilder::new().description(description);
            RefOr::T(response.content("application/problem+json", content).build())
        };
        BTreeMap::from([
            ("4XX".to_owned(), problem("What to change")),
            ("5XX".to_owned(), problem("Ours, or the model's")),
        ])
    }
}

/// One place in the request that is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct Place {
    /// A JSON Pointer (RFC 6901) into the request.
    #[schema(example = "/actions/1/action")]
    pub pointer: String,
    /// What to change.
    pub detail: String,
}

impl From<Violation> for Place {
    fn from(violation: Violation) -> Self {
        Self { pointer: violation.pointer, detail: violation.detail }
    }
}

/// What a person and a program are told of a kind of problem.
pub struct Kind {
    /// The HTTP status.
    pub status: u16,
    /// The kind of problem, in words.
    pub title: &'static str,
    /// Whether the same request may succeed later.
    pub retriable: bool,
    /// What it means and what to do, for `GET /problems/{code}`.
    pub explanation: &'static str,
}

/// What is told of each kind of problem.
pub fn kind(code: ProblemCode) -> Kind {
    use ProblemCode as P;
    let (status, title, retriable, explanation) = match code {
        P::MalformedJson => (
            400,
            "The body is not JSON",
            false,
            "The body could not be read as JSON in UTF-8. The detail says at which line and column reading stopped. Look there for a missing quote, comma or bracket.",
        ),
        P::InvalidRequest => (
            422,
            "The request is not of its form",
            false,
            "The body is JSON, but not the JSON this route takes: a field is missing, has another type, is not known here, or stands twice; or the body is nested deeper than 32. Each entry of errors points to a place and says what belongs there.",
        ),
        P::UnsupportedMediaType => (
            415,
            "The body is not sent as JSON",
            false,
            "Requests with a body carry the header Content-Type: application/json. No other type is read, and no other charset than UTF-8.",
        ),
        P::PayloadTooLarge => (
            413,
            "The body is too large",
            false,
            "A body is at most 1 MiB. Send fewer actions in one request, or shorter texts.",
        ),
        P::NotFound => {
            (404, "There is nothing here", false, "No route has this path. GET /openapi.json lists all that there are.")
        }
        P::MethodNotAllowed => (
            405,
            "This method is not allowed here",
            false,
            "The path exists, with another method. The Allow header lists those it has.",
        ),
        P::Unauthenticated => (
            401,
            "A credential is needed",
            false,
            "Send the header Authorization: Bearer with an API key of this deployment. The key is missing, malformed, unknown or revoked; which of these is not said.",
        ),
        P::ForbiddenScope => (
            403,
            "The credential does not reach this far",
            false,
            "The API key lacks the scope that this route needs, or a server without keys was called by a page or under a name that is not its own. Use a key with the scope, or call the server at its loopback address.",
        ),
        P::WorkspaceMismatch => (
            403,
            "This is another workspace",
            false,
            "A key belongs to one workspace, and the request names a different one. Leave workspace_id out, or use that workspace's own key.",
        ),
        P::ActorMismatch => (
            403,
            "This is another actor",
            false,
            "The key is bound to one actor, and the request names a different one. Leave actor_id out, or use a key that may act for that actor.",
        ),
        P::ActionNotAllowed => (
            403,
            "This action is not allowed",
            false,
            "The action is not on the allowlist of this deployment, workspace or key. Whoever runs the deployment can add it to ALLOW_ACTIONS_DEFAULT.",
        ),
        P::RecipientNotAllowed => (
            403,
            "Mail may not go to this recipient",
            false,
            "This deployment sends mail only to the domains in ALLOW_RECIPIENT_DOMAINS, and a recipient is in none of them.",
        ),
        P::RolloutDenied => (
            403,
            "The provider is not rolled out this far",
            false,
            "The provider is being rolled out by percent, and this workspace and actor are not within it yet. Whoever runs the deployment can raise the percent.",
        ),
        P::UnknownAction => (
            422,
            "There is no such action",
            false,
            "The catalogue has no action of this name, or it belongs to another provider. GET /actions lists what there is.",
        ),
        P::InvalidParams => (
            422,
            "The action's params are not valid",
            false,
            "The params of an action do not fit it. Each entry of errors points to a field and says what belongs there; GET /actions has the JSON Schema of each action's params.",
        ),
        P::IdempotencyKeyMissing => (
            422,
            "An idempotency key is missing",
            false,
            "Each action needs a client_request_id, or the request an Idempotency-Key header from which one is derived: it is what keeps a repeated request from sending a second mail.",
        ),
        P::IdempotencyKeyReused => (
            422,
            "The idempotency key stands for something else",
            false,
            "This client_request_id was used before in this workspace, for another action or other params. To send something new, take a fresh one; to repeat the earlier request, repeat it unchanged.",
        ),
        P::ConnectionRequired => (
            409,
            "The provider is not connected",
            false,
            "No account of this provider is connected to the workspace. Connect one at connect_url, then send the request again.",
        ),
        P::ReauthRequired => (
            409,
            "The provider wants consent again",
            false,
            "The provider no longer accepts the account's consent. Connect the account again at connect_url, then send the request again.",
        ),
        P::AuthorizationInvalid => (
            400,
            "This way to connect does not hold",
            false,
            "An account is connected in one go: it is begun and ended in the same browser, within ten minutes, and each way is good once. This one was begun elsewhere, is over, was used before, or the provider did not take it back. Nothing was stored; begin anew.",
        ),
        P::AuthorizationDenied => (
            403,
            "The consent is missing",
            false,
            "At the provider's page the consent was refused, or not given for everything that was asked. Nothing was stored; begin anew, and leave every box ticked.",
        ),
        P::AccountDiffers => (
            409,
            "Another account is connected",
            false,
            "A workspace has one account of a provider, and another one than this is connected. Nothing was changed. Disconnect that one first, or begin anew with replace set to true.",
        ),
        P::JobNotFound => (
            404,
            "There is no such job",
            false,
            "This workspace has no job of this id. Jobs are kept for 30 days after their last change.",
        ),
        P::PlanNotFound => (
            404,
            "There is no such plan",
            false,
            "This workspace and actor have no plan of this id that is younger than 15 minutes. Plan again.",
        ),
        P::JobNotRetriable => (
            409,
            "The job's state does not allow this",
            false,
            "Cancel takes a pending job, retry one that ended in an error that certainly sent nothing, resolve one whose outcome is unknown. The detail says what state the job is in.",
        ),
        P::TokenBudgetExhausted => (
            429,
            "The token budget is spent",
            true,
            "The model's tokens for this minute are spent. Try again after the time in Retry-After.",
        ),
        P::RateLimited => (
            429,
            "Too many requests",
            true,
            "Requests came faster than this key or workspace may send them. Try again after the time in Retry-After.",
        ),
        P::PromptTooLarge => (
            422,
            "The prompt is too large",
            false,
            "The prompt is longer than could ever be planned here. Say it in fewer words; long texts can be sent by POST /ai/execute without a planner.",
        ),
        P::PlannerInvalidAnswer => (
            502,
            "The model's answer cannot be used",
            true,
            "The model's answer broke its schema, was cut off or was empty, so nothing was planned. Another try may go better; a shorter request often does.",
        ),
        P::PlannerUnavailable => (
            503,
            "The model cannot be asked",
            true,
            "The model could not be reached, did not answer in time, refused this deployment's key, or is over its own limit. Nothing was planned. Try again, after the time in Retry-After if there is one.",
        ),
        P::ProviderUnavailable => (
            503,
            "The provider gives no answer",
            true,
            "The provider that accounts are connected with could not be reached, failed, or refused this deployment's client. Nothing was changed. Try again later.",
        ),
        P::StoreUnavailable => (
            503,
            "A store does not answer",
            true,
            "One of the stores behind this API does not answer. Repeat the request with the same idempotency keys: nothing is done twice.",
        ),
        P::Internal => (
            500,
            "Something went wrong here",
            true,
            "The fault is ours. The correlation id finds it in the logs. Repeat the request with the same idempotency keys: nothing is done twice.",
        ),
    };
    Kind { status, title, retriable, explanation }
}

/// The answer to a request that met a problem.
pub(crate) fn answer(problem: Problem, correlation_id: String, public_url: &str) -> Response {
    let kind = kind(problem.code);
    let ours = kind.status >= 500;
    let body = ProblemBody {
        kind: format!("/problems/{}", problem.code),
        title: kind.title,
        status: kind.status,
        detail: (!ours).then_some(problem.detail),
        code: problem.code.as_str(),
        retriable: kind.retriable,
        retry_after_ms: problem.retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        correlation_id,
        connect_url: problem.connect.map(|provider| format!("{public_url}/oauth/{provider}/start")),
        errors: if ours { Vec::new() } else { problem.errors.into_iter().map(Place::from).collect() },
    };
    let text = serde_json::to_string(&body).expect("a problem of texts and numbers is always JSON");
    let status = StatusCode::from_u16(kind.status).expect("the table holds HTTP statuses");
    let mut response = (status, Body::from(text)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(after) = problem.retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
    }
    if let Some(quota) = problem.quota {
        // draft-ietf-httpapi-ratelimit-headers: structured fields, in seconds.
        let value = |text: String| HeaderValue::from_str(&text).expect("digits and names are ASCII");
        let wait = whole_seconds(problem.retry_after.unwrap_or(quota.window));
        let policy = format!("\"{}\";q={};w={}", quota.name, quota.limit, quota.window.as_secs());
        headers.insert("ratelimit-policy", value(policy));
        headers.insert("ratelimit", value(format!("\"{}\";r={};t={wait}", quota.name, quota.left)));
    }
    if problem.code == ProblemCode::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The same for a person.
pub(crate) fn page(problem: &Problem, correlation_id: &str) -> Response {
    let kind = kind(problem.code);
    let detail = if kind.status >= 500 {
        format!("The correlation id is {correlation_id}.")
    } else {
        format!("Here: {}.", problem.detail)
    };
    let mut page =
        page::page(kind.title, &[kind.explanation, &detail], Some(("/dev/action-runner.html", "Action runner")));
    *page.status_mut() = StatusCode::from_u16(kind.status).expect("the table holds HTTP statuses");
    page
}

/// No fewer seconds than these.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
