//! `GET /dev/address-book`: the address book and the calendar of sandbox mode.

use domain::Address;
use engine::ports::{Book, FoundEvent, FoundPerson};
use jiff::Timestamp;

use crate::endpoint::prelude::*;

endpoint! {
    path: "/dev/address-book", function: Jobs, scope: ActionsPreview, tag: "dev", problems: [],
    example: || example(include_str!("show_address_book.json")),
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// The IANA time zone whose days the calendar has; default `UTC`.
    #[param(example = "Europe/Berlin")]
    timezone: Option<String>,
}

/// What lookups find in sandbox mode.
#[derive(Serialize, ToSchema)]
struct AddressBook {
    people: Vec<Person>,
    /// The events of the next seven days, in order.
    events: Vec<Event>,
}

/// Somebody of the address book.
#[derive(Serialize, ToSchema)]
struct Person {
    name: String,
    address: String,
    /// `contact` or `directory`, as the source of a recipient.
    source: &'static str,
}

/// An event of the calendar.
#[derive(Serialize, ToSchema)]
struct Event {
    title: String,
    start: Timestamp,
    end: Timestamp,
    /// Everybody but the account itself.
    attendees: Vec<String>,
}

/// Shows the made-up address book and calendar of sandbox mode, in which lookups find people and events.
#[utoipa::path(
    get, path = ENDPOINT.path, params(Asked),
    responses((status = 200, description = "The address book and the calendar", body = AddressBook))
)]
async fn handler(State(web): State<Web>, _: Authorized, Query(asked): Query<Asked>) -> Answer<AddressBook> {
    let (people, events) = web.engine.sandbox.show(asked.timezone.as_deref().unwrap_or("UTC")).await?;
    Ok(Out(AddressBook {
        people: people.into_iter().map(Person::from).collect(),
        events: events.into_iter().map(Event::from).collect(),
    }))
}

impl From<FoundPerson> for Person {
    fn from(FoundPerson { name, address, book }: FoundPerson) -> Self {
        let source = match book {
            Book::Contacts => "contact",
            Book::Directory => "directory",
        };
        Self { name, address: address.addr_spec(), source }
    }
}

impl From<FoundEvent> for Event {
    fn from(FoundEvent { title, time, attendees, .. }: FoundEvent) -> Self {
        let attendees = attendees.iter().map(Address::addr_spec).collect();
        Self { title, start: time.from, end: time.to, attendees }
    }
}
