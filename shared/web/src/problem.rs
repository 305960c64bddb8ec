//! The one place that turns problems into HTTP answers (RFC 9457).
//!
//! A 4xx says what to change. A 5xx names only the correlation id; the cause is in the log.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::Violation;
use engine::{Problem, ProblemCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{page, problem_kind::kind};

/// The most places that a problem names.
const MAX_PLACES: usize = 50;
/// The most bytes of each text as JSON, so that the places with two texts each stay below 64 KiB together.
const MAX_TEXT: usize = 600;

/// A problem as a response without a body. The middleware writes the body, since only it knows the correlation id.
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
pub(crate) struct ProblemBody {
    /// Where this kind of problem is explained.
    #[serde(rename = "type")]
    #[schema(example = "/problems/action-not-allowed")]
    kind: String,
    /// The kind of problem, for people.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened, and what to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The kind of problem, for programs.
    #[schema(example = "action-not-allowed")]
    code: &'static str,
    /// Whether the same request may succeed later.
    retriable: bool,
    /// How long to wait before the next try, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    /// Identifies this answer in the logs.
    correlation_id: String,
    /// Where to connect the missing account.
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_url: Option<String>,
    /// The places in the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Place>,
    /// What does not work, as `/readyz` finds it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failing: Vec<String>,
}

/// One place in the request that is wrong.
#[derive(Debug, Serialize, ToSchema)]
struct Place {
    /// A JSON Pointer (RFC 6901) into the request.
    #[schema(example = "/actions/1/action")]
    pointer: String,
    /// What to change.
    detail: String,
}

impl ProblemBody {
    pub fn new(problem: Problem, correlation_id: String, public_url: &str) -> Self {
        let kind = kind(problem.code);
        let place = |Violation { pointer, detail, .. }| Place { pointer: cut(pointer), detail: cut(detail) };
        let (mut errors, failing) = match problem.code {
            ProblemCode::StoreUnavailable => (Vec::new(), problem.errors),
            _ if kind.is_fault() => (Vec::new(), Vec::new()),
            _ => (problem.errors, Vec::new()),
        };
        let more = errors.len().saturating_sub(MAX_PLACES);
        errors.truncate(MAX_PLACES);
        errors.extend((more > 0).then(|| Violation::new("", format!("{more} more places are wrong"))));
        Self {
            kind: format!("/problems/{}", problem.code),
            title: kind.title,
            status: kind.status,
            detail: (!kind.is_fault()).then(|| cut(problem.detail)),
            code: problem.code.as_str(),
            retriable: kind.retriable && !problem.is_final,
            retry_after_ms: problem.retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
            correlation_id,
            connect_url: problem.connect.map(|provider| format!("{public_url}/oauth/{provider}/start")),
            errors: errors.into_iter().map(place).collect(),
            failing: failing.into_iter().map(|failing| failing.detail).collect(),
        }
    }
}

/// A text that may quote the request, such as a field's name, up to [`MAX_TEXT`] bytes as JSON.
fn cut(mut text: String) -> String {
    let bytes = |c: char| match c {
        '"' | '\\' => 2,
        c if c.is_ascii_control() => 6,
        c => c.len_utf8(),
    };
    let mut total = 0;
    let end = text.char_indices().find(|(_, c)| {
        total += bytes(*c);
        total > MAX_TEXT
    });
    if let Some((end, _)) = end {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The answer for a program.
pub(crate) fn answer(problem: Problem, correlation_id: String, public_url: &str) -> Response {
    let Problem { code, retry_after, quota, .. } = problem;
    let body = ProblemBody::new(problem, correlation_id, public_url);
    let text = serde_json::to_string(&body).expect("a problem of texts and numbers is always JSON");
    let mut response = (status(code), Body::from(text)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(after) = retry_after {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
    }
    if let Some(quota) = quota {
        // draft-ietf-httpapi-ratelimit-headers: structured fields, in seconds.
        let value = |text: String| HeaderValue::from_str(&text).expect("digits and names are ASCII");
        let wait = whole_seconds(retry_after.unwrap_or(quota.window));
        let policy = format!("\"{}\";q={};w={}", quota.name, quota.limit, quota.window.as_secs());
        headers.insert("ratelimit-policy", value(policy));
        headers.insert("ratelimit", value(format!("\"{}\";r={};t={wait}", quota.name, quota.left)));
    }
    if code == ProblemCode::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// The answer for a person in a browser.
pub(crate) fn answer_page(problem: Problem, correlation_id: &str) -> Response {
    let kind = kind(problem.code);
    let detail = if kind.is_fault() {
        format!("The correlation id is {correlation_id}.")
    } else {
        format!("Detail: {}.", cut(problem.detail))
    };
    let link = ("/dev/action-runner.html", "To the page");
    let mut page = page::page(kind.title, &[kind.explanation, &detail], link);
    *page.status_mut() = status(problem.code);
    page
}

fn status(code: ProblemCode) -> StatusCode {
    StatusCode::from_u16(kind(code).status).expect("the table holds HTTP statuses")
}

/// Rounds up, so that a client never comes back too early.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
