//! The Calendar API, as far as it reads: `events.list` and `freebusy.query`.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State as Shared},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    events::google_shown,
    query::{Known, masked},
    refusal,
    state::{Provider, State, Token},
};

/// Each may list the events of the account's own calendar.
const EVENTS: &[&[&str]] = &[
    &["https://www.googleapis.com/auth/calendar"],
    &["https://www.googleapis.com/auth/calendar.readonly"],
    &["https://www.googleapis.com/auth/calendar.events"],
    &["https://www.googleapis.com/auth/calendar.events.readonly"],
    &["https://www.googleapis.com/auth/calendar.events.owned"],
    &["https://www.googleapis.com/auth/calendar.events.owned.readonly"],
];
const FREE_BUSY: &[&[&str]] = &[
    &["https://www.googleapis.com/auth/calendar"],
    &["https://www.googleapis.com/auth/calendar.readonly"],
    &["https://www.googleapis.com/auth/calendar.freebusy"],
    &["https://www.googleapis.com/auth/calendar.events.freebusy"],
];
const LIST_PARAMETERS: [&str; 16] = [
    "alwaysIncludeEmail",
    "eventTypes",
    "fields",
    "iCalUID",
    "maxAttendees",
    "maxResults",
    "orderBy",
    "pageToken",
    "privateExtendedProperty",
    "q",
    "showDeleted",
    "showHiddenInvitations",
    "singleEvents",
    "timeMax",
    "timeMin",
    "timeZone",
];

pub(crate) fn router() -> Router<Arc<State>> {
    Router::new()
        .route("/calendar/v3/calendars/{calendar}/events", get(list))
        .route("/calendar/v3/freeBusy", post(free_busy))
}

async fn list(
    Shared(state): Shared<Arc<State>>,
    Path(calendar): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Response> {
    let account = state.authorize(&headers, Provider::Google, EVENTS)?;
    if !is_own(&calendar, &account) {
        return Err(refusal(Provider::Google, StatusCode::NOT_FOUND, "notFound", "Not Found"));
    }
    let query = Known::read(Provider::Google, &uri, &LIST_PARAMETERS)?;
    let singly = query.get("singleEvents").unwrap_or("false") == "true";
    if query
        .get("orderBy")
        .is_some_and(|order| order == "startTime" && !singly || order != "startTime" && order != "updated")
    {
        return Err(query.bad("The requested ordering is not available for the particular query."));
    }
    let (from, to) = (query.time("timeMin")?, query.time("timeMax")?);
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return Err(query.bad("The specified time range is empty."));
    }
    let types = query.all("eventTypes");
    let deleted = query.get("showDeleted") == Some("true");
    let is_shown = |event: &Value| {
        let touches = event_time(event)
            .is_none_or(|(start, end)| from.is_none_or(|from| end > from) && to.is_none_or(|to| start < to));
        let kind = event["eventType"].as_str().unwrap_or("default");
        touches && (deleted || event["status"] != "cancelled") && (types.is_empty() || types.contains(&kind))
    };
    let mut events = held(&state, &account);
    events.retain(is_shown);
    events.sort_by_key(event_time);
    let (size, start) = (query.number("maxResults", 250, 2500)?, query.start("pageToken")?);
    let page: Vec<_> = events.iter().skip(start).take(size).collect();
    let mut answer = json!({ "kind": "calendar#events", "items": page });
    if start + size < events.len() {
        answer["nextPageToken"] = json!((start + size).to_string());
    }
    let Some(mask) = query.get("fields") else { return Ok(Json(answer).into_response()) };
    let answer = masked(&answer, mask).ok_or_else(|| query.bad("Invalid field selection"))?;
    Ok(Json(answer).into_response())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FreeBusyRequest {
    time_min: Timestamp,
    time_max: Timestamp,
    #[serde(default, rename = "timeZone")]
    _time_zone: Option<String>,
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    id: String,
}

async fn free_busy(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Result<Response, Response> {
    let account = state.authorize(&headers, Provider::Google, FREE_BUSY)?;
    let bad = |message: &str| refusal(Provider::Google, StatusCode::BAD_REQUEST, "badRequest", message);
    let request: FreeBusyRequest = serde_json::from_slice(&body).map_err(|error| bad(&error.to_string()))?;
    if request.time_min >= request.time_max {
        return Err(bad("The specified time range is empty."));
    }
    let busy: Vec<_> = held(&state, &account)
        .iter()
        .filter(|event| takes_time(event))
        .filter_map(event_time)
        .map(|(start, end)| (start.max(request.time_min), end.min(request.time_max)))
        .filter(|(start, end)| start < end)
        .map(|(start, end)| json!({ "start": start, "end": end }))
        .collect();
    let calendars = request.items.into_iter().map(|Item { id }| {
        let known = is_own(&id, &account);
        let errors = json!([{ "domain": "global", "reason": "notFound" }]);
        let calendar = if known { json!({ "busy": busy }) } else { json!({ "errors": errors, "busy": [] }) };
        (id, calendar)
    });
    let calendars = Value::Object(calendars.collect::<Map<_, _>>());
    let (from, to) = (request.time_min, request.time_max);
    Ok(Json(json!({ "kind": "calendar#freeBusy", "timeMin": from, "timeMax": to, "calendars": calendars }))
        .into_response())
}

/// The events that the account holds, and those that were created there.
fn held(state: &State, account: &Token) -> Vec<Value> {
    let created = state.events_between(Provider::Google, account, Timestamp::MIN..Timestamp::MAX);
    let created = created.iter().map(|event| google_shown(event, account));
    state.holdings(Provider::Google).events.into_iter().chain(created).collect()
}

fn is_own(calendar: &str, account: &Token) -> bool {
    calendar == "primary" || account.address.as_deref() == Some(calendar)
}

fn takes_time(event: &Value) -> bool {
    let mut attendees = event["attendees"].as_array().into_iter().flatten();
    let declined = attendees.any(|attendee| attendee["self"] == true && attendee["responseStatus"] == "declined");
    event["status"] != "cancelled" && event["transparency"] != "transparent" && !declined
}

/// From when to when; a whole day is one of UTC. None if it cannot be read.
fn event_time(event: &Value) -> Option<(Timestamp, Timestamp)> {
    let at = |end: &str| {
        if let Some(time) = event[end]["dateTime"].as_str() {
            return time.parse().ok();
        }
        let date: Date = event[end]["date"].as_str()?.parse().ok()?;
        Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    Some((at("start")?, at("end")?))
}
