//! The router: one file an endpoint.

mod actions;
mod dev;
mod execute;
mod health;
mod jobs;
mod metrics;
mod oauth;
mod plan2;
mod preview;
mod problems;

use axum::{Router, middleware, response::Redirect, routing::get};
use engine::{Problem, ProblemCode};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Web, files, openapi, problem::Refused, request};

/// Every route's pattern: the labels of the HTTP metrics.
pub const ROUTES: &[&str] = &[
    "/",
    "/ai/plan2",
    "/ai/execute",
    "/ai/jobs",
    "/ai/jobs/{job_id}",
    "/ai/jobs/{job_id}/cancel",
    "/ai/jobs/{job_id}/retry",
    "/ai/jobs/{job_id}/resolve",
    "/actions",
    "/actions/preview",
    "/oauth/{provider}",
    "/oauth/{provider}/start",
    "/oauth/{provider}/callback",
    "/oauth/{provider}/status",
    "/problems/{code}",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/assets/{file}",
    "/dev/{file}",
    "/dev/outbox",
];

/// Every route, with what surrounds it.
pub fn router(web: Web) -> Router {
    let (api, _) = documented();
    api.route("/openapi.json", get(openapi::serve))
        .route("/", get(async || Redirect::temporary("/dev/action-runner.html")))
        .merge(files::dev())
        .merge(files::assets())
        .fallback(async || Refused::from(Problem::new(ProblemCode::NotFound, "there is no route of this path")))
        .method_not_allowed_fallback(async || {
            Refused::from(Problem::new(ProblemCode::MethodNotAllowed, "this route does not have this method"))
        })
        .layer(middleware::from_fn_with_state(web.clone(), request::surround))
        .with_state(web)
}

/// The routes of the API with the document that describes them.
pub(crate) fn documented() -> (Router<Web>, OpenApi) {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(plan2::plan2))
        .routes(routes!(execute::execute))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::cancel))
        .routes(routes!(jobs::retry))
        .routes(routes!(jobs::resolve))
        .routes(routes!(actions::list))
        .routes(routes!(preview::preview))
        .routes(routes!(oauth::start))
        .routes(routes!(oauth::callback))
        .routes(routes!(oauth::status))
        .routes(routes!(oauth::disconnect))
        .routes(routes!(problems::explain))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(dev::outbox))
        .split_for_parts()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_every_documented_route() {
        let (_, document) = documented();
        for path in document.paths.paths.keys() {
            assert!(ROUTES.contains(&path.as_str()), "{path} is not in ROUTES");
        }
    }
    #[test]
    fn every_operation_has_an_id_of_its_own() {
        let (_, document) = documented();
        let document = serde_json::to_value(document).expect("the document is JSON");
        let paths = document["paths"].as_object().expect("there are paths");
        let mut ids: Vec<&str> = paths
            .values()
            .flat_map(|path| path.as_object().expect("a path is an object").values())
            .filter_map(|operation| operation["operationId"].as_str())
            .collect();
        ids.sort_unstable();
        let all = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), all, "generators of clients name their methods so: {ids:?}");
    }
}
