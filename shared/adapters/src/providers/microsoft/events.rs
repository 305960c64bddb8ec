//! The events of Microsoft Graph's calendar.
//!
//! <https://learn.microsoft.com/graph/api/user-post-events>

use async_trait::async_trait;
use domain::{Event, EventTime};
use engine::ports::{Access, ProviderError, RenderError, Rendered};
use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::graph::GraphApi;
use crate::{
    http::Answer,
    providers::event::{Calendar, Made, named, text_of, texts},
};

/// The extended property of an event that holds the hash of its content, among those that any program may name.
const HASH: &str = "String {00020329-0000-0000-C000-000000000046} Name orchestrator";

#[async_trait]
impl Calendar for GraphApi {
    const ALWAYS_NOTIFIES: bool = true;

    fn render(&self, event: &Event, id: Option<&str>, hash: &str) -> Result<Value, RenderError> {
        let [start, end] = event.times().map(|time| rendered_time(&time, &event.time_zone));
        let mut body = json!({
            "subject": event.title,
            "start": start,
            "end": end,
            "singleValueExtendedProperties": [{ "id": HASH, "value": hash }],
        });
        if let Some(id) = id {
            body["transactionId"] = id.into();
        }
        if let Some(text) = &event.text {
            body["body"] = json!({ "contentType": "text", "content": text });
        }
        if let Some(location) = &event.location {
            body["location"] = json!({ "displayName": location });
        }
        if !event.attendees.is_empty() {
            let attendees = event.attendees.iter().map(|address| named(address, ("address", "name")));
            body["attendees"] = attendees.map(|email| json!({ "emailAddress": email, "type": "required" })).collect();
        }
        Ok(body)
    }

    fn attendees(&self, rendered: &Value) -> Vec<String> {
        texts(&rendered["attendees"], "/emailAddress/address")
    }

    /// Needs Calendars.ReadWrite. Of an event that exists under the transaction id already, Graph makes no second one,
    /// and answers as if it did, or with an error.
    async fn create(&self, event: &Event, rendered: &Rendered, access: &Access) -> Result<Made, ProviderError> {
        let reply = self.call(Method::POST, &["me", "events"], Some(&rendered.body), access).await?;
        let made = made(&reply.json_of(StatusCode::CREATED));
        if made.id.is_some() {
            return Ok(made);
        }
        if !says_duplicate(&reply) {
            return Err(Self::refusal(&reply));
        }
        // The id is this job's own, so an event that is not there any more was deleted by a person.
        match self.found(event, rendered, access).await? {
            Found::Ours(made) => Ok(made),
            Found::Other => Err(ProviderError::Exists),
            Found::Nothing => Ok(Made { is_deleted: true, ..Made::default() }),
        }
    }

    async fn find(&self, event: &Event, rendered: &Rendered, access: &Access) -> Result<Option<Made>, ProviderError> {
        Ok(match self.found(event, rendered, access).await? {
            Found::Ours(made) => Some(made),
            Found::Other | Found::Nothing => None,
        })
    }
}

/// What the calendar holds under a transaction id.
enum Found {
    Ours(Made),
    Other,
    Nothing,
}

impl GraphApi {
    /// Looks for the event among those around its start: an event is not found by its transaction id.
    async fn found(&self, event: &Event, rendered: &Rendered, access: &Access) -> Result<Found, ProviderError> {
        let wanted: Value = serde_json::from_str(&rendered.body).unwrap_or_default();
        let ([start, _], around) = (event.times(), SignedDuration::from_hours(1));
        let [from, to] = [start.at.checked_sub(around), start.at.checked_add(around)].map(|at| at.unwrap_or(start.at));
        let expand = format!("singleValueExtendedProperties($filter=id eq '{HASH}')");
        let (from, to) = (from.to_string(), to.to_string());
        let query = [
            ("startDateTime", from.as_str()),
            ("endDateTime", to.as_str()),
            ("$select", "id,transactionId,webLink"),
            ("$expand", expand.as_str()),
            ("$top", "1000"),
        ];
        let reply = self.get(&["me", "calendarView"], &query, access).await?;
        let view = reply.json_of(StatusCode::OK);
        let Some(events) = view["value"].as_array() else { return Err(Self::refusal(&reply)) };
        let id = &wanted["transactionId"];
        let Some(found) = events.iter().find(|event| event["transactionId"] == *id && !id.is_null()) else {
            return Ok(Found::Nothing);
        };
        let hash = found["singleValueExtendedProperties"].as_array().into_iter().flatten();
        let hash = hash.filter(|property| property["id"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(HASH)));
        let is_other = hash
            .map(|property| &property["value"])
            .any(|hash| *hash != wanted["singleValueExtendedProperties"][0]["value"]);
        Ok(if is_other { Found::Other } else { Found::Ours(made(found)) })
    }
}

fn made(event: &Value) -> Made {
    Made { id: text_of(event, "id").filter(|id| !id.is_empty()), link: text_of(event, "webLink"), is_deleted: false }
}

/// Whether Graph refuses a transaction id that was used before. No page of Graph's documentation names the error.
fn says_duplicate(reply: &Answer) -> bool {
    let error = &reply.json()["error"];
    let says = |name: &str| error[name].as_str().unwrap_or_default().to_lowercase();
    let (code, message) = (says("code"), says("message"));
    let names_id = |text: &str| text.contains("transactionid") || text.contains("transaction id");
    reply.status.is_client_error() && (code.contains("duplicate") || names_id(&code) || names_id(&message))
}

fn rendered_time(time: &EventTime, zone: &str) -> Value {
    if time.is_certain {
        return json!({ "dateTime": time.wall.civil().to_string(), "timeZone": zone });
    }
    // Only another zone tells which of two equal times is meant.
    json!({ "dateTime": time.at.to_string().trim_end_matches('Z'), "timeZone": "UTC" })
}
