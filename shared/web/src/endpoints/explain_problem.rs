//! `GET /problems/{code}`: explains a code, of a problem or of a job's error.

use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use domain::JobErrorCode;

use crate::{
    accept,
    endpoint::prelude::*,
    page::page,
    problem_kind::{job_error_kind, kind},
    query::Named,
};

endpoint! {
    path: "/problems/{code}", function: Metrics, scope: none, tag: "about", problems: [NotFound],
    example: || example(include_str!("explain_problem.json")),
}

/// What a code means.
#[derive(Serialize, ToSchema)]
pub(super) struct Explained {
    /// The kind of problem, for programs.
    #[schema(example = "action-not-allowed")]
    pub code: &'static str,
    /// The kind of problem, for people.
    pub title: &'static str,
    /// The HTTP status; null for a code that only jobs end with.
    pub status: Option<u16>,
    /// Whether the same request may succeed later.
    retriable: Option<bool>,
    /// What it means and what to do.
    explanation: &'static str,
    /// The same of a job that ended with this code, if jobs do.
    of_a_job: Option<&'static str>,
}

impl Explained {
    /// The explanation of a code; none if there is no such code.
    pub fn of(code: &str) -> Option<Self> {
        let problem = ProblemCode::ALL.iter().find(|known| known.as_str() == code).map(|code| kind(*code));
        let job_error = JobErrorCode::ALL.iter().find(|known| known.as_str() == code).map(|code| job_error_kind(*code));
        let (code, title, explanation) = match (&problem, &job_error) {
            (Some(kind), _) => (kind.code, kind.title, kind.explanation),
            (None, Some(kind)) => (kind.code, kind.title, kind.explanation),
            (None, None) => return None,
        };
        let (status, retriable) = problem.map(|kind| (kind.status, kind.retriable)).unzip();
        Some(Self { code, title, status, retriable, explanation, of_a_job: job_error.map(|kind| kind.explanation) })
    }
}

/// Explains the code of a problem or of a job's error.
#[utoipa::path(
    get, path = ENDPOINT.path, params(("code" = String, Path, example = "action-not-allowed")),
    responses((status = 200, description = "What it means and what to do; HTML unless Accept prefers JSON", content(
        (String = "text/html"), (Explained = "application/json"),
    )))
)]
async fn handler(headers: HeaderMap, Segment(code): Segment<String>) -> Result<Response, Refused> {
    let explained = Explained::of(&code).ok_or_else(String::unknown)?;
    let vary = (header::VARY, "accept");
    if accept::prefers_json(&headers) {
        return Ok(([vary], Out(explained)).into_response());
    }
    let Explained { code, title, status, retriable, explanation, of_a_job } = explained;
    let facts = match status {
        Some(status) => {
            let retry = if retriable == Some(true) { "may succeed later" } else { "will fail again; change it first" };
            format!("{code}, HTTP status {status}. The same request {retry}.")
        }
        None => format!("{code}, the error of a job."),
    };
    let of_a_job = of_a_job.filter(|_| status.is_some()).map(|text| format!("As the error of a job: {text}"));
    let paragraphs: Vec<&str> = [explanation, &facts].into_iter().chain(of_a_job.as_deref()).collect();
    Ok(([vary], page(title, &paragraphs, ("/docs", "API"))).into_response())
}
