//! Records: the form in which a ledger stores everything, so that a store knows nothing of jobs or plans.

use std::{fmt, sync::Arc};

use engine::ports::LedgerError;
use jiff::Timestamp;

/// A store of records: a SQLite file or a DynamoDB table.
///
/// When a write returns, it is durable. An expired record counts as absent, whether or not it has been erased.
pub trait Records: Send + Sync {
    /// Whether workers of other processes share the records while this one runs.
    const SHARED: bool;

    /// The records of these keys, in order. With a list, none that is not in it: its body is not read, so that nobody
    /// learns of it by the time that takes.
    fn get(
        &self,
        keys: Vec<Key>,
        list: Option<String>,
    ) -> impl Future<Output = Result<Vec<Option<Found>>, LedgerError>> + Send;

    /// Writes all or nothing. With it, `entries` become the last of a chain of their lists: see [`super::chain`]. An entry
    /// that is there already stays as it is.
    fn write(
        &self,
        writes: Vec<Write>,
        entries: Vec<Record>,
    ) -> impl Future<Output = Result<Written, LedgerError>> + Send;

    /// A list's records, the last place first, from below the place `before` on, at most `limit`.
    fn list(
        &self,
        list: List,
        before: String,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Found>, LedgerError>> + Send;

    /// Every record of these kinds, some at a time: the first ones or those behind `after`, and where the next ones begin.
    fn scan(
        &self,
        kinds: &'static [&'static str],
        after: Option<String>,
    ) -> impl Future<Output = Result<Scanned, LedgerError>> + Send;

    /// How many records are in these lists, counted to `at_most`. It may be some milliseconds behind.
    fn count(&self, lists: Vec<List>, at_most: usize) -> impl Future<Output = Result<usize, LedgerError>> + Send;

    /// The records of this kind with a [`Record::due_at`] before this time, the earliest first, at most `limit`.
    fn due(
        &self,
        kind: &'static str,
        before: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Found>, LedgerError>> + Send;

    /// The earliest [`Record::waits_since`]. It may be some moments behind.
    fn waiting_since(&self) -> impl Future<Output = Result<Option<Timestamp>, LedgerError>> + Send;

    /// How many records have this [`Record::name`], counted to `at_most`, and the earliest time. It may be some moments
    /// behind.
    fn named(
        &self,
        name: &'static str,
        at_most: usize,
    ) -> impl Future<Output = Result<(usize, Option<Timestamp>), LedgerError>> + Send;

    /// The record of this [`Record::name`] with the latest time. It may be some moments behind.
    fn latest(&self, name: String) -> impl Future<Output = Result<Option<Found>, LedgerError>> + Send;

    /// Erases expired records, unless the store does so itself.
    fn erase_expired(&self, now: Timestamp) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Whether the store can read and write.
    fn ping(&self) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

/// The name of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// What the record belongs to, such as `JOB#<job id>`.
    pub partition: String,
    /// What it is of that, such as `CONTENTS`.
    pub kind: &'static str,
}

/// A record to write.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its name.
    pub key: Key,
    /// JSON, or a sealed text.
    pub body: String,
    /// Names this version, for [`If::Version`].
    pub version: Option<String>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// The list that holds it, and its place there, such as a [`place`]. A record never moves in its list, but its status
    /// may change, and it may move to another list.
    pub list: Option<(List, String)>,
    /// When somebody has to look at it.
    pub due_at: Option<Timestamp>,
    /// No later than that: the time by which an index may find it. It changes seldom, since each change of an index costs.
    pub due_from: Option<Timestamp>,
    /// Since when it waits to be taken.
    pub waits_since: Option<Timestamp>,
    /// A name that it may share with others, and its time among them. A record with a name does not wait to be taken.
    pub name: Option<(String, Timestamp)>,
}

impl Record {
    /// Whether its key is its list and its place there. Then a store may keep it as a part of its list, which needs no index.
    pub fn is_part_of_list(&self) -> bool {
        let Some((list, place)) = self.list.as_ref().filter(|(list, _)| list.holds_its_records()) else { return false };
        self.key.partition.strip_prefix(&list.name).and_then(|rest| rest.strip_prefix('#')) == Some(place)
    }

    /// A record in no list that never expires.
    pub fn new(key: Key, body: String) -> Self {
        Self {
            key,
            body,
            version: None,
            expires_at: None,
            list: None,
            due_at: None,
            due_from: None,
            waits_since: None,
            name: None,
        }
    }
}

/// A list of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Its name.
    pub name: String,
    /// Of a record, its status. Of a search, the only status that is listed, or none for all.
    pub status: Option<&'static str>,
}

impl List {
    /// Whether the keys of its records are the list and their places.
    pub fn holds_its_records(&self) -> bool {
        self.name.starts_with("AUDIT#")
    }
}

/// A place in a list: by time, then by id.
pub fn place(time: Timestamp, id: impl std::fmt::Display) -> String {
    format!("{:020}#{id}", time.as_microsecond().max(0))
}

/// A part of a [`Records::scan`], and where the next one begins.
pub type Scanned = (Vec<(Key, Found)>, Option<String>);

/// At most this many records are in a part of a [`Records::scan`]: each may be long.
pub const SCANNED: usize = 20;

/// Behind every [`place`].
pub const END: &str = "~";

/// A record that was read.
#[derive(Debug, Clone)]
pub struct Found {
    /// The record's body.
    pub body: String,
    /// Its version.
    pub version: Option<String>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// Its place in its list.
    pub place: Option<String>,
}

/// One of the writes that happen together.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "most writes are of the large one")]
pub enum Write {
    /// Writes a record over the one of its key.
    Put(Record, If),
    /// Deletes a record.
    Delete(Key, If),
    /// Sets when a record expires. Does nothing if the record is missing or has expired.
    Expire(Key, Option<Timestamp>),
    /// Replaces the body of a record, if it still is the first of these, by the second, which is as long. Nothing else
    /// changes.
    Body(Key, [String; 2]),
    /// Writes the records that another record asks for, whatever is there; none if it is missing. It is read together with
    /// what the write reads anyway, right before it.
    Derived(Key, Derive),
}

/// The records that another record asks for.
#[derive(Clone)]
pub struct Derive(pub Arc<Asked>);

/// Reads which records a record asks for.
type Asked = dyn Fn(&Found) -> Result<Vec<Record>, LedgerError> + Send + Sync;

impl fmt::Debug for Derive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Derive")
    }
}

/// The precondition of a write.
#[derive(Debug, Clone)]
pub enum If {
    /// None.
    Any,
    /// There is no record of this key.
    Absent,
    /// There is a record of this version.
    Version(String),
}

/// The result of a write.
#[derive(Debug)]
pub enum Written {
    /// All was written.
    Done,
    /// Nothing was: a precondition failed. Holds the record that was there instead.
    Refused(Option<Found>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_sort_like_times() {
        let times = [-5, 0, 9, 10, 1_800_000_000_000_000].map(|micros| Timestamp::from_microsecond(micros).unwrap());
        assert!(times.map(|time| place(time, "id")).is_sorted());
        assert!(place(times[4], "id") < place(Timestamp::MAX, "id"));
    }
}
