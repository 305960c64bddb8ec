//! The router: one file an endpoint.

mod actions;
mod audit;
mod dev;
mod execute;
mod health;
mod jobs;
mod metrics;
mod oauth;
mod plan2;
mod preview;
mod problems;

use axum::{
    Router, middleware,
    response::Redirect,
    routing::{any, delete, get, post},
};
use engine::{Problem, ProblemCode};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{Web, files, openapi, problem::Refused, request};

/// The functions that serve the routes on Lambda; each has its own rights, time-out and share of the machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Asks the model, and shows what could be done.
    Plan2,
    /// Accepts actions.
    Execute,
    /// Tells of jobs.
    Jobs,
    /// Connects accounts.
    Connect,
    /// Tells of the program itself.
    Metrics,
}

impl Function {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Plan2, Self::Execute, Self::Jobs, Self::Connect, Self::Metrics];

    /// Its name, as the handler of a Lambda function.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan2 => "plan2",
            Self::Execute => "execute",
            Self::Jobs => "jobs",
            Self::Connect => "connect",
            Self::Metrics => "metrics",
        }
    }
}

/// Every route's pattern, which is its label in the HTTP metrics, with the function that serves it on Lambda.
pub const ROUTES: &[(&str, Function)] = &[
    ("/ai/plan2", Function::Plan2),
    ("/actions", Function::Plan2),
    ("/actions/preview", Function::Plan2),
    ("/ai/execute", Function::Execute),
    ("/ai/jobs", Function::Jobs),
    ("/ai/jobs/{job_id}", Function::Jobs),
    ("/ai/jobs/{job_id}/cancel", Function::Jobs),
    ("/ai/jobs/{job_id}/retry", Function::Jobs),
    ("/ai/jobs/{job_id}/resolve", Function::Jobs),
    ("/dev/outbox", Function::Jobs),
    ("/audit", Function::Jobs),
    ("/oauth/{provider}", Function::Connect),
    ("/oauth/{provider}/start", Function::Connect),
    ("/oauth/{provider}/callback", Function::Connect),
    ("/oauth/{provider}/status", Function::Connect),
    ("/metrics", Function::Metrics),
    ("/problems/{code}", Function::Metrics),
    ("/healthz", Function::Metrics),
    ("/readyz", Function::Metrics),
    ("/openapi.json", Function::Metrics),
    ("/", Function::Metrics),
    ("/docs", Function::Metrics),
    ("/assets/{file}", Function::Metrics),
    ("/dev/{file}", Function::Metrics),
];

/// Every route, with what surrounds it.
pub fn router(web: Web) -> Router {
    let routes = Function::ALL.into_iter().fold(Router::new(), |all, function| all.merge(served_by(function, &web)));
    surrounded(routes, web)
}

/// The routes that one function serves on Lambda, with what surrounds them. [`Function::Metrics`] also answers what
/// is of no route: where another function has the path, it was the method.
pub fn router_of(function: Function, web: Web) -> Router {
    let mut routes = served_by(function, &web);
    if function == Function::Metrics {
        for (pattern, _) in ROUTES.iter().filter(|(_, served_by)| *served_by != function) {
            routes = routes.route(pattern, any(wrong_method));
        }
    }
    surrounded(routes, web)
}

async fn wrong_method() -> Refused {
    Problem::new(ProblemCode::MethodNotAllowed, "this route does not have this method").into()
}

fn surrounded(routes: Router<Web>, web: Web) -> Router {
    routes
        .fallback(async || Refused::from(Problem::new(ProblemCode::NotFound, "there is no route of this path")))
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(web.clone(), request::surround))
        .with_state(web)
}

fn served_by(function: Function, web: &Web) -> Router<Web> {
    let routes = (function.served().routes)();
    if function != Function::Metrics {
        return routes;
    }
    let routes = routes.route("/openapi.json", get(openapi::serve)).merge(files::assets());
    if !web.dev_ui {
        return routes;
    }
    routes.route("/", get(async || Redirect::temporary("/dev/action-runner.html"))).merge(files::dev())
}

/// The routes of the API that a function serves, and what describes them. Apart, since a function that starts has no
/// use for the description, and to make it takes as long as all the rest.
struct Served {
    routes: fn() -> Router<Web>,
    documented: fn() -> OpenApiRouter<Web>,
}

macro_rules! served {
    ($($method:ident $pattern:literal $module:ident::$handler:ident),+ $(,)?) => {
        Served {
            routes: || Router::new()$(.route($pattern, $method($module::$handler)))+,
            documented: || OpenApiRouter::new()$(.routes(routes!($module::$handler)))+,
        }
    };
}

impl Function {
    const fn served(self) -> Served {
        match self {
            Self::Plan2 => served!(
                post "/ai/plan2" plan2::plan2,
                get "/actions" actions::list,
                post "/actions/preview" preview::preview,
            ),
            Self::Execute => served!(post "/ai/execute" execute::execute),
            Self::Jobs => served!(
                get "/ai/jobs" jobs::list,
                get "/ai/jobs/{job_id}" jobs::get,
                post "/ai/jobs/{job_id}/cancel" jobs::cancel,
                post "/ai/jobs/{job_id}/retry" jobs::retry,
                post "/ai/jobs/{job_id}/resolve" jobs::resolve,
                get "/dev/outbox" dev::outbox,
                get "/audit" audit::list,
            ),
            Self::Connect => served!(
                post "/oauth/{provider}/start" oauth::start,
                get "/oauth/{provider}/callback" oauth::callback,
                get "/oauth/{provider}/status" oauth::status,
                delete "/oauth/{provider}" oauth::disconnect,
            ),
            Self::Metrics => served!(
                get "/metrics" metrics::metrics,
                get "/problems/{code}" problems::explain,
                get "/healthz" health::healthz,
                get "/readyz" health::readyz,
            ),
        }
    }
}

/// The document that describes the routes of the API.
pub(crate) fn document() -> OpenApi {
    let base = OpenApiRouter::with_openapi(openapi::base());
    Function::ALL.into_iter().fold(base, |all, function| all.merge((function.served().documented)())).into_openapi()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_which_function_serves_each_documented_route() {
        for function in Function::ALL {
            let document = (function.served().documented)().into_openapi();
            for path in document.paths.paths.keys() {
                assert!(ROUTES.contains(&(path.as_str(), function)), "{path} of {function:?} is not in ROUTES");
            }
        }
    }
    #[test]
    fn every_operation_has_an_id_of_its_own() {
        let document = serde_json::to_value(document()).expect("the document is JSON");
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
