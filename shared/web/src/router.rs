//! The router: every endpoint and file, with the layers around them.

use std::collections::BTreeMap;

use axum::{
    Router,
    routing::{any, get},
};
use engine::{Problem, ProblemCode};
use strum::VariantArray;

use crate::{
    endpoint::Function, endpoints::ENDPOINTS, middleware::layered, openapi, problem::Refused, state::Web, static_files,
};

/// Every path pattern, which is also a label of the HTTP metrics, with the Lambda function that serves it.
pub fn routes() -> BTreeMap<&'static str, Function> {
    let files = static_files::ROUTES.iter().map(|(path, ..)| *path).chain([openapi::PATH]);
    let files = files.map(|path| (path, Function::Metrics));
    ENDPOINTS.iter().map(|endpoint| (endpoint.path, endpoint.function)).chain(files).collect()
}

/// Every route, with the layers around it.
pub fn router(web: Web) -> Router {
    let all = Function::VARIANTS.iter().fold(Router::new(), |all, function| all.merge(served_by(*function, &web)));
    finished(all, web)
}

/// The routes of one Lambda function. [`Function::Metrics`] also answers requests that no route matches: if another
/// function serves the path, the method was wrong.
pub fn router_of(function: Function, web: Web) -> Router {
    let mut router = served_by(function, &web);
    if function == Function::Metrics {
        for (path, _) in routes().iter().filter(|(_, served_by)| **served_by != function) {
            router = router.route(path, any(wrong_method));
        }
    }
    finished(router, web)
}

fn served_by(function: Function, web: &Web) -> Router<Web> {
    let endpoints = ENDPOINTS.iter().filter(|endpoint| endpoint.function == function);
    let router = endpoints.fold(Router::new(), |router, endpoint| router.route(endpoint.path, (endpoint.route)()));
    if function != Function::Metrics {
        return router;
    }
    let files = static_files::ROUTES.iter().filter(|(_, dev_ui, _)| web.dev_ui || !dev_ui);
    files.fold(router.route(openapi::PATH, get(openapi::serve)), |router, (path, _, route)| router.route(path, route()))
}

async fn wrong_method() -> Refused {
    Problem::new(ProblemCode::MethodNotAllowed, "this path does not have this method").into()
}

fn finished(router: Router<Web>, web: Web) -> Router {
    let router = router
        .fallback(async || Refused::from(Problem::new(ProblemCode::NotFound, "no route has this path")))
        .method_not_allowed_fallback(wrong_method);
    layered(router, web)
}
