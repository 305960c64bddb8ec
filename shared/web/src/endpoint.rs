//! What an endpoint declares beside its handler.

use axum::routing::{MethodFilter, MethodRouter};
use domain::Scope;
use engine::ProblemCode;
use serde_json::Value;
use utoipa::openapi::HttpMethod;
use utoipa_axum::{PathItemExt, router::UtoipaMethodRouter};

use crate::state::Web;

/// One endpoint of the API; made by [`endpoint!`].
pub(crate) struct Endpoint {
    /// The operation's id, which names the file.
    pub id: &'static str,
    pub tag: &'static str,
    pub path: &'static str,
    pub function: Function,
    /// The scopes of one of these sets are needed, and a credential even for an empty set; none for a route that anybody
    /// may use.
    pub scopes: &'static [&'static [Scope]],
    pub problems: &'static [ProblemCode],
    /// An object with an example `request` and `response`.
    pub example: fn() -> Value,
    pub method: fn() -> HttpMethod,
    pub route: fn() -> MethodRouter<Web>,
    /// Apart from the route: a Lambda function that starts has no use for the description, and making it takes long.
    pub documented: fn() -> UtoipaMethodRouter<Web>,
}

impl Endpoint {
    /// The method, as routes match it.
    pub(crate) fn filter(&self) -> MethodFilter {
        (self.method)().to_method_filter()
    }
}

/// The Lambda functions that serve HTTP. Each has its own rights, time-out and concurrency; its handler in
/// `infra/template.yaml` is its name here in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr, strum::EnumString, strum::VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Function {
    /// Asks the model, and shows actions before they run.
    Plan2,
    /// Accepts actions.
    Execute,
    /// Shows and changes jobs.
    Jobs,
    /// Connects accounts, and keeps webhook endpoints.
    Connect,
    /// Serves agents.
    Mcp,
    /// Serves metrics, documents and files, and answers unknown paths.
    Metrics,
}

/// Declares the endpoint of a file, whose handler is the function `handler`. The method is the one in the handler's
/// `#[utoipa::path]`, and `Authorized` in the handler's arguments checks the scopes declared here: all of `A B`, one of
/// `A | B`, none but a credential for `any`.
macro_rules! endpoint {
    (
        path: $path:literal, function: $function:ident, scope: $($($scope:ident)+)|+, tag: $tag:literal,
        problems: [$($problem:ident),*],
        example: $example:expr,
    ) => {
        pub(crate) const ENDPOINT: $crate::endpoint::Endpoint = $crate::endpoint::Endpoint {
            id: module_path!(),
            tag: $tag,
            path: $path,
            function: $crate::endpoint::Function::$function,
            scopes: endpoint!(@scopes $($($scope)+)|+),
            problems: &[$(engine::ProblemCode::$problem),*],
            example: $example,
            method: $crate::endpoint::method::<__path_handler>,
            route: || axum::routing::on(ENDPOINT.filter(), handler),
            documented: || utoipa_axum::routes!(handler),
        };
    };
    (@scopes none) => { &[] };
    (@scopes any) => { &[&[]] };
    (@scopes $($($scope:ident)+)|+) => { &[$(&[$(domain::Scope::$scope),+]),+] };
}
pub(crate) use endpoint;

/// The method of a handler.
pub(crate) fn method<P: utoipa::Path>() -> HttpMethod {
    P::methods().into_iter().next().expect("utoipa requires a method")
}

/// What most endpoints use.
pub(crate) mod prelude {
    pub(crate) use axum::{Json as Out, extract::State};
    pub(crate) use domain::{JobId, Provider};
    pub(crate) use engine::{Problem, ProblemCode};
    pub(crate) use serde::{Deserialize, Serialize};
    pub(crate) use serde_json::{Value, json};
    pub(crate) use utoipa::{IntoParams, ToSchema};

    pub(crate) use super::endpoint;
    pub(crate) use crate::{
        authorized::{Authorized, ByUseCase},
        body::{Json, NoBody},
        problem::Refused,
        query::{Query, Segment},
        state::Web,
    };

    /// The answer of a handler.
    pub(crate) type Answer<T> = Result<Out<T>, Refused>;

    /// The example in a file.
    pub(crate) fn example(text: &str) -> Value {
        serde_json::from_str(text).expect("a test reads every example")
    }
}
