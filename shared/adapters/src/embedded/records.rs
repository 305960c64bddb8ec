//! The ledger's records in a SQLite file.

mod schema;
#[cfg(test)]
mod tests;
mod threads;

use std::{path::Path, sync::Arc};

use engine::ports::{Clock, LedgerError};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, Statement, ToSql, params};
use threads::{Failure, Threads};

use crate::ledger::{
    Derive, Found, If, Key, List, Record, RecordLedger, Records, SCANNED, Scanned, Write, Written, chain,
};

/// The ledger in a SQLite file (WAL, every commit synced): a running server and the command line
/// may work on it side by side. Writes that wait at the same time are committed together.
pub type SqliteLedger = RecordLedger<SqliteRecords>;

/// The table of records in a SQLite file.
pub struct SqliteRecords {
    threads: Threads,
    clock: Arc<dyn Clock>,
}

impl SqliteLedger {
    /// Opens `ledger.db` in a folder and migrates its schema. A missing folder or file is created for the owner only. A file
    /// of a later version of the program is refused.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, LedgerError> {
        let (writer, readers) = schema::open(folder)?;
        Ok(Self { records: SqliteRecords { threads: Threads::start(writer, readers)?, clock }, queue: None })
    }
}

/// The columns of a [`Found`].
const FOUND: &str = "SELECT body, version, expires_at, place FROM records";
/// SQLite writes one after the other, so one chain is enough.
const CHAIN: u8 = 0;
/// A row, its columns in the order of [`bind`].
macro_rules! row {
    () => {
        "records (partition, kind, body, version, expires_at, status, due_at, waits_since, list, place, name, named_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
    };
}
/// Inserts a row over the one of its key.
const OVER: &str = concat!("INSERT OR REPLACE INTO ", row!());
/// Inserts a row unless there is one of its key.
const NEW: &str = concat!("INSERT OR IGNORE INTO ", row!());
/// What each request reads. These records are few and small, and so are in memory.
const OF_EACH_REQUEST: [&str; 3] = ["KEY", "WORKSPACE", "CONNECTION"];

impl Records for SqliteRecords {
    const SHARED: bool = false;

    async fn get(&self, keys: Vec<Key>, list: Option<String>) -> Result<Vec<Option<Found>>, LedgerError> {
        let now = self.clock.now().as_microsecond();
        let at_once = keys.iter().all(|key| OF_EACH_REQUEST.contains(&key.kind));
        let read =
            move |connection: &Connection| keys.iter().map(|key| find(connection, key, list.as_deref(), now)).collect();
        if at_once { self.threads.read_here(read) } else { self.threads.read(read).await }
    }

    async fn write(&self, writes: Vec<Write>, entries: Vec<Record>) -> Result<Written, LedgerError> {
        let now = self.clock.now().as_microsecond();
        self.threads
            .write(move |connection, heads| {
                let derived = derive(connection, &writes, now)?;
                for write in writes.iter().chain(&derived) {
                    if let Written::Refused(there) = apply(connection, write, now)? {
                        return Ok(Written::Refused(there));
                    }
                }
                heads.add(connection, &entries, now)?;
                Ok(Written::Done)
            })
            .await
    }

    async fn list(&self, list: List, before: String, limit: usize) -> Result<Vec<Found>, LedgerError> {
        // A query for each index.
        let (place, listed, order) = if list.holds_its_records() {
            let listed = "partition > ?1 || '#' AND partition < ?1 || '#' || ?2";
            ("substr(partition, length(?1) + 2)", listed, "partition")
        } else {
            ("place", "list = ?1 AND place < ?2", "place")
        };
        let of_status = if list.status.is_some() { "AND status = ?5" } else { "AND ?5 IS NULL" };
        let query = format!(
            "SELECT body, version, expires_at, {place} FROM records
             WHERE {listed} AND (expires_at IS NULL OR expires_at > ?3) {of_status} ORDER BY {order} DESC LIMIT ?4"
        );
        let now = self.clock.now().as_microsecond();
        self.threads.all(query, (list.name, before, now, whole(limit), list.status), found).await
    }

    async fn scan(&self, kinds: &'static [&'static str], after: Option<String>) -> Result<Scanned, LedgerError> {
        let query = format!(
            "SELECT body, version, expires_at, place, number, partition, kind FROM records
             WHERE number > ?1 AND kind IN ('{}') AND (expires_at IS NULL OR expires_at > ?2) ORDER BY number LIMIT ?3",
            kinds.join("', '")
        );
        let after: i64 = after.map_or(Ok(0), |after| after.parse()).map_err(LedgerError::permanent)?;
        let row = |row: &Row<'_>| Ok((row.get::<_, i64>(4)?, row.get(5)?, row.get::<_, String>(6)?, found(row)?));
        let now = self.clock.now().as_microsecond();
        let rows = self.threads.all(query, (after, now, whole(SCANNED)), row).await?;
        let next = rows.last().filter(|_| rows.len() == SCANNED).map(|(number, ..)| number.to_string());
        let named = rows.into_iter().filter_map(|(_, partition, kind, found)| {
            let kind = kinds.iter().copied().find(|known| *known == kind)?;
            Some((Key { partition, kind }, found))
        });
        Ok((named.collect(), next))
    }

    async fn count(&self, lists: Vec<List>, at_most: usize) -> Result<usize, LedgerError> {
        let query = "SELECT count(*) FROM (SELECT 1 FROM records WHERE list = ?1 AND status = ?2 LIMIT ?3)";
        let count = self.threads.read(move |connection| {
            let mut query = connection.prepare_cached(query)?;
            let counts = lists.iter().map(|list| {
                query.query_row(params![list.name, list.status, whole(at_most)], |row| row.get::<_, i64>(0))
            });
            Ok(counts.sum::<Result<i64, _>>()?)
        });
        Ok(usize::try_from(count.await?).unwrap_or(0).min(at_most))
    }

    async fn due(&self, kind: &'static str, before: Timestamp, limit: usize) -> Result<Vec<Found>, LedgerError> {
        let query = format!("{FOUND} WHERE due_at < ?1 AND kind = ?2 ORDER BY due_at, partition LIMIT ?3");
        self.threads.all(query, (before.as_microsecond(), kind, whole(limit)), found).await
    }

    async fn waiting_since(&self) -> Result<Option<Timestamp>, LedgerError> {
        let query = "SELECT waits_since FROM records WHERE waits_since IS NOT NULL ORDER BY waits_since LIMIT 1";
        Ok(self.threads.all(query, [], |row| time(row.get(0)?)).await?.pop())
    }

    async fn named(&self, name: &'static str, at_most: usize) -> Result<(usize, Option<Timestamp>), LedgerError> {
        let query = "SELECT named_at FROM records WHERE name = ?1 ORDER BY named_at LIMIT ?2";
        let times = self.threads.all(query, (name, whole(at_most)), |row| time(row.get(0)?)).await?;
        Ok((times.len(), times.first().copied()))
    }

    async fn latest(&self, name: String) -> Result<Option<Found>, LedgerError> {
        let query = format!(
            "{FOUND} WHERE name = ?1 AND (expires_at IS NULL OR expires_at > ?2) ORDER BY named_at DESC LIMIT 1"
        );
        Ok(self.threads.all(query, (name, self.clock.now().as_microsecond()), found).await?.pop())
    }

    async fn erase_expired(&self, now: Timestamp) -> Result<(), LedgerError> {
        let delete = "DELETE FROM records WHERE expires_at <= ?1";
        let erase = self.threads.write(move |connection, _| {
            connection.execute(delete, [now.as_microsecond()])?;
            Ok(Written::Done)
        });
        erase.await?;
        // The log still has pages as they were. If somebody is reading them, the next run empties it.
        self.threads.all("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).await.map(drop)
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        self.threads.all("SELECT 1 FROM records LIMIT 1", [], |_| Ok(())).await?;
        self.threads.write(|_, _| Ok(Written::Done)).await.map(drop)
    }
}

/// The record of a key, unless it has expired or is not in the list.
fn find(connection: &Connection, key: &Key, list: Option<&str>, now: i64) -> Result<Option<Found>, Failure> {
    let query = "SELECT body, version, expires_at, place FROM records
         WHERE partition = ?1 AND kind = ?2 AND (expires_at IS NULL OR expires_at > ?3) AND (?4 IS NULL OR list = ?4)";
    Ok(connection.prepare_cached(query)?.query_row(params![key.partition, key.kind, now, list], found).optional()?)
}

/// The heads of chains. A group of writes is one transaction, so it reads each head once, and writes it once at its end.
#[derive(Clone, Default)]
struct Heads {
    /// As the group found them.
    found: chain::Heads,
    /// As its writes have left them so far.
    left: chain::Heads,
}

impl Heads {
    /// Adds entries to the chain of their list, without its head. An entry that is there already stays as it is.
    fn add(&mut self, connection: &Connection, entries: &[Record], now: i64) -> Result<(), Failure> {
        for entry in entries {
            let Some((list, _)) = &entry.list else { continue };
            if !self.left.contains_key(&list.name) {
                let head = find(connection, &chain::head_key(&list.name, CHAIN), None, now)?;
                let head = chain::Head::read(head.as_ref()).map_err(Failure::new)?;
                self.found.insert(list.name.clone(), head.clone());
                self.left.insert(list.name.clone(), head);
            }
            let previous = self.left.get(&list.name).and_then(Option::as_ref);
            let (body, head) = chain::link(entry, CHAIN, previous);
            if insert(connection, NEW, entry, &body)? {
                self.left.insert(list.name.clone(), Some(head));
            }
        }
        Ok(())
    }

    /// Writes the heads that were moved.
    fn write(&self, connection: &Connection) -> Result<(), Failure> {
        let moved = chain::moved(&self.found, &self.left, CHAIN).map_err(Failure::new)?;
        // It is the same transaction that found them.
        moved.iter().try_for_each(|(head, _)| insert(connection, OVER, head, &head.body).map(drop))
    }
}

/// The writes that other records ask for, as they are now.
fn derive(connection: &Connection, writes: &[Write], now: i64) -> Result<Vec<Write>, Failure> {
    let mut derived = Vec::new();
    for write in writes {
        if let Write::Derived(key, Derive(records)) = write
            && let Some(there) = find(connection, key, None, now)?
        {
            derived
                .extend(records(&there).map_err(Failure::new)?.into_iter().map(|record| Write::Put(record, If::Any)));
        }
    }
    Ok(derived)
}

/// Inserts a record with this body by [`OVER`] or [`NEW`], and tells whether it did.
fn insert(connection: &Connection, how: &str, record: &Record, body: &str) -> Result<bool, Failure> {
    let mut insert = connection.prepare_cached(how)?;
    bind(&mut insert, record, body)?;
    Ok(insert.raw_execute()? > 0)
}

/// Binds the columns of a record with this body.
fn bind(statement: &mut Statement<'_>, record: &Record, body: &str) -> rusqlite::Result<()> {
    let Record { key, version, expires_at, list, due_at, waits_since, name, .. } = record;
    // A key that is the list and the place says it already, and its index serves the list.
    let list = list.as_ref().filter(|_| !record.is_part_of_list());
    let values: [&dyn ToSql; 12] = [
        &key.partition,
        &key.kind,
        &body,
        version,
        &expires_at.map(Timestamp::as_microsecond),
        &list.and_then(|(list, _)| list.status),
        &due_at.map(Timestamp::as_microsecond),
        &waits_since.map(Timestamp::as_microsecond),
        &list.map(|(list, _)| &list.name),
        &list.map(|(_, place)| place),
        &name.as_ref().map(|(name, _)| name),
        &name.as_ref().map(|(_, time)| time.as_microsecond()),
    ];
    (1..).zip(values).try_for_each(|(place, value)| statement.raw_bind_parameter(place, value))
}

/// Writes a record if its condition holds.
fn put(connection: &Connection, record: &Record, condition: &If, now: i64) -> Result<Written, Failure> {
    // Another version mostly keeps its row and its place, so that it changes only the indexes that it has to.
    let update =
        "UPDATE records SET body = ?3, version = ?4, expires_at = ?5, status = ?6, due_at = ?7, waits_since = ?8,
             name = ?11, named_at = ?12
         WHERE partition = ?1 AND kind = ?2 AND list IS ?9 AND place IS ?10
             AND version = ?13 AND (expires_at IS NULL OR expires_at > ?14)";
    let written = match condition {
        If::Any => insert(connection, OVER, record, &record.body)?,
        If::Absent => insert(connection, NEW, record, &record.body)?,
        If::Version(version) => {
            let mut update = connection.prepare_cached(update)?;
            bind(&mut update, record, &record.body)?;
            update.raw_bind_parameter(13, version)?;
            update.raw_bind_parameter(14, now)?;
            update.raw_execute()? > 0
        }
    };
    if written {
        return Ok(Written::Done);
    }
    // It may be another place, or what is there may have expired.
    let there = find(connection, &record.key, None, now)?;
    let holds = match (condition, &there) {
        (If::Version(version), Some(there)) => there.version.as_ref() == Some(version),
        (If::Absent, there) => there.is_none(),
        _ => false,
    };
    if !holds {
        return Ok(Written::Refused(there));
    }
    insert(connection, OVER, record, &record.body)?;
    Ok(Written::Done)
}

/// Applies a write if its precondition holds.
fn apply(connection: &Connection, write: &Write, now: i64) -> Result<Written, Failure> {
    let (key, holds) = match write {
        Write::Put(record, condition) => return put(connection, record, condition, now),
        Write::Delete(key, condition) => {
            let delete = "DELETE FROM records WHERE partition = ?1 AND kind = ?2
                 AND (?3 IS NULL OR (version = ?3 AND (expires_at IS NULL OR expires_at > ?4)))";
            let version = if let If::Version(version) = condition { Some(version) } else { None };
            let deleted = connection.prepare_cached(delete)?.execute(params![key.partition, key.kind, version, now])?;
            (key, deleted > 0 || version.is_none())
        }
        // An expired record stays expired.
        Write::Expire(key, end) => {
            let expire = "UPDATE records SET expires_at = ?3
                 WHERE partition = ?1 AND kind = ?2 AND (expires_at IS NULL OR expires_at > ?4)";
            let end = end.map(Timestamp::as_microsecond);
            connection.prepare_cached(expire)?.execute(params![key.partition, key.kind, end, now])?;
            (key, true)
        }
        // The derived records are written instead.
        Write::Derived(key, _) => (key, true),
        Write::Body(key, [before, body]) => {
            let update = "UPDATE records SET body = ?4 WHERE partition = ?1 AND kind = ?2 AND body = ?3
                 AND (expires_at IS NULL OR expires_at > ?5)";
            let values = params![key.partition, key.kind, before, body, now];
            (key, connection.prepare_cached(update)?.execute(values)? > 0)
        }
    };
    Ok(if holds { Written::Done } else { Written::Refused(find(connection, key, None, now)?) })
}

fn found(row: &Row<'_>) -> rusqlite::Result<Found> {
    let expires_at = row.get::<_, Option<i64>>(2)?.map(time).transpose()?;
    Ok(Found { body: row.get(0)?, version: row.get(1)?, expires_at, place: row.get(3)? })
}

fn time(micros: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(micros).map_err(|_| rusqlite::Error::InvalidQuery)
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
