//! What a Microsoft account knows: contacts, the directory, events and busy times, by Microsoft Graph.
//!
//! <https://learn.microsoft.com/graph/api/user-list-contacts>, `user-list` and `calendar-list-calendarview`. `/me/people` is
//! never asked: it ranks those who wrote to the account.

use async_trait::async_trait;
use domain::{Address, FindKind};
use engine::ports::{Access, Book, Finder, FoundEvent, FoundPerson, ProviderError, Span};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;

use super::{SPEC, graph::GraphApi};
use crate::{
    exchange::harmless,
    providers::found::{self, List, MAX_PAGES},
};

const CONTACTS: &[&str] = &["Contacts.Read"];
const DIRECTORY: &[&str] = &["User.ReadBasic.All"];
const CALENDAR: &[&str] = &["Calendars.Read"];

/// The most words of a name that are searched for.
const MAX_WORDS: usize = 4;
/// What a search of the directory requires: <https://learn.microsoft.com/graph/aad-advanced-queries>.
const EVENTUAL: (&str, &str) = ("ConsistencyLevel", "eventual");
const IN_UTC: (&str, &str) = ("Prefer", "outlook.timezone=\"UTC\"");
/// What is read of an event for [`When`].
const WHEN: &str = "start,end,showAs,isAllDay,isCancelled";
const PAGE: (&str, &str) = ("$top", "100");

/// Reads the account that an access token stands for.
pub(super) struct GraphFinder(pub(super) GraphApi);

#[async_trait]
impl Finder for GraphFinder {
    fn scopes(&self, kind: FindKind) -> &'static [&'static str] {
        match kind {
            FindKind::Contact => CONTACTS,
            FindKind::Event | FindKind::FreeTime => CALENDAR,
        }
    }

    fn directory_scopes(&self) -> &'static [&'static str] {
        DIRECTORY
    }

    async fn people(&self, name: &str, access: &Access) -> Result<Vec<FoundPerson>, ProviderError> {
        let name = found::sought(name);
        let mut people: Vec<_> = self.contacts(&name, access).await?.read().flat_map(Contact::found).collect();
        if SPEC.grants(&access.scopes, DIRECTORY)
            && let Some(list) = found::in_directory(self.directory(&name, access).await)?
        {
            people.extend(list.read().flat_map(User::found));
        }
        Ok(people)
    }

    async fn events(&self, time: Span, _: &TimeZone, access: &Access) -> Result<Vec<FoundEvent>, ProviderError> {
        let more = ",subject,isOrganizer,responseStatus,organizer,attendees";
        let events = self.view(time, &[WHEN, more].concat(), access).await?.read();
        let found = events.filter_map(|event: Event| event.found(access));
        Ok(found.filter(|event| found::begins_in(event, time)).collect())
    }

    async fn busy(&self, time: Span, zone: &TimeZone, access: &Access) -> Result<Vec<Span>, ProviderError> {
        let events = self.view(time, WHEN, access).await?.items;
        // An event that cannot be read may be one that takes up time.
        let unread = || ProviderError::Unreachable("the provider's answer has an event without a time".to_owned());
        let mut busy = Vec::new();
        for event in events {
            let event = When::deserialize(event).map_err(|_| unread())?;
            if event.is_busy() {
                busy.push(event.time(zone).ok_or_else(unread)?);
            }
        }
        Ok(found::joined(busy, time))
    }
}

impl GraphFinder {
    /// `$search` finds more, but gives contacts without their addresses
    /// (<https://github.com/microsoftgraph/microsoft-graph-explorer-v4/issues/2942>).
    async fn contacts(&self, name: &str, access: &Access) -> Result<List, ProviderError> {
        let begins = |word: &str| {
            let word = word.replace('\'', "''");
            ["displayName", "givenName", "surname"].map(|field| format!("startswith({field},'{word}')")).join(" or ")
        };
        let filter = name.split(' ').take(MAX_WORDS).map(begins).collect::<Vec<_>>().join(" or ");
        let query = [("$filter", filter.as_str()), ("$select", "displayName,emailAddresses"), PAGE];
        self.list(&["me", "contacts"], &query, None, access).await
    }

    async fn directory(&self, name: &str, access: &Access) -> Result<List, ProviderError> {
        let search = format!("\"displayName:{}\"", name.replace(['"', '\\', ':'], " "));
        let query =
            [("$search", search.as_str()), ("$select", "displayName,mail,userPrincipalName"), ("$count", "true"), PAGE];
        self.list(&["users"], &query, Some(EVENTUAL), access).await
    }

    /// These fields of every event that touches this time.
    async fn view(&self, time: Span, fields: &str, access: &Access) -> Result<List, ProviderError> {
        let (from, to) = (time.from.to_string(), time.to.to_string());
        let query = [
            ("startDateTime", from.as_str()),
            ("endDateTime", to.as_str()),
            ("$select", fields),
            ("$orderby", "start/dateTime"),
            PAGE,
        ];
        self.list(&["me", "calendarView"], &query, Some(IN_UTC), access).await?.whole()
    }

    async fn list(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        header: Option<(&'static str, &'static str)>,
        access: &Access,
    ) -> Result<List, ProviderError> {
        let GraphApi(api) = &self.0;
        let (mut items, mut page) = (Vec::new(), found::with_query(api.url(path), query));
        for _ in 0..MAX_PAGES {
            let with_header = |request: RequestBuilder| match header {
                Some((name, value)) => request.header(name, value),
                None => request,
            };
            let answer = api.exchange(Method::GET, page.clone(), access, with_header).await.map_err(harmless)?;
            let body = answer.json_of(StatusCode::OK);
            let Some(more) = body["value"].as_array() else { return Err(harmless(GraphApi::refusal(&answer))) };
            items.extend_from_slice(more);
            let Some(next) = body["@odata.nextLink"].as_str() else { return Ok(List { items, is_whole: true }) };
            // Only its query counts: the token goes nowhere else.
            let next = next.parse::<Url>().ok();
            let Some(query) = next.as_ref().and_then(Url::query) else { break };
            page.set_query(Some(query));
        }
        Ok(List { items, is_whole: false })
    }
}

/// An address as Graph writes it. Its name may be another person's choice.
#[derive(Default, Deserialize)]
#[serde(default)]
struct EmailAddress {
    address: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Contact {
    display_name: Option<String>,
    email_addresses: Vec<EmailAddress>,
}

impl Contact {
    fn found(self) -> Vec<FoundPerson> {
        let addresses = self.email_addresses.iter().filter_map(|email| email.address.as_deref());
        found::entries(self.display_name.as_deref().unwrap_or_default(), addresses, Book::Contacts)
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct User {
    display_name: Option<String>,
    mail: Option<String>,
    #[serde(rename = "userPrincipalName")]
    principal_name: Option<String>,
}

impl User {
    /// Guests are in the directory, too, under names of their own:
    /// <https://learn.microsoft.com/entra/external-id/user-properties>.
    fn found(self) -> Vec<FoundPerson> {
        let is_guest = self.principal_name.is_some_and(|name| name.to_ascii_uppercase().contains("#EXT#"));
        let mail = self.mail.as_deref().filter(|_| !is_guest);
        found::entries(self.display_name.as_deref().unwrap_or_default(), mail.into_iter(), Book::Directory)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(flatten)]
    when: When,
    subject: Option<String>,
    #[serde(default)]
    is_organizer: bool,
    #[serde(default)]
    response_status: Response,
    organizer: Option<Recipient>,
    #[serde(default)]
    attendees: Vec<Attendee>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct When {
    start: Moment,
    end: Moment,
    show_as: Option<String>,
    #[serde(default)]
    is_all_day: bool,
    #[serde(default)]
    is_cancelled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Moment {
    date_time: String,
    time_zone: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    response: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recipient {
    email_address: EmailAddress,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Attendee {
    r#type: String,
    status: Response,
    email_address: EmailAddress,
}

impl Moment {
    fn timestamp(&self) -> Option<Timestamp> {
        let zone = TimeZone::get(&self.time_zone).ok()?;
        Some(zone.to_ambiguous_zoned(self.wall_time()?).unambiguous().ok()?.timestamp())
    }

    /// The day of a whole-day event, which is written as a midnight of whatever zone.
    fn midnight(&self, zone: &TimeZone) -> Option<Timestamp> {
        Some(self.wall_time()?.date().to_zoned(zone.clone()).ok()?.timestamp())
    }

    fn wall_time(&self) -> Option<DateTime> {
        self.date_time.trim_end_matches('Z').parse().ok()
    }
}

impl When {
    fn time(&self, zone: &TimeZone) -> Option<Span> {
        let at = |moment: &Moment| if self.is_all_day { moment.midnight(zone) } else { moment.timestamp() };
        Some(Span { from: at(&self.start)?, to: at(&self.end)? })
    }

    /// Only what its owner says is free counts as free.
    fn is_busy(&self) -> bool {
        let is_free = matches!(self.show_as.as_deref(), Some("free" | "workingElsewhere"));
        !(self.is_cancelled || is_free)
    }
}

impl Event {
    fn found(self, access: &Access) -> Option<FoundEvent> {
        if self.when.is_cancelled || self.when.is_all_day {
            return None;
        }
        let address_of = |email: &EmailAddress| email.address.as_deref().and_then(found::address);
        // The organizer is not among the attendees, and the account may be, under its address.
        let organizer = self.organizer.and_then(|organizer| address_of(&organizer.email_address));
        let own = [organizer.clone().filter(|_| self.is_organizer), access.address.clone()];
        let is_other = |address: &Address| !own.iter().flatten().any(|own| own.same_but_for_case(address));
        let comes = |attendee: &&Attendee| attendee.r#type != "resource" && attendee.status.response != "declined";
        let attendees = self.attendees.iter().filter(comes).filter_map(|attendee| address_of(&attendee.email_address));
        Some(FoundEvent {
            title: found::shown(self.subject.as_deref().unwrap_or_default()),
            time: self.when.time(&TimeZone::UTC)?,
            is_own: self.is_organizer || matches!(self.response_status.response.as_str(), "organizer" | "accepted"),
            attendees: found::each_once(organizer.into_iter().chain(attendees).filter(is_other)),
        })
    }
}
