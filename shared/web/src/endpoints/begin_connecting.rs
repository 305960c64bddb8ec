//! `POST /oauth/{provider}/start`: starts to connect an account.

use axum::{http::header, response::IntoResponse};
use engine::{connect::ConnectOptions, ports::CONSENT_WITHIN};

use super::consent_cookie;
use crate::endpoint::prelude::*;

endpoint! {
    path: "/oauth/{provider}/start", function: Connect, scope: ConnectionsWrite, tag: "connections",
    problems: [NotFound, ActionNotAllowed],
    example: || example(include_str!("begin_connecting.json")),
}

/// Options of a new connection.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StartBody {
    /// Also request the scopes for drafts: then a lost answer leaves no unknown outcome. Google restricts that scope
    /// more than sending.
    #[serde(default)]
    drafts: bool,
    /// Replace a different account that is connected now.
    #[serde(default)]
    replace: bool,
}

/// Where to continue.
#[derive(Serialize, ToSchema)]
struct Started {
    /// The provider's page. Open it within ten minutes, in the browser that got this answer with its cookie.
    authorization_url: String,
    /// The scopes that the page requests.
    scopes: Vec<String>,
}

/// Starts to connect an account to the caller's workspace.
#[utoipa::path(
    post, path = ENDPOINT.path, params(("provider" = String, Path, example = "google")),
    responses((status = 200, description = "Where the account's owner consents", body = Started))
)]
async fn handler(
    State(web): State<Web>,
    may: Authorized,
    Segment(provider): Segment<Provider>,
    Json(body): Json<StartBody>,
) -> Result<impl IntoResponse, Refused> {
    let options = ConnectOptions { drafts: body.drafts, replace: body.replace };
    let asked = web.engine.connector.start(&may.caller, provider, options).await?;
    let cookie = consent_cookie::set(&web, provider, &asked.cookie, CONSENT_WITHIN.as_secs());
    let started = Started { authorization_url: asked.authorization_url, scopes: asked.scopes };
    Ok(([(header::SET_COOKIE, cookie)], Out(started)))
}
