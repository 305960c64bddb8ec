//! Strict stand-ins for the endpoints of Gmail, Google Calendar, Google's People and Microsoft Graph, which count deliveries.
//!
//! One server on loopback plays all parts. It is as strict as the real ones, where strictness is
//! known: bearer tokens and their scopes, content types, base64url, MIME, unknown keys, addresses.
//! What it delivers it keeps, under a key by which copies are counted: the word `job:…` of the
//! text where there is one, else the subject. An event is a delivery to its attendees.
//!
//! Gmail is at [`Fakes::gmail_url`], Graph at [`Fakes::graph_url`] (`/v1.0` of the same server); Google's calendar and contacts
//! are at [`Fakes::calendar_url`] and [`Fakes::people_url`]. What they hold is [`Holdings`], and the events that were created.
//! An operation is one of `gmail.messages.send`, `gmail.drafts.create`, `gmail.drafts.send`,
//! `gmail.drafts.delete`, `calendar.events.insert`, `calendar.events.get`, `calendar.events.delete`,
//! `graph.events.create`, `graph.events.delete`, `graph.sendMail`, `graph.messages.create`, `graph.messages.get`,
//! `graph.messages.send`, `graph.messages.delete`, `people.searchContacts`, `people.searchDirectoryPeople`,
//! `calendar.events.list`, `calendar.freebusy.query`, `graph.contacts`, `graph.users`, `graph.calendarView`, `google.token`, `microsoft.token`, `google.revoke` and
//! `oauth.keys`.
//!
//! # The control plane
//!
//! Other processes steer the server over HTTP, in JSON:
//!
//! | route | what |
//! | --- | --- |
//! | `POST /_fakes/tokens` | a [`Token`]: `{"token": "t", "provider": "google", "scopes": ["…"], "address": "ana@example.com", "expires_in_s": 3600}`, the last two optional |
//! | `POST /_fakes/faults` | `{"next": [{"fault": "accept-then-close", "on": "gmail.drafts.send"}], "random": {"seed": 7, "percent": 20, "faults": [{"fault": "hang"}]}}`, each optional: `next` is added to the queue, `random` replaces the chances there were (0 percent stops them) |
//! | `POST /_fakes/consents` | what the person at the providers' pages does from now on, [`oauth::Consents`]: `{"expires_in_s": 1}`, each field optional |
//! | `POST /_fakes/holdings` | what an account of a provider holds from now on: [`Holdings`], and `"provider": "google"` beside them |
//! | `GET /_fakes/exchanges` | every [`Exchange`] about mails, calendars and contacts, oldest first |
//! | `GET /_fakes/deliveries` | `{"total": 1, "counts": {"job:1": 1}, "deliveries": […], "operations": […]}` |
//! | `POST /_fakes/drafts/delete` | deletes every draft, as a person would |
//! | `POST /_fakes/events/delete` | deletes every event, as a person would |
//! | `POST /_fakes/reset` | forgets everything: tokens, faults, drafts, events, deliveries |
//!
//! The kinds of [`Fault`] are written as their names in kebab case, their fields beside them:
//! `{"fault": "too-many-requests", "retry_after_s": 3}`.
//!
//! Where accounts are connected is a part of its own, [`oauth`].
//!
//! The model is a part of its own, [`model`], scripted in the same process; so is what is on the way to it, [`way`].
//!
//! # Adding a part
//!
//! A module with `pub(crate) fn router() -> Router<Arc<State>>`, merged in `router`; a line of
//! `operation` for each route that faults shall strike.

mod calendar_reads;
mod control;
mod events;
mod exchange;
mod fault;
mod gmail;
mod graph;
mod graph_reads;
mod listener;
mod mail;
pub mod model;
pub mod oauth;
mod people;
mod query;
mod state;
pub mod way;
mod wire;

use std::{io, net::Ipv4Addr, sync::Arc};

use axum::{
    Router,
    http::{Method, StatusCode},
    middleware,
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};

pub use exchange::Exchange;
pub use fault::{Fault, RandomFaults, Scripted};
pub use listener::Listener;
pub use mail::Delivery;
pub use state::{Holdings, Provider, Token};

use state::State;

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Fakes {
    base_url: String,
    state: Arc<State>,
    server: JoinHandle<io::Result<()>>,
}

impl Fakes {
    /// Starts a server on a free port of 127.0.0.1.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(0).await
    }

    /// Starts a server on this port of 127.0.0.1.
    pub async fn start_on(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let base_url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(State::default());
        state.set_base_url(&base_url);
        let app = router(Arc::clone(&state)).into_make_service_with_connect_info::<wire::Switch>();
        let server = tokio::spawn(axum::serve(wire::Listener(listener), app).into_future());
        Ok(Self { base_url, state, server })
    }

    /// Where the server is, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// What GMAIL_BASE_URL is to be.
    pub fn gmail_url(&self) -> String {
        self.base_url.clone()
    }

    /// What GRAPH_BASE_URL is to be.
    pub fn graph_url(&self) -> String {
        format!("{}/v1.0", self.base_url)
    }

    /// What CALENDAR_BASE_URL is to be.
    pub fn calendar_url(&self) -> String {
        format!("{}/calendar/v3", self.base_url)
    }

    /// What PEOPLE_BASE_URL is to be.
    pub fn people_url(&self) -> String {
        format!("{}/people/v1", self.base_url)
    }

    /// What an account of this provider holds from now on.
    pub fn hold(&self, provider: Provider, holdings: Holdings) {
        self.state.hold(provider, holdings);
    }

    /// The exchanges about mails, calendars and contacts, oldest first.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.state.exchanges()
    }

    /// What the environment of a program is to hold to connect accounts here, beside where Gmail and Graph are.
    pub fn oauth_variables(&self) -> Vec<(String, String)> {
        let mut variables = vec![("GOOGLE_REVOKE_URL".to_owned(), format!("{}/oauth/google/revoke", self.base_url))];
        for (name, path) in [("GOOGLE", "google"), ("MICROSOFT", "microsoft")] {
            let url = |end: &str| format!("{}/oauth/{path}/{end}", self.base_url);
            variables.extend([
                (format!("{name}_CLIENT_ID"), oauth::CLIENT_ID.to_owned()),
                (format!("{name}_CLIENT_SECRET"), oauth::CLIENT_SECRET.to_owned()),
                (format!("{name}_AUTH_URL"), url("auth")),
                (format!("{name}_TOKEN_URL"), url("token")),
            ]);
        }
        variables
    }

    /// What the person at the providers' pages does from now on.
    pub fn consents(&self, consents: oauth::Consents) {
        self.state.oauth().consents = consents;
    }

    /// How often a token was asked for by a refresh token.
    pub fn refreshes(&self) -> usize {
        self.state.oauth().refreshes
    }

    /// How many refresh tokens were revoked.
    pub fn revoked(&self) -> usize {
        self.state.oauth().revoked
    }

    /// Ends every refresh token, as a person does who takes the consent back.
    pub fn end_refresh_tokens(&self) {
        self.state.oauth().end_refresh_tokens();
    }

    /// Ends every access token.
    pub fn end_access_tokens(&self) {
        self.state.end_access_tokens();
    }

    /// Makes a token known.
    pub fn add_token(&self, token: Token) {
        self.state.add_token(token);
    }

    /// Adds a fault to the queue; it strikes the next request, or the next of its operation.
    pub fn script(&self, fault: impl Into<Scripted>) {
        self.state.script([fault.into()]);
    }

    /// Forgets the faults that are still in the queue.
    pub fn unscript(&self) {
        self.state.unscript();
    }

    /// Strikes at random from now on; none stops it.
    pub fn randomly(&self, faults: Option<RandomFaults>) {
        self.state.randomly(faults);
    }

    /// Deletes every draft, as a person would.
    pub fn delete_drafts(&self) {
        self.state.delete_drafts();
    }

    /// Deletes every event, as a person would.
    pub fn delete_events(&self) {
        self.state.delete_events();
    }

    /// What was delivered, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.state.deliveries()
    }

    /// How often the mail of this key was delivered.
    pub fn count(&self, key: &str) -> usize {
        self.deliveries().iter().filter(|delivery| delivery.key == key).count()
    }

    /// The operations that were asked for, oldest first, struck ones too.
    pub fn operations(&self) -> Vec<&'static str> {
        self.state.operations()
    }

    /// Forgets everything.
    pub fn reset(&self) {
        self.state.reset();
    }

    /// Returns when the server has ended, which it does only on an error.
    pub async fn ended(mut self) -> io::Result<()> {
        (&mut self.server).await.map_err(io::Error::other)?
    }
}

impl Drop for Fakes {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn router(state: Arc<State>) -> Router {
    let mails = gmail::router().merge(graph::router());
    let calendars = events::router().merge(calendar_reads::router()).merge(graph_reads::router());
    let accounts = mails.merge(calendars).merge(people::router());
    accounts
        .layer(middleware::from_fn_with_state(Arc::clone(&state), exchange::note))
        .merge(oauth::router())
        .layer(middleware::from_fn_with_state(Arc::clone(&state), fault::strike))
        .merge(control::router())
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_route)
        .with_state(state)
}

/// The name of what a request asks for; none where no fault shall strike.
fn operation(method: &Method, path: &str) -> Option<&'static str> {
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match (method.as_str(), segments.as_slice()) {
        ("POST", ["gmail", "v1", "users", _, "messages", "send"]) => Some("gmail.messages.send"),
        ("POST", ["gmail", "v1", "users", _, "drafts"]) => Some("gmail.drafts.create"),
        ("POST", ["gmail", "v1", "users", _, "drafts", "send"]) => Some("gmail.drafts.send"),
        ("DELETE", ["gmail", "v1", "users", _, "drafts", _]) => Some("gmail.drafts.delete"),
        ("POST", ["calendar", "v3", "calendars", _, "events"]) => Some("calendar.events.insert"),
        ("GET", ["calendar", "v3", "calendars", _, "events", _]) => Some("calendar.events.get"),
        ("DELETE", ["calendar", "v3", "calendars", _, "events", _]) => Some("calendar.events.delete"),
        ("POST", ["v1.0", "me", "events"]) => Some("graph.events.create"),
        ("DELETE", ["v1.0", "me", "events", _]) => Some("graph.events.delete"),
        ("POST", ["v1.0", "me", "sendMail"]) => Some("graph.sendMail"),
        ("POST", ["v1.0", "me", "messages"]) => Some("graph.messages.create"),
        ("GET", ["v1.0", "me", "messages", _]) => Some("graph.messages.get"),
        ("POST", ["v1.0", "me", "messages", _, "send"]) => Some("graph.messages.send"),
        ("DELETE", ["v1.0", "me", "messages", _]) => Some("graph.messages.delete"),
        ("GET", ["people", "v1", "people:searchContacts"]) => Some("people.searchContacts"),
        ("GET", ["people", "v1", "people:searchDirectoryPeople"]) => Some("people.searchDirectoryPeople"),
        ("GET", ["calendar", "v3", "calendars", _, "events"]) => Some("calendar.events.list"),
        ("POST", ["calendar", "v3", "freeBusy"]) => Some("calendar.freebusy.query"),
        ("GET", ["v1.0", "me", "contacts"]) => Some("graph.contacts"),
        ("GET", ["v1.0", "users"]) => Some("graph.users"),
        ("GET", ["v1.0", "me", "calendarView"]) => Some("graph.calendarView"),
        ("POST", ["oauth", "google", "token"]) => Some("google.token"),
        ("POST", ["oauth", "microsoft", "token"]) => Some("microsoft.token"),
        ("POST", ["oauth", "google", "revoke"]) => Some("google.revoke"),
        ("GET", ["oauth", "keys"]) => Some("oauth.keys"),
        _ => None,
    }
}

async fn unknown_route() -> Response {
    (StatusCode::NOT_FOUND, axum::Json(json!({ "unknown": "route or method" }))).into_response()
}

/// What a provider says no with, in its own shape: Google's has reasons, Graph's has codes.
fn refusal(provider: Provider, status: StatusCode, code: &str, message: &str) -> Response {
    let body = match provider {
        Provider::Google => json!({ "error": {
            "code": status.as_u16(),
            "message": message,
            "status": google_status(status),
            "errors": [{ "message": message, "domain": "global", "reason": code }],
        } }),
        Provider::Microsoft => json!({ "error": { "code": code, "message": message, "innerError": {} } }),
    };
    (status, axum::Json(body)).into_response()
}

fn google_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}
