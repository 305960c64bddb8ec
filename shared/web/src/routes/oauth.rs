use axum::{
    Json as Out,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use domain::{Address, Provider};
use engine::{
    Problem, ProblemCode,
    accounts::Connection,
    connect::{self, ConnectOptions},
    ports::CONSENT_WITHIN,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Web,
    body::{Json, Query, Segment},
    door::{ActionsPreview, ConnectionsWrite, May},
    page::{self, AsPage},
    problem::{Problems, Refused},
};

/// A workspace's connection with a provider.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the answer")]
pub(crate) struct ConnectionStatus {
    #[schema(value_type = String, example = "google")]
    provider: Provider,
    connected: bool,
    /// `live`, `sandbox`, `needs_reauth` or `not_connected`.
    mode: &'static str,
    /// The address that sends, where it is known.
    address: Option<String>,
    /// What the account's owner granted, as the provider names it.
    scopes: Vec<String>,
    /// The provider wants the owner's consent again.
    needs_reauth: bool,
    /// Mails are made as drafts first, so that a lost answer leaves no doubt whether one went.
    drafts: bool,
    /// An account can be connected here: the operator has registered a client with the provider.
    can_connect: bool,
}

/// Whether a provider is connected, and as which address.
#[utoipa::path(
    get, path = "/oauth/{provider}/status", operation_id = "connection_status", tag = "connections", security(("key" = ["actions:preview"])),
    params(("provider" = String, Path, example = "google")),
    responses(
        (status = 200, description = "The connection", body = ConnectionStatus),
        Problems,
    )
)]
pub(crate) async fn status(
    State(web): State<Web>,
    may: May<ActionsPreview>,
    Segment(provider): Segment,
) -> Result<Out<ConnectionStatus>, Refused> {
    let provider = known(&provider)?;
    let shown = web.engine.connector.show(&may.caller, provider).await?;
    let connection = shown.connection;
    Ok(Out(ConnectionStatus {
        provider,
        connected: matches!(connection, Connection::Live(_)),
        mode: connection.mode(),
        address: connection.address().map(Address::addr_spec),
        scopes: connection.access().map(|access| access.scopes.clone()).unwrap_or_default(),
        needs_reauth: matches!(connection, Connection::NeedsReauth(_)),
        drafts: shown.drafts,
        can_connect: shown.can_connect,
    }))
}

/// What is wanted of a connection.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StartBody {
    /// Ask for the scopes that make drafts too: then a lost answer leaves no doubt whether a mail went. Google
    /// restricts that scope more than sending alone.
    #[serde(default)]
    drafts: bool,
    /// Let another account take the place of the one that is connected.
    #[serde(default)]
    replace: bool,
}

/// Where to go on.
#[derive(Serialize, ToSchema)]
pub(crate) struct Started {
    /// The provider's page, to be opened by the browser that got this answer with its cookie, within ten minutes.
    authorization_url: String,
    /// What will be asked for.
    scopes: Vec<String>,
}

/// Begins to connect an account of the caller's workspace.
#[utoipa::path(
    post, path = "/oauth/{provider}/start", operation_id = "begin_connecting", tag = "connections", security(("key" = ["connections:write"])),
    params(("provider" = String, Path, example = "google")),
    request_body = StartBody,
    responses(
        (status = 200, description = "Where the account's owner consents", body = Started),
        Problems,
    )
)]
pub(crate) async fn start(
    State(web): State<Web>,
    may: May<ConnectionsWrite>,
    Segment(provider): Segment,
    Json(body): Json<StartBody>,
) -> Result<Response, Refused> {
    let provider = known(&provider)?;
    let options = ConnectOptions { drafts: body.drafts, replace: body.replace };
    let asked = web.engine.connector.start(&may.caller, provider, options).await?;
    let cookie = set_cookie(&web, provider, &asked.cookie, CONSENT_WITHIN.as_secs());
    let answer = Started { authorization_url: asked.authorization_url, scopes: asked.scopes };
    Ok(([(header::SET_COOKIE, cookie)], Out(answer)).into_response())
}

/// What a provider sends back; it may send more beside it.
#[derive(Deserialize)]
pub(crate) struct Callback {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

/// The way back from the provider's page, for a browser: its state and cookie are its credential.
#[utoipa::path(
    get, path = "/oauth/{provider}/callback", operation_id = "end_connecting", tag = "connections",
    params(
        ("provider" = String, Path, example = "google"),
        ("state" = Option<String>, Query), ("code" = Option<String>, Query), ("error" = Option<String>, Query),
    ),
    responses(
        (status = 200, description = "The account is connected; a page says so", content_type = "text/html"),
        Problems,
    )
)]
pub(crate) async fn callback(
    State(web): State<Web>,
    Segment(provider): Segment,
    headers: HeaderMap,
    query: Result<Query<Callback>, Refused>,
) -> Response {
    let mut response = match finish(&web, &provider, &headers, query).await {
        Ok(response) => response,
        Err(refused) => refused.into_response(),
    };
    if !wants_json(&headers) {
        response.extensions_mut().insert(AsPage);
    }
    response
}

async fn finish(
    web: &Web,
    provider: &str,
    headers: &HeaderMap,
    query: Result<Query<Callback>, Refused>,
) -> Result<Response, Refused> {
    let provider = known(provider)?;
    let Query(Callback { state, code, error }) = query?;
    let cookie = cookie(headers, &cookie_name(web, provider));
    let address = web.engine.connector.finish(provider, connect::Callback { state, cookie, code, error }).await?;
    let says = format!("This workspace sends as {} from now on. You can close this page.", address.addr_spec());
    let page = page::page("The account is connected", &[&says], Some(("/dev/action-runner.html", "Action runner")));
    // It was good once.
    Ok(([(header::SET_COOKIE, set_cookie(web, provider, "", 0))], page).into_response())
}

/// What became of a connection.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ended {
    #[schema(value_type = String, example = "google")]
    provider: Provider,
    /// There was a connection, and it is gone.
    disconnected: bool,
    /// The provider has ended the tokens too.
    revoked: bool,
    /// Where the account's owner ends the rest, if the provider has not.
    revoke_at: Option<&'static str>,
}

/// Ends a connection: revokes its tokens at the provider, where that can be done, and forgets them.
#[utoipa::path(
    delete, path = "/oauth/{provider}", operation_id = "disconnect_account", tag = "connections", security(("key" = ["connections:write"])),
    params(("provider" = String, Path, example = "google")),
    responses(
        (status = 200, description = "There is no connection any more", body = Ended),
        Problems,
    )
)]
pub(crate) async fn disconnect(
    State(web): State<Web>,
    may: May<ConnectionsWrite>,
    Segment(provider): Segment,
) -> Result<Out<Ended>, Refused> {
    let provider = known(&provider)?;
    let ended = web.engine.connector.disconnect(&may.caller, provider).await?;
    let revoke_at = match provider {
        Provider::Google => "https://myaccount.google.com/connections",
        // Microsoft has no endpoint that ends a refresh token.
        Provider::Microsoft => "https://myapplications.microsoft.com",
    };
    Ok(Out(Ended {
        provider,
        disconnected: ended.was_connected,
        revoked: ended.revoked,
        revoke_at: (ended.was_connected && !ended.revoked).then_some(revoke_at),
    }))
}

fn known(provider: &str) -> Result<Provider, Problem> {
    provider
        .parse()
        .map_err(|_| Problem::new(ProblemCode::NotFound, "there is no such provider; there are google and microsoft"))
}

/// A program that reads problems says so; a browser asks for HTML, and who asks for nothing gets it too.
fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.contains("json") && !accept.contains("text/html")
}

/// Over https a browser takes the prefix from this very host alone.
fn cookie_name(web: &Web, provider: Provider) -> String {
    let prefix = if is_https(web) { "__Host-" } else { "" };
    format!("{prefix}orchestrator-{provider}")
}

/// `Lax`, since the way back begins at the provider's page.
fn set_cookie(web: &Web, provider: Provider, value: &str, seconds: u64) -> HeaderValue {
    let secure = if is_https(web) { "; Secure" } else { "" };
    let name = cookie_name(web, provider);
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&cookie).expect("names and hex digits are ASCII")
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

fn is_https(web: &Web) -> bool {
    web.public_url.starts_with("https://")
}
