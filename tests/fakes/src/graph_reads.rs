//! Microsoft Graph, as far as it reads: contacts, users and the calendar view. `/me/people` is nowhere.

use std::{ops::Range, sync::Arc};

use axum::{
    Json, Router,
    extract::State as Shared,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Map, Value, json};

use crate::{
    events::graph_shown,
    query::Known,
    refusal,
    state::{Provider, State},
};

const CONTACTS: &[&[&str]] = &[&["Contacts.Read"], &["Contacts.ReadWrite"]];
const USERS: &[&[&str]] =
    &[&["User.ReadBasic.All"], &["User.Read.All"], &["User.ReadWrite.All"], &["Directory.Read.All"]];
const CALENDAR: &[&[&str]] = &[&["Calendars.ReadBasic"], &["Calendars.Read"], &["Calendars.ReadWrite"]];

pub(crate) fn router() -> Router<Arc<State>> {
    Router::new()
        .route("/v1.0/me/contacts", get(contacts))
        .route("/v1.0/users", get(users))
        .route("/v1.0/me/calendarView", get(calendar_view))
}

async fn contacts(Shared(state): Shared<Arc<State>>, headers: HeaderMap, uri: Uri) -> Result<Response, Response> {
    state.authorize(&headers, Provider::Microsoft, CONTACTS)?;
    let query = Known::read(Provider::Microsoft, &uri, &["$filter", "$select", "$top", "$skip", "$orderby", "$count"])?;
    let filter = match query.get("$filter") {
        None => Vec::new(),
        Some(filter) => filter.split(" or ").map(prefix).collect::<Option<Vec<_>>>().ok_or_else(|| {
            let message = "The query filter contains one or more invalid nodes.";
            refusal(Provider::Microsoft, StatusCode::BAD_REQUEST, "ErrorInvalidUrlQueryFilter", message)
        })?,
    };
    let begins = |contact: &Value, (field, prefix): &(&str, String)| {
        contact[*field].as_str().is_some_and(|value| value.to_lowercase().starts_with(prefix))
    };
    let holdings = state.holdings(Provider::Microsoft);
    let is_meant = |contact: &&Value| filter.is_empty() || filter.iter().any(|part| begins(contact, part));
    page(&state, &query, &uri, "$skip", holdings.contacts.iter().filter(is_meant).cloned().collect())
}

/// `startswith(displayName,'Sam')`.
fn prefix(part: &str) -> Option<(&'static str, String)> {
    let (field, value) = part.strip_prefix("startswith(")?.strip_suffix("')")?.split_once(",'")?;
    let field = ["displayName", "givenName", "surname"].into_iter().find(|known| *known == field)?;
    let bare = value.replace("''", "");
    (!bare.contains('\'')).then(|| (field, value.replace("''", "'").to_lowercase()))
}

async fn users(Shared(state): Shared<Arc<State>>, headers: HeaderMap, uri: Uri) -> Result<Response, Response> {
    state.authorize(&headers, Provider::Microsoft, USERS)?;
    let query = Known::read(Provider::Microsoft, &uri, &["$search", "$select", "$top", "$count", "$skiptoken"])?;
    let unsupported =
        |message: &str| refusal(Provider::Microsoft, StatusCode::BAD_REQUEST, "Request_UnsupportedQuery", message);
    let is_eventual = headers.get("consistencylevel").is_some_and(|level| level == "eventual");
    let words = match query.get("$search") {
        None => Vec::new(),
        Some(_) if !is_eventual => {
            return Err(unsupported(
                "Request with $search query parameter only works through MSGraph with a special request header: 'ConsistencyLevel: eventual'",
            ));
        }
        Some(search) => {
            let words = search.strip_prefix("\"displayName:").and_then(|rest| rest.strip_suffix('"'));
            let words = words.filter(|words| !words.contains(['"', ':']));
            let words = words.ok_or_else(|| unsupported("Unsupported Query."))?;
            words.split_whitespace().map(str::to_lowercase).collect()
        }
    };
    let holdings = state.holdings(Provider::Microsoft);
    let is_meant = |user: &&Value| {
        let name = user["displayName"].as_str().unwrap_or_default().to_lowercase();
        words.iter().all(|word| name.split_whitespace().any(|own| own.starts_with(word.as_str())))
    };
    page(&state, &query, &uri, "$skiptoken", holdings.directory.iter().filter(is_meant).cloned().collect())
}

/// Gives times in UTC, which the request has to ask for.
async fn calendar_view(Shared(state): Shared<Arc<State>>, headers: HeaderMap, uri: Uri) -> Result<Response, Response> {
    let account = state.authorize(&headers, Provider::Microsoft, CALENDAR)?;
    let names = ["startDateTime", "endDateTime", "$select", "$expand", "$top", "$skip", "$orderby"];
    let query = Known::read(Provider::Microsoft, &uri, &names)?;
    let shows_times = query.get("$select").is_none_or(|select| select.split(',').any(|field| field == "start"));
    if shows_times && !headers.get_all("prefer").iter().any(|value| value == "outlook.timezone=\"UTC\"") {
        return Err(query.bad("the times would be in whatever zone"));
    }
    let (Some(from), Some(to)) = (query.time("startDateTime")?, query.time("endDateTime")?) else {
        return Err(query.bad("This request requires a time window specified by startDateTime and endDateTime"));
    };
    if from > to || query.get("$orderby").is_some_and(|order| order != "start/dateTime") {
        return Err(query.bad("ErrorInvalidParameter"));
    }
    let touches = |event: &&Value| event_time(event).is_none_or(|(start, end)| end > from && start < to);
    let holdings = state.holdings(Provider::Microsoft);
    let expands = query.get("$expand").is_some_and(|fields| fields.starts_with("singleValueExtendedProperties("));
    let created = state.events_between(Provider::Microsoft, &account, from..to);
    let created = created.iter().map(|event| in_utc(graph_shown(event, expands), &event.takes));
    let mut events: Vec<Value> = holdings.events.iter().filter(touches).cloned().chain(created).collect();
    events.sort_by_key(event_time);
    page(&state, &query, &uri, "$skip", events)
}

/// A created event as a list shows it that was asked for times in UTC.
fn in_utc(mut event: Value, takes: &Range<Timestamp>) -> Value {
    for (end, at) in [("start", takes.start), ("end", takes.end)] {
        event[end] = json!({ "dateTime": at.to_zoned(TimeZone::UTC).datetime().to_string(), "timeZone": "UTC" });
    }
    event["isOrganizer"] = json!(true);
    event
}

fn event_time(event: &Value) -> Option<(Timestamp, Timestamp)> {
    let at = |end: &str| {
        let time: DateTime = event[end]["dateTime"].as_str()?.parse().ok()?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    Some((at("start")?, at("end")?))
}

/// A page of these, and the link to the next one, whose place is in the parameter `skip`.
#[expect(clippy::result_large_err, reason = "the error is the answer")]
fn page(state: &State, query: &Known, uri: &Uri, skip: &str, found: Vec<Value>) -> Result<Response, Response> {
    let (size, start) = (query.number("$top", 10, 1000)?, query.start(skip)?);
    let more = start + size < found.len();
    let values: Vec<_> = found.into_iter().skip(start).take(size).map(|value| selected(value, query)).collect();
    let mut answer = json!({ "@odata.context": "https://graph.microsoft.com/v1.0/$metadata", "value": values });
    if more {
        let parameters = uri.query().unwrap_or_default().split('&');
        let others = parameters.filter(|part| !part.replace("%24", "$").starts_with(&format!("{skip}=")));
        let query = others.collect::<Vec<_>>().join("&");
        let next = format!("{}{}?{query}&{skip}={}", state.base_url(), uri.path(), start + size);
        answer["@odata.nextLink"] = json!(next);
    }
    Ok(Json(answer).into_response())
}

fn selected(value: Value, query: &Known) -> Value {
    let Some(select) = query.get("$select") else { return value };
    let is_kept = |name: &String| {
        ["id", "singleValueExtendedProperties"].contains(&name.as_str()) || select.split(',').any(|known| known == name)
    };
    match value {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().filter(|(name, _)| is_kept(name)).collect::<Map<_, _>>())
        }
        value => value,
    }
}
