//! The ledger's records in a DynamoDB table.

mod calls;
mod items;
mod table;

use std::{
    collections::BTreeSet,
    iter,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::TransactWriteItem,
};
use calls::Search;
use engine::ports::{Clock, Ids, LedgerError};
use futures_util::future::{try_join, try_join_all};
use items::{Item, Name, SHARDS};
pub use items::{pack, unpack};
use jiff::Timestamp;
use tokio::sync::OnceCell;

use super::{Sdk, failure};
use crate::ledger::{
    Derive, END, Found, If, Key, List, Record, RecordLedger, Records, SCANNED, Scanned, Write, Written, chain,
};

/// The smallest page of a list. Records that have expired or moved are skipped, so a page may give fewer.
const LEAST_PAGE: usize = 20;
/// The largest page: one BatchGetItem reads as many records.
const MOST_PAGE: usize = 100;
/// How many records of a partition of `open_jobs` are read for one answer. The next sweep finds more, as jobs end.
const MOST_LOOKED: usize = 1_000;

/// The ledger in one DynamoDB table: see [`DynamoRecords`].
pub type DynamoLedger = RecordLedger<DynamoRecords>;

/// Records as items of a DynamoDB table.
///
/// # The table
///
/// | attribute | of |
/// | --- | --- |
/// | `pk`, `sk` | every record: its partition and kind |
/// | `body` | every record: from 512 bytes on deflated, as binary ([`pack`]). If it has over 380,000 bytes, it is not, and `parts` is the number of its items: the further ones have `<sk>#1` to `#9`, and the same transaction writes all |
/// | `version` | a record with versions |
/// | `list_pk`, `list_sk` | a record in a list: the list and the place in it |
/// | `status_pk` | a record in a list with a status: `<list>#<status>` |
/// | `open_pk`, `due_at` | a record that is due: `OPEN#<0 to 15>`, by a hash of its partition; of another kind than a job's, `OPEN#<kind>#<0 to 15>`; not before this time |
/// | `due` | the same: when it is due |
/// | `waits_since` | a record that waits |
/// | `waits_pk` | a record with a name: the name. Its `waits_since` is the time of the name |
/// | `expires_micros`, `expires_at` | a record that expires |
///
/// An entry of the audit lies in its list, and so needs no index: `pk` is `<list>#<0 to 15>`, by a hash of its place, and
/// `sk` the place. Those of earlier versions are found by the index.
///
/// Times are microseconds since 1970. Reads and conditions use `expires_micros`; `expires_at`, in seconds, is the
/// table's TTL attribute: DynamoDB deletes late, even by days.
///
/// | index (keys only) | keys | for |
/// | --- | --- | --- |
/// | `by_workspace` | `list_pk`, `list_sk` | lists. A change of a record does not touch it |
/// | `by_status` | `status_pk`, `list_sk` | lists of one status; completed jobs have none |
/// | `open_jobs` | `open_pk`, `due_at` | due records, and the record that waits longest, over 16 partitions. A claim and the steps to the end do not touch it |
/// | `waiting_jobs` | `waits_pk`, `waits_since` | records by name: jobs that wait for people, and those that were the last with a content |
///
/// An index lags by some milliseconds. That is harmless: it only names records, which are read consistently from the
/// table and skipped if they no longer fit. A record that the index does not name yet appears a moment later, and in the
/// next sweep.
///
/// # Calls
///
/// | what | calls |
/// | --- | --- |
/// | one write | 1 PutItem, or 1 TransactWriteItems for a deletion |
/// | several writes, up to 100 items | 1 TransactWriteItems. 1 more for each record that is to expire and is gone or lies in several items |
/// | entries of a chain, with or without writes | 1 GetItem of the chain's head before (1 BatchGetItem, where the write also depends on another record), and the head is 1 more item. 1 more TransactWriteItems each time another process was quicker at the same of the list's 16 chains |
/// | get | 1 GetItem, or 1 BatchGetItem for every 100 records; 1 Query for every MB of further parts |
/// | list | 1 Query and 1 BatchGetItem for every 100; of the audit 16 Queries more, at once |
/// | due records | 16 Queries at once, then 1 BatchGetItem for every 100 of each |
/// | the record that waits longest | 16 Queries at once, and 1 BatchGetItem for each that names records |
/// | how many records have a name | 1 Query |
/// | the latest of a name | 1 Query, and 1 GetItem or BatchGetItem if there is one |
/// | count | 1 Query for each list, at once |
/// | scan | 1 Scan for every 20 items, which only a change of the sealing key asks for |
///
/// A call that conflicts with another transaction is tried six times, with growing pauses.
pub struct DynamoRecords {
    sdk: Arc<Sdk>,
    table: String,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    client: OnceCell<Client>,
    /// The chain that the next write adds to. Each process begins at one of its own.
    next_chain: AtomicU8,
}

impl DynamoLedger {
    /// The ledger in this table.
    pub fn new(sdk: Arc<Sdk>, table: impl Into<String>, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        let next_chain = AtomicU8::new(ids.uuid().into_bytes()[15]);
        let (table, client) = (table.into(), OnceCell::new());
        Self { records: DynamoRecords { sdk, table, clock, ids, client, next_chain }, queue: None }
    }

    /// Creates the table with its indexes and TTL, billed by use, unless it exists. Returns when it is active.
    pub async fn create_table(&self) -> Result<(), LedgerError> {
        self.records.create_table().await
    }
}

impl Records for DynamoRecords {
    const SHARED: bool = true;

    async fn get(&self, keys: Vec<Key>, list: Option<String>) -> Result<Vec<Option<Found>>, LedgerError> {
        let names: Vec<Name> = keys.into_iter().map(|key| (key.partition, key.kind.to_owned())).collect();
        let items = self.items(names.clone()).await?;
        let mut found = Vec::with_capacity(names.len());
        for name in &names {
            let is_listed = |item: &&Item| {
                list.as_deref().is_none_or(|list| items::string(item, "list_pk").is_ok_and(|of| of == list))
            };
            found.push(self.found(items.get(name).filter(is_listed)).await?);
        }
        Ok(found)
    }

    async fn write(&self, mut writes: Vec<Write>, mut entries: Vec<Record>) -> Result<Written, LedgerError> {
        let number = self.next_chain.fetch_add(1, Ordering::Relaxed) % chain::CHAINS;
        let mut heads = self.read_for(&mut writes, &entries, number).await?;
        // How many items each record has that is to expire. DynamoDB tells it when it refuses another number.
        let mut parts = vec![1; writes.len()];
        loop {
            let mut moved = heads.clone();
            let linked = link_all(&entries, number, &mut moved).into_iter().map(|entry| (entry, If::Absent));
            let linked = linked.chain(chain::moved(&heads, &moved, number)?);
            let linked: Vec<_> = linked.map(|(record, condition)| Write::Put(record, condition)).collect();
            let mut actions = Vec::with_capacity(writes.len() + linked.len());
            let mut owners = Vec::with_capacity(actions.capacity());
            for (place, write) in writes.iter().chain(&linked).enumerate() {
                actions.extend(self.actions(write, parts.get(place).copied().unwrap_or(1)).await?);
                owners.resize(actions.len(), place);
            }
            let refused = self.write_together(&actions).await?;
            if refused.is_empty() {
                return Ok(Written::Done);
            }
            let mut known = Vec::new();
            for (action, there) in refused {
                let place = owners[action];
                if let Some(place) = place.checked_sub(writes.len() + entries.len()) {
                    // Another process has added an entry to the chain.
                    let moved = lists(&entries).into_iter().nth(place).map(str::to_owned);
                    let head = chain::Head::read(self.found(Some(&there)).await?.as_ref())?;
                    heads.extend(moved.map(|list| (list, head)));
                    continue;
                }
                if let Some(place) = place.checked_sub(writes.len()) {
                    known.push(place);
                    continue;
                }
                if !matches!(writes[place], Write::Expire(..)) {
                    return Ok(Written::Refused(self.found(Some(&there)).await?));
                }
                let count = items::parts(&there);
                let more = items::is_alive(&there, self.clock.now()) && count > parts[place];
                parts[place] = if more { count } else { 0 };
            }
            for place in known.into_iter().rev() {
                entries.remove(place);
            }
        }
    }

    async fn list(&self, list: List, before: String, limit: usize) -> Result<Vec<Found>, LedgerError> {
        let search = Search::list(&list, &before);
        let named = self.by_index(&search, limit);
        if !list.holds_its_records() {
            return named.await;
        }
        let (mut listed, held) = try_join(named, self.list_held(&list, &before, limit)).await?;
        listed.extend(held);
        listed.sort_by(|a, b| b.place.cmp(&a.place));
        listed.truncate(limit);
        Ok(listed)
    }

    async fn scan(&self, kinds: &'static [&'static str], after: Option<String>) -> Result<Scanned, LedgerError> {
        let start = after.as_deref().and_then(|after| after.split_once('\n')).map(|(pk, sk)| items::key(pk, sk));
        let scan = self.client().await.scan().table_name(&self.table).consistent_read(true);
        let scan = scan.limit(i32::try_from(SCANNED).unwrap_or(i32::MAX)).set_exclusive_start_key(start);
        let page = scan.send().await.map_err(failed("Scan"))?;
        let mut scanned = Vec::new();
        for item in page.items.unwrap_or_default() {
            let (partition, sk) = items::name(&item)?;
            // Further parts of a long body have other kinds.
            if let Some(kind) = kinds.iter().copied().find(|kind| *kind == sk)
                && let Some(found) = self.found(Some(&item)).await?
            {
                scanned.push((Key { partition, kind }, found));
            }
        }
        let next = page.last_evaluated_key.as_ref().map(items::name).transpose()?;
        Ok((scanned, next.map(|(pk, sk)| format!("{pk}\n{sk}"))))
    }

    async fn count(&self, lists: Vec<List>, at_most: usize) -> Result<usize, LedgerError> {
        let counts = lists.iter().map(async |list| self.count_entries(&Search::list(list, END), at_most).await);
        Ok(try_join_all(counts).await?.into_iter().sum::<usize>().min(at_most))
    }

    async fn due(&self, kind: &'static str, before: Timestamp, limit: usize) -> Result<Vec<Found>, LedgerError> {
        // Some may have ended or been touched since, which the index does not tell.
        let due_at = |item: &Item| items::due_at(item).filter(|at| *at < before.as_microsecond());
        let pick = |name: &Name, item: &Item| Some((due_at(item)?, name.clone(), item.clone()));
        let mut due = self.open(kind, before, limit, pick).await?;
        due.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        due.truncate(limit);
        let mut found = Vec::with_capacity(due.len());
        for (_, _, item) in &due {
            found.extend(self.found(Some(item)).await?);
        }
        Ok(found)
    }

    async fn waiting_since(&self) -> Result<Option<Timestamp>, LedgerError> {
        // Those that a worker has are named in between.
        let waits_since = |_: &Name, item: &Item| items::waits_since(item);
        Ok(self.open("JOB", Timestamp::MAX, 1, waits_since).await?.into_iter().min())
    }

    async fn named(&self, name: &'static str, at_most: usize) -> Result<(usize, Option<Timestamp>), LedgerError> {
        let entries = self.first_of(&Search::named(name, true), at_most).await?;
        let earliest = entries.first().map(|entry| items::time(entry, "waits_since")).transpose()?;
        Ok((entries.len(), earliest))
    }

    async fn latest(&self, name: String) -> Result<Option<Found>, LedgerError> {
        Ok(self.by_index(&Search::named(&name, false), 1).await?.pop())
    }

    /// Nothing to do: DynamoDB deletes what has expired.
    async fn erase_expired(&self, _: Timestamp) -> Result<(), LedgerError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        self.items([("PING".to_owned(), "PING".to_owned())]).await.map(drop)
    }
}

impl DynamoRecords {
    async fn client(&self) -> &Client {
        self.client.get_or_init(|| async { Client::new(self.sdk.config().await) }).await
    }

    /// What a write reads before: the heads of the chains that these entries are added to, and the records that others are
    /// derived from, which are added to the writes.
    async fn read_for(
        &self,
        writes: &mut Vec<Write>,
        entries: &[Record],
        number: u8,
    ) -> Result<chain::Heads, LedgerError> {
        let lists: Vec<String> = lists(entries).into_iter().map(str::to_owned).collect();
        let (keys, derives): (Vec<Key>, Vec<Derive>) = writes
            .iter()
            .filter_map(|write| match write {
                Write::Derived(key, derive) => Some((key.clone(), derive.clone())),
                _ => None,
            })
            .unzip();
        let heads = lists.iter().map(|list| chain::head_key(list, number));
        let mut found = self.get(heads.chain(keys).collect(), None).await?;
        for (there, Derive(records)) in found.split_off(lists.len()).iter().zip(derives) {
            let records = there.as_ref().map(|there| records(there)).transpose()?.unwrap_or_default();
            writes.extend(records.into_iter().map(|record| Write::Put(record, If::Any)));
        }
        lists.into_iter().zip(found).map(|(list, found)| Ok((list, chain::Head::read(found.as_ref())?))).collect()
    }

    /// The records that an index names, up to `limit`.
    async fn by_index(&self, search: &Search, limit: usize) -> Result<Vec<Found>, LedgerError> {
        let query = self.query(search, limit.clamp(LEAST_PAGE, MOST_PAGE)).await;
        let mut pages = query.into_paginator().send();
        let mut listed = Vec::new();
        while listed.len() < limit
            && let Some(page) = pages.next().await
        {
            let entries = page.map_err(|error| search.failed(error))?.items.unwrap_or_default();
            let names = entries.iter().map(items::name).collect::<Result<Vec<_>, _>>()?;
            let items = self.items(names.clone()).await?;
            for (name, entry) in names.iter().zip(&entries) {
                // A record whose status has changed since the index was written belongs to another list.
                listed.extend(self.found(items.get(name).filter(|item| search.lists(item, entry))).await?);
            }
        }
        listed.truncate(limit);
        Ok(listed)
    }

    /// Reads the records of a kind that may have been due before this time, the earliest first, until of each partition `limit`
    /// were picked or [`MOST_LOOKED`] read.
    async fn open<T>(
        &self,
        kind: &str,
        before: Timestamp,
        limit: usize,
        pick: impl Fn(&Name, &Item) -> Option<T>,
    ) -> Result<Vec<T>, LedgerError> {
        let shards = (0..SHARDS).map(async |shard| {
            let search = Search::due(kind, shard, before);
            let mut pages = self.query(&search, limit.clamp(LEAST_PAGE, MOST_PAGE)).await.into_paginator().send();
            let (mut picked, mut read) = (Vec::new(), 0);
            while picked.len() < limit
                && read < MOST_LOOKED
                && let Some(page) = pages.next().await
            {
                let entries = page.map_err(|error| search.failed(error))?.items.unwrap_or_default();
                read += entries.len();
                let names = entries.iter().map(items::name).collect::<Result<Vec<_>, _>>()?;
                let items = self.items(names.clone()).await?;
                picked.extend(names.iter().filter_map(|name| pick(name, items.get(name)?)));
            }
            Ok::<_, LedgerError>(picked)
        });
        Ok(try_join_all(shards).await?.into_iter().flatten().collect())
    }

    /// A list whose records lie in it.
    async fn list_held(&self, list: &List, before: &str, limit: usize) -> Result<Vec<Found>, LedgerError> {
        let shards = (0..SHARDS).map(async |shard| {
            let search = Search::held(list, shard, before);
            let query = self.query(&search, limit.clamp(LEAST_PAGE, MOST_PAGE)).await;
            let mut items = query.into_paginator().items().send();
            let mut held = Vec::new();
            while held.len() < limit
                && let Some(item) = items.next().await
            {
                let item = item.map_err(|error| search.failed(error))?;
                let (_, place) = items::name(&item)?;
                held.extend(self.found(Some(&item)).await?.map(|found| Found { place: Some(place), ..found }));
            }
            Ok::<_, LedgerError>(held)
        });
        Ok(try_join_all(shards).await?.into_iter().flatten().collect())
    }

    /// The first entries of one partition of an index, up to `limit`.
    async fn first_of(&self, search: &Search, limit: usize) -> Result<Vec<Item>, LedgerError> {
        let mut entries = self.query(search, limit).await.into_paginator().items().send();
        let mut first = Vec::new();
        while first.len() < limit
            && let Some(entry) = entries.next().await
        {
            first.push(entry.map_err(|error| search.failed(error))?);
        }
        Ok(first)
    }

    /// A write as actions of a transaction. A record that is to expire has this many items.
    async fn actions(&self, write: &Write, parts: usize) -> Result<Vec<TransactWriteItem>, LedgerError> {
        Ok(match write {
            Write::Put(record, condition) => {
                let conditions = iter::once(condition).chain(iter::repeat(&If::Any));
                items::of(record)?.into_iter().zip(conditions).map(|(item, when)| self.put(item, when)).collect()
            }
            Write::Delete(key, condition) => vec![self.delete(key, condition)],
            // The derived records are written instead.
            Write::Derived(..) => Vec::new(),
            Write::Expire(key, end) => (0..parts).map(|part| self.expire(key, part, parts, *end)).collect(),
            Write::Body(key, bodies) => {
                let [before, body] = bodies.each_ref().map(|body| items::bodies(body));
                let (mut before, body) = (before?, body?);
                if before.len() != body.len() {
                    return Err(LedgerError::permanent("a body is replaced by one of another length"));
                }
                // An earlier version may have packed it otherwise.
                let name = (key.partition.clone(), key.kind.to_owned());
                if let Some(there) = self.items([name.clone()]).await?.get(&name)
                    && items::body(there).is_ok_and(|there| there == bodies[0])
                {
                    before[0] = there["body"].clone();
                }
                let parts = before.into_iter().zip(body).enumerate();
                parts.map(|(part, bodies)| self.replace(key, part, bodies)).collect()
            }
        })
    }

    /// The record of an item, with the rest of its body, unless it has expired.
    async fn found(&self, item: Option<&Item>) -> Result<Option<Found>, LedgerError> {
        // DynamoDB deletes the items of an expired record one by one.
        let alive = item.filter(|item| !item.is_empty() && items::is_alive(item, self.clock.now()));
        let Some(item) = alive else { return Ok(None) };
        let mut body = items::body(item)?;
        let more = items::parts(item) - 1;
        if more > 0 {
            // There may be more, left by a longer record that has expired.
            let rest = self.further_parts(item).await?;
            if rest.len() < more {
                return Err(LedgerError::permanent("a part of a record is missing"));
            }
            for part in &rest[..more] {
                body += items::string(part, "body")?;
            }
        }
        let text = |name| items::string(item, name).ok().map(ToOwned::to_owned);
        let expires_at =
            item.contains_key("expires_micros").then(|| items::time(item, "expires_micros")).transpose()?;
        Ok(Some(Found { body, version: text("version"), expires_at, place: text("list_sk") }))
    }
}

/// A call that failed.
/// The names of the lists that these entries are for, each once.
fn lists(entries: &[Record]) -> BTreeSet<&str> {
    entries.iter().filter_map(|entry| Some(entry.list.as_ref()?.0.name.as_str())).collect()
}

/// The records of these entries with their links to a chain of their lists, whose heads they move.
fn link_all(entries: &[Record], number: u8, heads: &mut chain::Heads) -> Vec<Record> {
    let linked = entries.iter().filter_map(|entry| {
        let (list, _) = entry.list.as_ref()?;
        let (body, head) = chain::link(entry, number, heads.get(&list.name).and_then(Option::as_ref));
        heads.insert(list.name.clone(), Some(head));
        Some(Record { body, ..entry.clone() })
    });
    linked.collect()
}

fn failed<E: ProvideErrorMetadata, R>(operation: &str) -> impl FnOnce(SdkError<E, R>) -> LedgerError {
    move |error| LedgerError::new(failure(operation, &error))
}
