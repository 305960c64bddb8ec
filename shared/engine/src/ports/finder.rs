//! Finders: what an account knows of people and of time. They are asked when a plan is resolved, never before.

use async_trait::async_trait;
use domain::{Address, FindKind};
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use super::{Access, ProviderError};

/// Reads one provider's address books and calendars. It reads loosely and tells everything that could be meant; the
/// engine decides what matches.
#[async_trait]
pub trait Finder: Send + Sync {
    /// The OAuth scopes that finding this kind needs.
    fn scopes(&self, kind: FindKind) -> &'static [&'static str];

    /// The scopes with which [`Finder::people`] also looks into the organisation's directory.
    fn directory_scopes(&self) -> &'static [&'static str];

    /// People whose name could be meant: the account's own contacts, then the organisation's directory where the access
    /// has the scopes for it. Never people who wrote to the account, whose names are their own choice.
    async fn people(&self, name: &str, access: &Access) -> Result<Vec<FoundPerson>, ProviderError>;

    /// The events of the account's own calendar that begin in this time, in order, repeated ones singly. The zone is the
    /// person's.
    async fn events(&self, time: Span, zone: &TimeZone, access: &Access) -> Result<Vec<FoundEvent>, ProviderError>;

    /// When the account's own calendar is busy within this time: in order, and apart from each other. The zone is the
    /// person's: a whole day is one of its days.
    async fn busy(&self, time: Span, zone: &TimeZone, access: &Access) -> Result<Vec<Span>, ProviderError>;
}

/// A person in an address book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundPerson {
    /// The name that the book has.
    pub name: String,
    /// One entry an address: a person with two of them is found twice.
    pub address: Address,
    /// Which book.
    pub book: Book,
}

/// An address book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Book {
    /// The account's own contacts.
    Contacts,
    /// The organisation's directory.
    Directory,
}

/// An event of the account's own calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundEvent {
    /// Its title.
    pub title: String,
    /// When it takes place. An event of whole days is not told.
    pub time: Span,
    /// Whether the account organises it or has accepted it. Others may be anybody's.
    pub is_own: bool,
    /// Whom it was arranged with: everybody but the account itself, rooms and those who declined.
    pub attendees: Vec<Address>,
}

/// A time from one moment to another, which it does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first moment.
    pub from: Timestamp,
    /// The moment after the last.
    pub to: Timestamp,
}
