//! The Google Calendar API: the events of the account's own calendar.
//!
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events>

use async_trait::async_trait;
use domain::{Event, EventTime, Notify};
use engine::ports::{Access, ProviderError, RenderError, Rendered};
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};

use super::refusal::refusal;
use crate::{
    exchange::Endpoint,
    http::Answer,
    providers::event::{Calendar, Made, named, text_of, texts},
};

/// The private property of an event that holds the hash of its content.
const HASH: &str = "orchestrator";

/// Reads and writes the calendar of the account that an access token stands for.
#[derive(Debug, Clone)]
pub(super) struct CalendarApi(pub Endpoint);

impl CalendarApi {
    /// The URL of the calendar's events, or of one of them.
    fn events(&self, id: &[&str]) -> Url {
        self.0.url(&[&["calendars", "primary", "events"], id].concat())
    }

    async fn get(&self, id: &str, access: &Access) -> Result<Answer, ProviderError> {
        self.0.exchange(Method::GET, self.events(&[id]), access, |request| request).await
    }
}

#[async_trait]
impl Calendar for CalendarApi {
    fn render(&self, event: &Event, id: Option<&str>, hash: &str) -> Result<Value, RenderError> {
        let [start, end] = event.times().map(|time| rendered_time(&time, &event.time_zone));
        let mut body = json!({
            "summary": event.title,
            "start": start,
            "end": end,
            "extendedProperties": { "private": { HASH: hash } },
        });
        if let Some(id) = id {
            body["id"] = event_id(id)?.into();
        }
        if let Some(text) = &event.text {
            body["description"] = json!(text);
        }
        if let Some(location) = &event.location {
            body["location"] = json!(location);
        }
        if !event.attendees.is_empty() {
            body["attendees"] =
                event.attendees.iter().map(|address| named(address, ("email", "displayName"))).collect();
        }
        Ok(body)
    }

    fn attendees(&self, rendered: &Value) -> Vec<String> {
        texts(&rendered["attendees"], "/email")
    }

    /// Needs calendar.events.owned. An id is taken for good, also once its event is deleted.
    async fn create(&self, event: &Event, rendered: &Rendered, access: &Access) -> Result<Made, ProviderError> {
        let mut url = self.events(&[]);
        // Without it Google writes to nobody.
        let updates = if event.notify == Some(Notify::All) { "all" } else { "none" };
        url.query_pairs_mut().append_pair("sendUpdates", updates);
        let finish = |request: reqwest::RequestBuilder| {
            request.header(reqwest::header::CONTENT_TYPE, "application/json").body(rendered.body.clone())
        };
        let reply = self.0.exchange(Method::POST, url, access, finish).await?;
        let made = made(&reply.json_of(StatusCode::OK));
        match reply.status {
            StatusCode::CONFLICT => Err(ProviderError::Exists),
            _ if made.id.is_some() => Ok(made),
            _ => Err(refusal(&reply)),
        }
    }

    async fn find(&self, _: &Event, rendered: &Rendered, access: &Access) -> Result<Option<Made>, ProviderError> {
        let wanted: Value = serde_json::from_str(&rendered.body).unwrap_or_default();
        let reply = self.get(wanted["id"].as_str().unwrap_or_default(), access).await?;
        let found = match reply.status {
            StatusCode::NOT_FOUND => return Ok(None),
            StatusCode::GONE => return Ok(Some(Made { is_deleted: true, ..Made::default() })),
            _ => reply.json_of(StatusCode::OK),
        };
        let made = made(&found);
        if made.id.is_none() {
            return Err(refusal(&reply));
        }
        let hash = |event: &Value| event["extendedProperties"]["private"][HASH].clone();
        // Of a deleted event nothing but its id is certain to be there.
        let is_ours = hash(&found) == hash(&wanted) || (made.is_deleted && hash(&found).is_null());
        Ok(is_ours.then_some(made))
    }
}

fn made(event: &Value) -> Made {
    let is_deleted = event["status"] == "cancelled";
    Made { id: text_of(event, "id"), link: text_of(event, "htmlLink").filter(|_| !is_deleted), is_deleted }
}

fn rendered_time(time: &EventTime, zone: &str) -> Value {
    // An offset tells which of two equal times is meant.
    let date_time = if time.is_certain { time.wall.civil().to_string() } else { time.at.to_string() };
    json!({ "dateTime": date_time, "timeZone": zone })
}

/// An id of base32hex (RFC 2938, section 3.1.2): a UUID without its hyphens is one.
fn event_id(id: &str) -> Result<String, RenderError> {
    let id = id.replace('-', "");
    let is_base32hex = id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'v'));
    if is_base32hex && id.len() >= 5 { Ok(id) } else { Err(RenderError("the event's id is not base32hex".to_owned())) }
}
