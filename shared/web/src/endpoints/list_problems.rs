//! `GET /problems`: every code, of problems and of jobs' errors.

use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use domain::JobErrorCode;

use super::explain_problem::Explained;
use crate::{
    accept,
    endpoint::prelude::*,
    page::{Entry, index},
};

endpoint! {
    path: "/problems", function: Metrics, scope: none, tag: "about", problems: [],
    example: || {
        let one = example(include_str!("explain_problem.json"));
        json!({ "response": { "data": [one["response"]] } })
    },
}

/// Every code.
#[derive(Serialize, ToSchema)]
struct ProblemList {
    data: Vec<Explained>,
}

/// Lists every code that a problem or a job's error can have.
#[utoipa::path(
    get, path = ENDPOINT.path,
    responses((status = 200, description = "The codes; HTML unless Accept prefers JSON", content(
        (String = "text/html"), (ProblemList = "application/json"),
    )))
)]
async fn handler(headers: HeaderMap) -> Response {
    let of_requests = ProblemCode::ALL.iter().map(|code| code.as_str());
    let of_jobs = JobErrorCode::ALL.iter().map(|code| code.as_str());
    let mut codes: Vec<&str> = of_requests.clone().chain(of_jobs.clone()).collect();
    codes.sort_unstable();
    codes.dedup();
    let vary = (header::VARY, "accept");
    if accept::prefers_json(&headers) {
        let data = codes.into_iter().filter_map(Explained::of).collect();
        return ([vary], Out(ProblemList { data })).into_response();
    }
    let entry = |Explained { code, title, .. }| Entry { target: format!("/problems/{code}"), text: code, about: title };
    let [of_requests, of_jobs] = [of_requests.collect::<Vec<_>>(), of_jobs.collect()]
        .map(|codes| codes.into_iter().filter_map(Explained::of).map(entry).collect());
    let lists = [("Why a request was refused", of_requests), ("Why a job failed", of_jobs)];
    ([vary], index("Problems", &lists)).into_response()
}
