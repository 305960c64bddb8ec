use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use engine::{Problem, ProblemCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    body::Segment,
    page::page,
    problem::{Kind, ProblemBody, Refused, kind},
};

/// A kind of problem, for programs.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProblemKind {
    /// The kind of problem, for programs.
    #[schema(example = "action-not-allowed")]
    code: &'static str,
    /// The kind of problem, in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// Whether the same request may succeed later.
    retriable: bool,
    /// What it means and what to do.
    explanation: &'static str,
}

/// Explains a kind of problem to a person.
#[utoipa::path(
    get, path = "/problems/{code}", operation_id = "explain_problem", tag = "about", params(("code" = String, Path, example = "action-not-allowed")),
    responses(
        (status = 200, description = "What it means and what to do; as HTML unless Accept prefers JSON", content(
            (String = "text/html"),
            (ProblemKind = "application/json"),
        )),
        (status = 404, description = "No such code", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn explain(headers: HeaderMap, Segment(code): Segment) -> Result<Response, Refused> {
    let code = ProblemCode::ALL.iter().find(|known| known.as_str() == code);
    let code = code.ok_or_else(|| Problem::new(ProblemCode::NotFound, "there is no problem of this code"))?;
    let Kind { status, title, retriable, explanation } = kind(*code);
    let vary = (header::VARY, "accept");
    if prefers_json(&headers) {
        let told = ProblemKind { code: code.as_str(), title, status, retriable, explanation };
        return Ok(([vary], axum::Json(told)).into_response());
    }
    let again = if retriable { "may succeed later" } else { "will not succeed later either: change it first" };
    let kind = format!("{code}, HTTP status {status}. The same request {again}.");
    Ok(([vary], page(title, &[explanation, &kind], Some(("/docs", "API")))).into_response())
}

/// Whether JSON is asked for by name, and HTML is not or with less weight.
fn prefers_json(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let (mut json, mut html) = (0.0_f32, 0.0_f32);
    for range in accept.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(1.0, |q| q.parse().unwrap_or(0.0));
        match name.as_str() {
            "application/json" | "application/problem+json" => json = json.max(weight),
            "text/html" => html = html.max(weight),
            _ => {}
        }
    }
    json > html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_those_who_prefer_it() {
        let prefers = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            prefers_json(&headers)
        };
        for json in ["application/json", "application/json, text/html;q=0.9", "text/html;q=0.1, Application/JSON"] {
            assert!(prefers(json), "{json}");
        }
        for html in ["*/*", "", "text/html", "text/html,application/json;q=0.9", "application/json;q=x", "image/png"] {
            assert!(!prefers(html), "{html}");
        }
        assert!(!prefers_json(&HeaderMap::new()));
    }
}
