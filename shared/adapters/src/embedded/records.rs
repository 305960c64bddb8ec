//! The ledger's records in a SQLite file.

mod schema;
#[cfg(test)]
mod tests;
mod threads;

use std::{path::Path, sync::Arc};

use engine::ports::{Clock, LedgerError};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
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
                for write in &writes {
                    if let Some(refused) = refusal(connection, write, now)? {
                        return Ok(refused);
                    }
                }
                let derived = derive(connection, &writes, now)?;
                writes.iter().chain(&derived).try_for_each(|write| apply(connection, write, now))?;
                heads.add(connection, &entries, now)?;
                Ok(Written::Done)
            })
            .await
    }

    async fn list(&self, list: List, before: String, limit: usize) -> Result<Vec<Found>, LedgerError> {
        // Two queries, as each has its index.
        let of_status = if list.status.is_some() { "AND status = ?5" } else { "AND ?5 IS NULL" };
        let query = format!(
            "{FOUND} WHERE list = ?1 AND place < ?2 AND (expires_at IS NULL OR expires_at > ?3) {of_status}
             ORDER BY place DESC LIMIT ?4"
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

/// The answer if the precondition of a write fails.
fn refusal(connection: &Connection, write: &Write, now: i64) -> Result<Option<Written>, Failure> {
    let (key, condition) = match write {
        Write::Put(Record { key, .. }, condition) | Write::Delete(key, condition) => (key, condition),
        Write::Expire(..) | Write::Derived(..) => return Ok(None),
        Write::Body(key, [before, _]) => {
            let there = find(connection, key, None, now)?;
            let holds = there.as_ref().is_some_and(|there| there.body == *before);
            return Ok((!holds).then_some(Written::Refused(there)));
        }
    };
    let expected = match condition {
        If::Any => return Ok(None),
        If::Absent => None,
        If::Version(version) => Some(version),
    };
    let there = find(connection, key, None, now)?;
    let holds = match (&there, expected) {
        (None, None) => true,
        (Some(there), Some(version)) => there.version.as_ref() == Some(version),
        _ => false,
    };
    Ok((!holds).then_some(Written::Refused(there)))
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
        let mut new = Vec::with_capacity(entries.len());
        for entry in entries {
            new.extend(find(connection, &entry.key, None, now)?.is_none().then_some(entry));
        }
        for list in chain::lists(new.iter().copied()) {
            if !self.left.contains_key(list) {
                let head = find(connection, &chain::head_key(list, CHAIN), None, now)?;
                let head = chain::Head::read(head.as_ref()).map_err(Failure::new)?;
                self.found.insert(list.to_owned(), head.clone());
                self.left.insert(list.to_owned(), head);
            }
        }
        let linked = chain::link(new, CHAIN, &mut self.left);
        linked.iter().try_for_each(|entry| put(connection, entry, &If::Absent))
    }

    /// Writes the heads that were moved.
    fn write(&self, connection: &Connection) -> Result<(), Failure> {
        let moved = chain::moved(&self.found, &self.left, CHAIN).map_err(Failure::new)?;
        moved.iter().try_for_each(|(head, condition)| put(connection, head, condition))
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

fn put(connection: &Connection, record: &Record, condition: &If) -> Result<(), Failure> {
    let Record { key, body, version, expires_at, list, due_at, waits_since, name, .. } = record;
    let values = params![
        key.partition,
        key.kind,
        body,
        version,
        expires_at.map(Timestamp::as_microsecond),
        list.as_ref().and_then(|(list, _)| list.status),
        due_at.map(Timestamp::as_microsecond),
        waits_since.map(Timestamp::as_microsecond),
        list.as_ref().map(|(list, _)| &list.name),
        list.as_ref().map(|(_, place)| place),
        name.as_ref().map(|(name, _)| name),
        name.as_ref().map(|(_, time)| time.as_microsecond()),
    ];
    // Another version mostly keeps its row and its place, so that it changes only the indexes that it has to.
    let update =
        "UPDATE records SET body = ?3, version = ?4, expires_at = ?5, status = ?6, due_at = ?7, waits_since = ?8,
             name = ?11, named_at = ?12
         WHERE partition = ?1 AND kind = ?2 AND list IS ?9 AND place IS ?10";
    let insert = "INSERT OR REPLACE INTO records
             (partition, kind, body, version, expires_at, status, due_at, waits_since, list, place, name, named_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let keeps_place = matches!(condition, If::Version(_)) && connection.prepare_cached(update)?.execute(values)? > 0;
    if !keeps_place {
        connection.prepare_cached(insert)?.execute(values)?;
    }
    Ok(())
}

fn apply(connection: &Connection, write: &Write, now: i64) -> Result<(), Failure> {
    match write {
        Write::Put(record, condition) => put(connection, record, condition)?,
        Write::Delete(key, _) => {
            let delete = "DELETE FROM records WHERE partition = ?1 AND kind = ?2";
            connection.prepare_cached(delete)?.execute(params![key.partition, key.kind])?;
        }
        // An expired record stays expired.
        Write::Expire(key, end) => {
            let expire = "UPDATE records SET expires_at = ?3
                 WHERE partition = ?1 AND kind = ?2 AND (expires_at IS NULL OR expires_at > ?4)";
            let end = end.map(Timestamp::as_microsecond);
            connection.prepare_cached(expire)?.execute(params![key.partition, key.kind, end, now])?;
        }
        // The derived records are written instead.
        Write::Derived(..) => {}
        Write::Body(key, [_, body]) => {
            let update = "UPDATE records SET body = ?3 WHERE partition = ?1 AND kind = ?2";
            connection.prepare_cached(update)?.execute(params![key.partition, key.kind, body])?;
        }
    }
    Ok(())
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
