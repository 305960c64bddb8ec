//! `GET /oauth/{provider}/callback`: finishes connecting an account.

use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use engine::connect;

use super::consent_cookie;
use crate::{
    accept,
    endpoint::prelude::*,
    page::{AsPage, page},
};

endpoint! {
    path: "/oauth/{provider}/callback", function: Connect, scope: none, tag: "connections",
    problems: [
        NotFound, AuthorizationInvalid, AuthorizationDenied, AccountDiffers, ProviderUnavailable, StoreUnavailable, Internal
    ],
    example: || json!({}),
}

/// What the provider returns; it may add other parameters.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Callback {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

/// Finishes connecting an account. The provider's page leads the browser here; state and cookie are the credential.
#[utoipa::path(
    get, path = ENDPOINT.path, params(("provider" = String, Path, example = "google"), Callback),
    responses((status = 200, description = "A page: the account is connected", content_type = "text/html"))
)]
async fn handler(
    State(web): State<Web>,
    provider: Result<Segment<Provider>, Refused>,
    headers: HeaderMap,
    query: Result<Query<Callback>, Refused>,
) -> Response {
    let finished = async {
        let Segment(provider) = provider?;
        let Query(Callback { state, code, error }) = query?;
        let cookie = consent_cookie::get(&web, provider, &headers);
        let name = web.engine.connector.finish(provider, connect::Callback { state, cookie, code, error }).await?;
        let connected = format!("This workspace now acts as {name}. You can close this page.");
        let page = page("The account is connected", &[&connected], ("/dev/action-runner.html", "To the page"));
        // The cookie works once.
        Ok::<_, Refused>(([(header::SET_COOKIE, consent_cookie::set(&web, provider, "", 0))], page))
    };
    let mut response = finished.await.into_response();
    if !accept::prefers_json(&headers) {
        response.extensions_mut().insert(AsPage);
    }
    response
}
