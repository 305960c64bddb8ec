//! What a Google account knows: contacts and the directory by the People API, events and busy times by the Calendar API.
//!
//! <https://developers.google.com/people/api/rest> and <https://developers.google.com/workspace/calendar/api/v3/reference>.
//! "Other contacts" are never asked for: Google makes them of people who wrote to the account.

use async_trait::async_trait;
use domain::FindKind;
use engine::ports::{Access, Book, Finder, FoundEvent, FoundPerson, ProviderError, Span};
use jiff::{Timestamp, tz::TimeZone};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{SPEC, refusal::refusal};
use crate::{
    exchange::{Endpoint, harmless},
    http::Answer,
    providers::found::{self, List, MAX_PAGES},
};

const CONTACTS: &[&str] = &["https://www.googleapis.com/auth/contacts.readonly"];
const DIRECTORY: &[&str] = &["https://www.googleapis.com/auth/directory.readonly"];
const EVENTS: &[&str] = &["https://www.googleapis.com/auth/calendar.events.readonly"];
const FREE_BUSY: &[&str] = &["https://www.googleapis.com/auth/calendar.freebusy"];

const PERSON: (&str, &str) = ("readMask", "names,emailAddresses");
/// The calendar that every account owns.
const OWN_CALENDAR: &str = "primary";
/// What is read of an event; descriptions and places are not.
const EVENT: &str = "nextPageToken,items(status,eventType,summary,start,end,organizer/self,attendeesOmitted,\
                     attendees(email,self,resource,responseStatus))";

/// Reads the account that an access token stands for.
pub(super) struct GoogleFinder {
    pub(super) people: Endpoint,
    pub(super) calendar: Endpoint,
}

#[async_trait]
impl Finder for GoogleFinder {
    fn scopes(&self, kind: FindKind) -> &'static [&'static str] {
        match kind {
            FindKind::Contact => CONTACTS,
            FindKind::Event => EVENTS,
            FindKind::FreeTime => FREE_BUSY,
        }
    }

    fn directory_scopes(&self) -> &'static [&'static str] {
        DIRECTORY
    }

    async fn people(&self, name: &str, access: &Access) -> Result<Vec<FoundPerson>, ProviderError> {
        let name = found::sought(name);
        // Refreshes the index of contacts: <https://developers.google.com/people/v1/contacts#search_the_users_contacts>.
        self.contacts("", access).await?;
        let results = self.contacts(&name, access).await?;
        let mut people: Vec<_> =
            results.read().flat_map(|SearchResult { person }| person.in_book(Book::Contacts)).collect();
        if SPEC.grants(&access.scopes, DIRECTORY)
            && let Some(list) = found::in_directory(self.directory(&name, access).await)?
        {
            people.extend(list.read().flat_map(|person: Person| person.in_book(Book::Directory)));
        }
        Ok(people)
    }

    async fn events(&self, time: Span, _: &TimeZone, access: &Access) -> Result<Vec<FoundEvent>, ProviderError> {
        let (from, to) = (time.from.to_string(), time.to.to_string());
        let query = [
            ("singleEvents", "true"),
            ("orderBy", "startTime"),
            // Others are no meetings, or are made of received mails.
            ("eventTypes", "default"),
            ("timeMin", from.as_str()),
            ("timeMax", to.as_str()),
            ("maxResults", "250"),
            ("fields", EVENT),
        ];
        let url = found::with_query(self.calendar.url(&["calendars", OWN_CALENDAR, "events"]), &query);
        let events = list(&self.calendar, &url, "items", access).await?.whole()?.read();
        Ok(events.filter_map(Event::found).filter(|event| found::begins_in(event, time)).collect())
    }

    async fn busy(&self, time: Span, _: &TimeZone, access: &Access) -> Result<Vec<Span>, ProviderError> {
        let body = json!({ "timeMin": time.from, "timeMax": time.to, "items": [{ "id": OWN_CALENDAR }] });
        let url = self.calendar.url(&["freeBusy"]);
        let answer = ask(&self.calendar, Method::POST, url, access, |request| request.json(&body)).await?;
        let calendar = answer.json_of(StatusCode::OK)["calendars"][OWN_CALENDAR].clone();
        let busy = Busy::deserialize(calendar).ok().filter(|busy| busy.errors.is_empty());
        let busy = busy.ok_or_else(|| harmless(refusal(&answer)))?.busy;
        Ok(found::joined(busy.into_iter().map(|Period { start, end }| Span { from: start, to: end }).collect(), time))
    }
}

impl GoogleFinder {
    async fn contacts(&self, name: &str, access: &Access) -> Result<List, ProviderError> {
        // 30 is the most that Google gives, and there are no pages.
        let query = [("query", name), PERSON, ("pageSize", "30"), ("sources", "READ_SOURCE_TYPE_CONTACT")];
        let url = found::with_query(self.people.url(&["people:searchContacts"]), &query);
        list(&self.people, &url, "results", access).await
    }

    async fn directory(&self, name: &str, access: &Access) -> Result<List, ProviderError> {
        let query = [
            ("query", name),
            PERSON,
            ("pageSize", "100"),
            ("sources", "DIRECTORY_SOURCE_TYPE_DOMAIN_PROFILE"),
            ("sources", "DIRECTORY_SOURCE_TYPE_DOMAIN_CONTACT"),
        ];
        let url = found::with_query(self.people.url(&["people:searchDirectoryPeople"]), &query);
        list(&self.people, &url, "people", access).await
    }
}

async fn ask(
    api: &Endpoint,
    method: Method,
    url: Url,
    access: &Access,
    finish: impl FnOnce(RequestBuilder) -> RequestBuilder,
) -> Result<Answer, ProviderError> {
    api.exchange(method, url, access, finish).await.map_err(harmless)
}

/// The entries of a list under this name.
async fn list(api: &Endpoint, url: &Url, name: &str, access: &Access) -> Result<List, ProviderError> {
    let (mut items, mut page) = (Vec::new(), url.clone());
    for _ in 0..MAX_PAGES {
        let answer = ask(api, Method::GET, page, access, |request| request).await?;
        let Value::Object(mut body) = answer.json_of(StatusCode::OK) else { return Err(harmless(refusal(&answer))) };
        // A list without entries may be missing.
        if let Some(Value::Array(more)) = body.remove(name) {
            items.extend(more);
        }
        let next = body.get("nextPageToken").and_then(Value::as_str).filter(|token| !token.is_empty());
        let Some(next) = next else { return Ok(List { items, is_whole: true }) };
        page = found::with_query(url.clone(), &[("pageToken", next)]);
    }
    Ok(List { items, is_whole: false })
}

#[derive(Deserialize)]
struct SearchResult {
    person: Person,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Person {
    names: Vec<Name>,
    email_addresses: Vec<EmailAddress>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Name {
    display_name: String,
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct EmailAddress {
    value: String,
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    primary: bool,
    source: Source,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Source {
    r#type: String,
}

impl Metadata {
    /// Whether the account's owner, or the organisation, wrote the field. A person is merged from several sources, some of
    /// which are strangers' own.
    fn is_of(&self, book: Book) -> bool {
        let source = self.source.r#type.as_str();
        match book {
            Book::Contacts => matches!(source, "" | "CONTACT"),
            Book::Directory => !matches!(source, "CONTACT" | "OTHER_CONTACT"),
        }
    }
}

impl Person {
    fn in_book(self, book: Book) -> Vec<FoundPerson> {
        let names = || self.names.iter().filter(|name| name.metadata.is_of(book));
        let name = names().find(|name| name.metadata.primary).or_else(|| names().next());
        let addresses = self.email_addresses.iter().filter(|address| address.metadata.is_of(book));
        let name = name.map(|name| name.display_name.as_str()).unwrap_or_default();
        found::entries(name, addresses.map(|address| address.value.as_str()), book)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(default)]
    status: String,
    #[serde(rename = "eventType", default = "meeting")]
    kind: String,
    #[serde(default)]
    summary: String,
    start: Moment,
    end: Moment,
    #[serde(default)]
    organizer: Organizer,
    #[serde(default)]
    attendees: Vec<Attendee>,
    #[serde(default)]
    attendees_omitted: bool,
}

/// The type of an event that says none.
fn meeting() -> String {
    "default".to_owned()
}

/// A time; an event of whole days has a date instead.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Moment {
    date_time: Timestamp,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Organizer {
    #[serde(rename = "self")]
    is_self: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Attendee {
    email: String,
    #[serde(rename = "self")]
    is_self: bool,
    resource: bool,
    response_status: String,
}

impl Event {
    fn found(self) -> Option<FoundEvent> {
        if self.status == "cancelled" || self.kind != meeting() {
            return None;
        }
        let accepted = |attendee: &Attendee| attendee.is_self && attendee.response_status == "accepted";
        let others =
            |attendee: &&Attendee| !attendee.is_self && !attendee.resource && attendee.response_status != "declined";
        let attendees = self.attendees.iter().filter(others).filter_map(|attendee| found::address(&attendee.email));
        Some(FoundEvent {
            title: found::shown(&self.summary),
            time: Span { from: self.start.date_time, to: self.end.date_time },
            is_own: self.organizer.is_self || self.attendees.iter().any(accepted),
            // A part of them would pass for all.
            attendees: if self.attendees_omitted { Vec::new() } else { found::each_once(attendees) },
        })
    }
}

#[derive(Deserialize)]
struct Busy {
    #[serde(default)]
    errors: Vec<Value>,
    busy: Vec<Period>,
}

#[derive(Deserialize)]
struct Period {
    start: Timestamp,
    end: Timestamp,
}
