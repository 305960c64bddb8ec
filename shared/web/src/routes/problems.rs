use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use engine::{Problem, ProblemCode};

use crate::{
    body::Segment,
    problem::{ProblemBody, Refused, kind},
};

/// Explains a kind of problem to a person.
#[utoipa::path(
    get, path = "/problems/{code}", operation_id = "explain_problem", tag = "about", params(("code" = String, Path, example = "action-not-allowed")),
    responses(
        (status = 200, description = "What it means and what to do", content_type = "text/html"),
        (status = 404, description = "No such code", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn explain(Segment(code): Segment) -> Result<Response, Refused> {
    let code = ProblemCode::ALL.iter().find(|known| known.as_str() == code);
    let code = code.ok_or_else(|| Problem::new(ProblemCode::NotFound, "there is no problem of this code"))?;
    let kind = kind(*code);
    // Every part is a constant of ours, so nothing needs escaping.
    let again =
        if kind.retriable { "The same request may succeed later." } else { "The same request will not succeed later." };
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <h1>{title}</h1>\n<p><code>{code}</code>, HTTP status {status}</p>\n<p>{explanation}</p>\n<p>{again}</p>\n</html>\n",
        title = kind.title,
        status = kind.status,
        explanation = kind.explanation,
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    Ok((headers, page).into_response())
}
