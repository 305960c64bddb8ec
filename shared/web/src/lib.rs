//! HTTP. Each file in [`endpoints`] declares one endpoint: its path, scope, problems, example and Lambda function.
//! The router, the OpenAPI document and the check of `infra/template.yaml` follow from these declarations.

pub mod body;
pub mod problem;

mod accept;
mod authenticator;
mod authorized;
mod endpoint;
mod endpoints;
mod json;
mod mcp;
mod middleware;
mod openapi;
mod page;
mod paging;
mod problem_kind;
mod query;
mod router;
mod state;
mod static_files;

pub use authenticator::Authenticator;
pub use endpoint::Function;
pub use json::read as read_json;
pub use middleware::{CallerAddress, CorrelationId, Invocation};
pub use openapi::document as openapi_document;
pub use router::{router, router_of, routes};
pub use state::Web;
