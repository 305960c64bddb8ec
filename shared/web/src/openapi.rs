//! The OpenAPI 3.1 document, made of the handlers and their types.

use std::sync::OnceLock;

use axum::{http::header, response::IntoResponse};
use utoipa::{
    OpenApi as _,
    openapi::{
        OpenApi,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::{problem::ProblemBody, routes};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "AI Orchestrator",
        description = "A sentence becomes a typed plan, and the plan's actions are carried out once.",
    ),
    components(schemas(ProblemBody))
)]
struct Base;

/// The document without its routes.
pub(crate) fn base() -> OpenApi {
    let mut base = Base::openapi();
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("orc_<id>_<secret>").build();
    base.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(scheme));
    base
}

/// The document of the whole API.
pub fn document() -> OpenApi {
    routes::documented().1
}

pub(crate) async fn serve() -> impl IntoResponse {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_json().expect("the document is JSON"));
    ([(header::CONTENT_TYPE, "application/json")], text.as_str())
}
