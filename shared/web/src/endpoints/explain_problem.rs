//! `GET /problems/{code}`: explains a problem code.

use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};

use crate::{
    accept,
    endpoint::prelude::*,
    page::page,
    problem_kind::{ProblemKind, kind},
    query::Named,
};

endpoint! {
    path: "/problems/{code}", function: Metrics, scope: none, tag: "about", problems: [NotFound],
    example: || example(include_str!("explain_problem.json")),
}

/// Explains a problem code.
#[utoipa::path(
    get, path = ENDPOINT.path, params(("code" = String, Path, example = "action-not-allowed")),
    responses((status = 200, description = "What it means and what to do; HTML unless Accept prefers JSON", content(
        (String = "text/html"), (ProblemKind = "application/json"),
    )))
)]
async fn handler(headers: HeaderMap, Segment(code): Segment<String>) -> Result<Response, Refused> {
    let code = ProblemCode::ALL.iter().find(|known| known.as_str() == code);
    let code = *code.ok_or_else(String::unknown)?;
    let kind = kind(code);
    let vary = (header::VARY, "accept");
    if accept::prefers_json(&headers) {
        return Ok(([vary], Out(kind)).into_response());
    }
    let retry = if kind.retriable { "may succeed later" } else { "will fail again; change it first" };
    let facts = format!("{code}, HTTP status {}. The same request {retry}.", kind.status);
    Ok(([vary], page(kind.title, &[kind.explanation, &facts], ("/docs", "API"))).into_response())
}
