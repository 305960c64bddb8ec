//! HTTP: one file an endpoint under [`routes`], and around them who may come in ([`door`]), how a
//! body is read ([`body`]), and the one map from errors to answers ([`problem`]).

pub mod body;
pub mod door;
pub mod problem;
pub mod routes;

mod cors;
mod files;
mod openapi;
mod page;
mod request;
mod state;

pub use openapi::document as openapi_document;
pub use request::CorrelationId;
pub use routes::{Function, ROUTES, router, router_of};
pub use state::Web;
