//! `POST /oauth/{provider}/start`: starts to connect an account.

use axum::{http::header, response::IntoResponse};
use engine::{
    connect::{AuthorizationRequest, ConnectOptions},
    ports::CONSENT_WITHIN,
};

use super::consent_cookie;
use crate::endpoint::prelude::*;

endpoint! {
    path: "/oauth/{provider}/start", function: Connect, scope: ConnectionsWrite, tag: "connections",
    problems: [NotFound, ActionNotAllowed],
    example: || example(include_str!("begin_connecting.json")),
}

/// Starts to connect an account to the caller's workspace.
#[utoipa::path(
    post, path = ENDPOINT.path, params(("provider" = String, Path, example = "google")),
    responses((status = 200, description = "Where the account's owner consents", body = AuthorizationRequest))
)]
async fn handler(
    State(web): State<Web>,
    may: Authorized,
    Segment(provider): Segment<Provider>,
    Json(options): Json<ConnectOptions>,
) -> Result<impl IntoResponse, Refused> {
    let started = web.engine.connector.start(&may.caller, provider, options).await?;
    let cookie = consent_cookie::set(&web, provider, &started.cookie, CONSENT_WITHIN.as_secs());
    Ok(([(header::SET_COOKIE, cookie)], Out(started)))
}
