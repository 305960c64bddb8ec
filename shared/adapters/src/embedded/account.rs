//! The made-up account of sandbox mode.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Address, FindKind};
use engine::ports::{Access, Book, Clock, Finder, FoundEvent, FoundPerson, ProviderError, Span};
use jiff::{ToSpan, civil, tz::TimeZone};

/// Everybody whom the account knows.
const PEOPLE: &[(&str, &str, Book)] = &[
    ("Sam", "sam@example.com", Book::Contacts),
    ("Ana Silva", "ana.silva@contoso.com", Book::Contacts),
    ("Ana Novak", "ana.novak@example.com", Book::Contacts),
    ("John Miller", "john.miller@example.com", Book::Contacts),
    ("Noor Haddad", "noor.haddad@contoso.com", Book::Directory),
    ("Kim Tran", "kim.tran@contoso.com", Book::Directory),
];

/// A meeting of the account: how many days ahead, from when to when, its title, and with whom.
type Meeting = (i32, civil::Time, civil::Time, &'static str, &'static [&'static str]);

const MEETINGS: &[Meeting] = &[
    (
        1,
        civil::time(10, 0, 0, 0),
        civil::time(11, 0, 0, 0),
        "Project review",
        &["sam@example.com", "ana.silva@contoso.com", "noor.haddad@contoso.com"],
    ),
    (2, civil::time(14, 0, 0, 0), civil::time(14, 30, 0, 0), "Budget", &["kim.tran@contoso.com"]),
];

/// An address book, and a calendar whose meetings are always the next days'.
pub struct SandboxAccount {
    clock: Arc<dyn Clock>,
}

impl SandboxAccount {
    /// The account by this clock.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }

    fn meetings(&self, zone: &TimeZone) -> impl Iterator<Item = FoundEvent> {
        let today = self.clock.now().to_zoned(zone.clone()).date();
        MEETINGS.iter().filter_map(move |(days, from, to, title, attendees)| {
            let day = today.checked_add(days.days()).ok()?;
            let at = |time: &civil::Time| Some(day.to_datetime(*time).to_zoned(zone.clone()).ok()?.timestamp());
            Some(FoundEvent {
                title: (*title).to_owned(),
                time: Span { from: at(from)?, to: at(to)? },
                is_own: true,
                attendees: attendees.iter().copied().map(address).collect(),
            })
        })
    }
}

fn address(text: &str) -> Address {
    text.parse().expect("a test reads every address")
}

#[async_trait]
impl Finder for SandboxAccount {
    fn scopes(&self, _: FindKind) -> &'static [&'static str] {
        &[]
    }

    fn directory_scopes(&self) -> &'static [&'static str] {
        &[]
    }

    /// Everybody with a word that begins with one of the name's.
    async fn people(&self, name: &str, _: &Access) -> Result<Vec<FoundPerson>, ProviderError> {
        let name = name.to_lowercase();
        let could_be = |known: &str| {
            let mut words = name.split_whitespace().peekable();
            let begins = |word: &str| known.to_lowercase().split(' ').any(|own| own.starts_with(word));
            words.peek().is_none() || words.any(begins)
        };
        let found = PEOPLE.iter().filter(|(known, ..)| could_be(known));
        Ok(found
            .map(|(name, spec, book)| FoundPerson { name: (*name).to_owned(), address: address(spec), book: *book })
            .collect())
    }

    async fn events(&self, time: Span, zone: &TimeZone, _: &Access) -> Result<Vec<FoundEvent>, ProviderError> {
        Ok(self.meetings(zone).filter(|event| (time.from..time.to).contains(&event.time.from)).collect())
    }

    async fn busy(&self, time: Span, zone: &TimeZone, _: &Access) -> Result<Vec<Span>, ProviderError> {
        let within = |busy: Span| Span { from: busy.from.max(time.from), to: busy.to.min(time.to) };
        let busy = self.meetings(zone).map(|event| within(event.time));
        Ok(busy.filter(|busy| busy.from < busy.to).collect())
    }
}

#[cfg(test)]
mod tests {
    use contracts::ManualClock;
    use jiff::Timestamp;

    use super::*;

    fn access() -> Access {
        Access { token: "".into(), scopes: Vec::new(), address: None, name: None, account: None }
    }

    #[tokio::test]
    async fn tomorrow_has_a_meeting_at_ten_in_every_zone() {
        for zone in ["UTC", "Europe/Berlin", "America/Los_Angeles", "Pacific/Kiritimati", "Asia/Kathmandu"] {
            let zone = TimeZone::get(zone).unwrap();
            // A day of each season, and the days around a change of the clocks.
            for now in ["2026-06-30T23:30:00Z", "2026-12-31T00:30:00Z", "2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z"]
            {
                let now: Timestamp = now.parse().unwrap();
                let account = SandboxAccount::new(ManualClock::at(now));
                let tomorrow = now.to_zoned(zone.clone()).date().tomorrow().unwrap();
                let midnight = |day: civil::Date| day.to_zoned(zone.clone()).unwrap().timestamp();
                let day = Span { from: midnight(tomorrow), to: midnight(tomorrow.tomorrow().unwrap()) };
                let events = account.events(day, &zone, &access()).await.unwrap();
                assert_eq!(events.len(), 1, "{now}");
                let event = &events[0];
                let from = event.time.from.to_zoned(zone.clone());
                assert_eq!(from.datetime(), tomorrow.at(10, 0, 0, 0), "{now}");
                assert!(event.is_own && event.attendees.len() > 1);
                assert_eq!(account.busy(day, &zone, &access()).await.unwrap(), [event.time]);
                let within = Span { from: event.time.from + 15.minutes(), to: event.time.to + 15.minutes() };
                let busy = account.busy(within, &zone, &access()).await.unwrap();
                assert_eq!(busy, [Span { from: within.from, to: event.time.to }]);
            }
        }
    }

    #[tokio::test]
    async fn there_is_one_sam_and_there_are_two_anas() {
        let account = SandboxAccount::new(ManualClock::new());
        for (name, count) in [
            ("Sam", 1),
            ("sam", 1),
            ("Ana", 2),
            ("ana silva", 2),
            ("Haddad", 1),
            ("Zoë", 0),
            ("am", 0),
            ("", PEOPLE.len()),
        ] {
            assert_eq!(account.people(name, &access()).await.unwrap().len(), count, "{name}");
        }
    }
}
