//! Events of calendars: Google's `events.insert`, `.get` and `.delete`; Graph's events created, deleted, and looked for by
//! `calendarView`.
//!
//! Google takes an id once, whatever becomes of its event. Graph makes no second event of a transaction id: the same request
//! again is answered as the first was. What it answers otherwise is nowhere documented; here it is an error.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State as Shared},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    graph::{EmailAddress, ItemBody},
    mail::{ReadMail, checked},
    refusal,
    state::{Event, Provider, State, Token},
};

const GOOGLE: &[&[&str]] = &[
    &["https://www.googleapis.com/auth/calendar.events.owned"],
    &["https://www.googleapis.com/auth/calendar.events"],
    &["https://www.googleapis.com/auth/calendar"],
];
const GRAPH: &[&[&str]] = &[&["Calendars.ReadWrite"]];

/// What may be written of a Google event, as far as it is known here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GoogleEvent {
    id: String,
    #[serde(default)]
    summary: String,
    description: Option<String>,
    #[serde(rename = "location")]
    _location: Option<String>,
    start: Time,
    end: Time,
    #[serde(default)]
    attendees: Vec<GoogleAttendee>,
    #[serde(default)]
    extended_properties: ExtendedProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Time {
    date_time: String,
    time_zone: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GoogleAttendee {
    email: String,
    #[serde(rename = "displayName")]
    _display_name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct ExtendedProperties {
    #[serde(default)]
    private: BTreeMap<String, String>,
}

/// The same of a Graph event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GraphEvent {
    #[serde(default)]
    subject: String,
    body: Option<ItemBody>,
    start: Time,
    end: Time,
    #[serde(rename = "location")]
    _location: Option<Location>,
    #[serde(default)]
    attendees: Vec<GraphAttendee>,
    transaction_id: String,
    #[serde(default)]
    single_value_extended_properties: Vec<Property>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Location {
    #[serde(rename = "displayName")]
    _display_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GraphAttendee {
    email_address: EmailAddress,
    r#type: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Property {
    id: String,
    #[serde(rename = "value")]
    _value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Insert {
    /// Google tells nobody unless it is asked to: the program always says which.
    send_updates: String,
}

pub(crate) fn router() -> Router<Arc<State>> {
    Router::new()
        .route("/calendar/v3/calendars/{calendar}/events", post(insert))
        .route("/calendar/v3/calendars/primary/events/{id}", get(look).delete(google_delete))
        .route("/v1.0/me/events", post(create))
        .route("/v1.0/me/events/{id}", delete(graph_delete))
}

async fn insert(
    Shared(state): Shared<Arc<State>>,
    Path(calendar): Path<String>,
    query: Result<Query<Insert>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let account = state.authorize(&headers, Provider::Google, GOOGLE)?;
    if calendar != "primary" {
        return Err(refusal(Provider::Google, StatusCode::NOT_FOUND, "notFound", "Not Found"));
    }
    let bad = |message: &str| bad(Provider::Google, "invalid", message);
    let Query(Insert { send_updates }) = query.map_err(|error| bad(&error.to_string()))?;
    if !["all", "externalOnly", "none"].contains(&send_updates.as_str()) {
        return Err(bad("Invalid value for sendUpdates"));
    }
    let (raw, event): (Value, GoogleEvent) = read(Provider::Google, &headers, &body)?;
    if !(5..=1024).contains(&event.id.len()) || !event.id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'v')) {
        return Err(bad("Invalid resource id value."));
    }
    let properties = &event.extended_properties.private;
    if properties.iter().any(|(key, value)| key.len() > 44 || value.len() > 1024) {
        return Err(bad("An extended property is too long"));
    }
    let [starts, ends] = [&event.start, &event.end].map(|time| moment(time, true));
    let (starts, ends) = (starts.map_err(|error| bad(&error))?, ends.map_err(|error| bad(&error))?);
    if ends <= starts {
        return Err(refusal(
            Provider::Google,
            StatusCode::BAD_REQUEST,
            "timeRangeEmpty",
            "The specified time range is empty.",
        ));
    }
    let attendees = event.attendees.iter().map(|attendee| checked(&attendee.email)).collect::<Result<Vec<_>, _>>();
    let mail = ReadMail {
        to: attendees.map_err(|_| bad("Invalid attendee email."))?,
        subject: event.summary,
        text: event.description,
        raw: raw.to_string(),
        ..ReadMail::default()
    };
    let kept = Event::new(Provider::Google, event.id.clone(), event.id, raw, starts..ends);
    let shown = google_shown(&kept, &account);
    if state.put_event(kept, mail, &account).is_some() {
        let message = "The requested identifier already exists.";
        return Err(refusal(Provider::Google, StatusCode::CONFLICT, "duplicate", message));
    }
    Ok(Json(shown).into_response())
}

async fn look(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let account = state.authorize(&headers, Provider::Google, GOOGLE)?;
    let event = state.event(Provider::Google, &id, &account);
    let event = event.ok_or_else(|| refusal(Provider::Google, StatusCode::NOT_FOUND, "notFound", "Not Found"))?;
    Ok(Json(google_shown(&event, &account)).into_response())
}

async fn google_delete(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let account = state.authorize(&headers, Provider::Google, GOOGLE)?;
    match state.delete_event(Provider::Google, &id, &account) {
        Some(true) => Ok(StatusCode::NO_CONTENT.into_response()),
        Some(false) => Err(refusal(Provider::Google, StatusCode::GONE, "deleted", "Resource has been deleted")),
        None => Err(refusal(Provider::Google, StatusCode::NOT_FOUND, "notFound", "Not Found")),
    }
}

/// Times have the offset of their zone, and the account that made the event organises it.
pub(crate) fn google_shown(event: &Event, account: &Token) -> Value {
    let mut shown = event.raw.clone();
    for (end, at) in [("start", event.takes.start), ("end", event.takes.end)] {
        let zone = shown[end]["timeZone"].as_str().and_then(|zone| TimeZone::get(zone).ok()).unwrap_or(TimeZone::UTC);
        shown[end]["dateTime"] = at.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string().into();
    }
    for attendee in shown.get_mut("attendees").and_then(Value::as_array_mut).into_iter().flatten() {
        attendee["responseStatus"] = json!("needsAction");
    }
    shown["organizer"] = json!({ "email": account.account(), "self": true });
    shown["kind"] = json!("calendar#event");
    shown["status"] = json!(if event.is_deleted { "cancelled" } else { "confirmed" });
    shown["htmlLink"] = json!(format!("https://calendar.google.com/event?eid={}", event.id));
    shown
}

async fn create(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Result<Response, Response> {
    let account = state.authorize(&headers, Provider::Microsoft, GRAPH)?;
    let bad = |code: &str, message: &str| bad(Provider::Microsoft, code, message);
    let (raw, event): (Value, GraphEvent) = read(Provider::Microsoft, &headers, &body)?;
    let [starts, ends] = [&event.start, &event.end].map(|time| moment(time, false));
    let invalid_time = |error: String| bad("ErrorPropertyValidationFailure", &error);
    let (starts, ends) = (starts.map_err(invalid_time)?, ends.map_err(invalid_time)?);
    if ends <= starts {
        return Err(bad("ErrorPropertyValidationFailure", "End is before start."));
    }
    if event.attendees.len() > 500 || event.attendees.iter().any(|attendee| attendee.r#type != "required") {
        return Err(bad("RequestBodyRead", "attendees"));
    }
    if event.body.as_ref().is_some_and(|body| !["text", "html"].contains(&body.content_type.as_str())) {
        return Err(bad("RequestBodyRead", "contentType is text or html"));
    }
    let is_named = |id: &str| id.starts_with("String {") && id.contains("} Name ");
    if !event.single_value_extended_properties.iter().all(|property| is_named(&property.id)) {
        return Err(bad("ErrorInvalidProperty", "The id of an extended property is malformed"));
    }
    let attendees = event.attendees.iter().map(|attendee| checked(&attendee.email_address.address));
    let mail = ReadMail {
        to: attendees.collect::<Result<_, _>>().map_err(|error| bad("ErrorInvalidRecipients", &error))?,
        subject: event.subject,
        text: event.body.map(|body| body.content),
        raw: raw.to_string(),
        ..ReadMail::default()
    };
    let id = format!("AAMkEv{}=", state.number());
    let kept = Event::new(Provider::Microsoft, id, event.transaction_id, raw, starts..ends);
    let shown = |event: &Event| (StatusCode::CREATED, Json(graph_shown(event, true))).into_response();
    match state.put_event(kept.clone(), mail, &account) {
        None => Ok(shown(&kept)),
        Some(known) if known.raw == kept.raw && !known.is_deleted => Ok(shown(&known)),
        Some(_) => {
            let message = "The transactionId was used before.";
            Err(refusal(Provider::Microsoft, StatusCode::CONFLICT, "ErrorDuplicateTransactionId", message))
        }
    }
}

async fn graph_delete(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let account = state.authorize(&headers, Provider::Microsoft, GRAPH)?;
    match state.delete_event(Provider::Microsoft, &id, &account) {
        Some(true) => Ok(StatusCode::NO_CONTENT.into_response()),
        _ => Err(refusal(Provider::Microsoft, StatusCode::NOT_FOUND, "ErrorItemNotFound", "The item was not found.")),
    }
}

pub(crate) fn graph_shown(event: &Event, expands: bool) -> Value {
    let mut shown = event.raw.clone();
    shown["id"] = json!(event.id);
    shown["webLink"] = json!(format!("https://outlook.office365.com/owa/?itemid={}", event.id));
    if !expands && let Some(fields) = shown.as_object_mut() {
        fields.remove("singleValueExtendedProperties");
    }
    shown
}

/// The moment of a time in its zone. A time that is no moment is refused: a provider would choose one.
fn moment(time: &Time, may_have_offset: bool) -> Result<Timestamp, String> {
    let zone = TimeZone::get(&time.time_zone).map_err(|_| format!("{} is no time zone", time.time_zone))?;
    let has_offset =
        time.date_time.ends_with('Z') || time.date_time.rsplit('T').next().is_some_and(|t| t.contains(['+', '-']));
    if has_offset {
        let at = time.date_time.parse::<Timestamp>().ok().filter(|_| may_have_offset);
        return at.ok_or_else(|| format!("{} is no time", time.date_time));
    }
    let wall: DateTime = time.date_time.parse().map_err(|_| format!("{} is no time", time.date_time))?;
    let moment = zone.to_ambiguous_timestamp(wall).unambiguous();
    moment.map_err(|_| format!("{wall} is no moment in {}", time.time_zone))
}

#[expect(clippy::result_large_err, reason = "the error is the answer")]
fn read<T: DeserializeOwned>(provider: Provider, headers: &HeaderMap, body: &[u8]) -> Result<(Value, T), Response> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.split(';').next().map(str::trim) != Some("application/json") {
        return Err(bad(provider, "badContent", "the content type is not application/json"));
    }
    let read = |error: serde_json::Error| bad(provider, "parseError", &error.to_string());
    let raw: Value = serde_json::from_slice(body).map_err(read)?;
    Ok((raw.clone(), serde_json::from_value(raw).map_err(read)?))
}

fn bad(provider: Provider, code: &str, message: &str) -> Response {
    refusal(provider, StatusCode::BAD_REQUEST, code, message)
}
