//! The records as items of the table: see [`super::DynamoLedger`].

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{AuditEntry, Job, JobId, JobStatus, KeyId, KeyRecord, PlanId, Provider, WorkspaceId};
use engine::ports::{LedgerError, OutboxEntry, Sealed, StoredConnection, StoredPlan};
use jiff::Timestamp;
use uuid::Uuid;

/// Attributes by name: an item of the table, its key, or the values of an expression.
pub type Item = HashMap<String, AttributeValue>;

/// The sort keys, one for each kind of item.
pub const JOB: &str = "JOB";
pub const CONTENTS: &str = "CONTENTS";
pub const PLAN: &str = "PLAN";
pub const OUTBOX: &str = "OUTBOX";
pub const KEY: &str = "KEY";
pub const ROLLOUT: &str = "ROLLOUT";
pub const CONNECTION: &str = "CONNECTION";
pub const WORKSPACE: &str = "WORKSPACE";
pub const AUDIT: &str = "AUDIT";

/// The list of all API keys.
pub const KEYS_LIST: &str = "KEYS";

/// Open jobs are spread over this many partitions, to spread the writes.
pub const SHARDS: u8 = 16;

/// An item has at most 400 KB with its names and keys. Longer texts continue in further items.
const PART: usize = 380_000;
/// More would not fit into one transaction.
const MOST_PARTS: usize = 10;
/// The number of the last possible part, counted from 0.
pub const LAST_PART: usize = MOST_PARTS - 1;

pub fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub fn number(number: &impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A time in microseconds since 1970.
pub fn micros(time: Timestamp) -> AttributeValue {
    number(&time.as_microsecond())
}

pub fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.map(|(name, value)| (name.to_owned(), value)).into()
}

/// An item's primary key.
pub fn key(pk: &str, sk: &str) -> Item {
    item([("pk", text(pk)), ("sk", text(sk))])
}

/// An item with this primary key and these attributes.
fn keyed<const N: usize>(pk: &str, sk: &str, attributes: [(&str, AttributeValue); N]) -> Item {
    let mut keyed = key(pk, sk);
    keyed.extend(item(attributes));
    keyed
}

pub fn job_pk(id: JobId) -> String {
    format!("JOB#{id}")
}

pub fn plan_pk(id: PlanId) -> String {
    format!("PLAN#{id}")
}

pub fn rollout_pk(provider: Provider) -> String {
    format!("ROLLOUT#{}", provider.as_str())
}

pub fn key_pk(id: &KeyId) -> String {
    format!("KEY#{id}")
}

pub fn workspace_pk(id: &WorkspaceId) -> String {
    format!("WORKSPACE#{id}")
}

/// A workspace's id contains no `#`.
pub fn connection_pk(workspace: &WorkspaceId, provider: Provider) -> String {
    format!("CONNECTION#{workspace}#{}", provider.as_str())
}

/// The list of a workspace's jobs. A workspace's id contains no `#`.
pub fn jobs_list(workspace: &WorkspaceId) -> String {
    format!("W#{workspace}")
}

/// The list of its jobs with one status.
pub fn status_list(workspace: &WorkspaceId, status: JobStatus) -> String {
    format!("W#{workspace}#{}", status.as_str())
}

/// The list of a workspace's outbox.
pub fn outbox_list(workspace: &WorkspaceId) -> String {
    format!("W#{workspace}#OUTBOX")
}

/// The list of a workspace's audit, or of the whole deployment's.
pub fn audit_list(workspace: Option<&WorkspaceId>) -> String {
    workspace.map_or_else(|| "AUDIT".to_owned(), |workspace| format!("W#{workspace}#AUDIT"))
}

/// A partition of open jobs.
pub fn open_list(shard: u8) -> String {
    format!("OPEN#{shard}")
}

/// A partition of jobs that no worker has claimed.
pub fn waiting_list(shard: u8) -> String {
    format!("WAITS#{shard}")
}

/// A place in a list: by time, then id.
pub fn place(time: Timestamp, id: Uuid) -> String {
    format!("{:020}#{id}", time.as_microsecond().max(0))
}

/// A record as JSON.
pub fn body(record: &impl serde::Serialize) -> Result<AttributeValue, LedgerError> {
    serde_json::to_string(record).map(text).map_err(|_| unreadable())
}

/// The record in an item's body.
pub fn read_body<T: serde::de::DeserializeOwned>(item: &Item) -> Result<T, LedgerError> {
    serde_json::from_str(string(item, "body")?).map_err(|_| unreadable())
}

pub fn audit_item(entry: &AuditEntry) -> Result<Item, LedgerError> {
    let list = [
        ("list_pk", text(audit_list(entry.workspace_id.as_ref()))),
        ("list_sk", text(place(entry.at, entry.entry_id))),
        ("body", body(entry)?),
    ];
    let mut item = keyed(&format!("AUDIT#{}", entry.entry_id), AUDIT, list);
    expire(&mut item, entry.expires_at());
    Ok(item)
}

pub fn key_item(record: &KeyRecord) -> Result<Item, LedgerError> {
    let place = format!("{:020}#{}", record.created_at.as_microsecond(), record.key_id);
    let list = [("list_pk", text(KEYS_LIST)), ("list_sk", text(place)), ("body", body(record)?)];
    Ok(keyed(&key_pk(&record.key_id), KEY, list))
}

pub fn read_key(item: &Item) -> Result<KeyRecord, LedgerError> {
    read_body(item)
}

pub fn connection_item(connection: &StoredConnection) -> Result<Item, LedgerError> {
    let attributes = [("version", text(connection.version.to_string())), ("body", body(connection)?)];
    Ok(keyed(&connection_pk(&connection.workspace, connection.provider), CONNECTION, attributes))
}

pub fn read_connection(item: &Item) -> Result<StoredConnection, LedgerError> {
    read_body(item)
}

/// A job as an item. An open job is in the index of open jobs, and until a worker claims it, in that of waiting ones.
pub fn job_item(job: &Job) -> Result<Item, LedgerError> {
    let attributes = [
        ("body", body(job)?),
        ("revision", number(&job.revision)),
        ("list_pk", text(jobs_list(&job.workspace_id))),
        ("list_sk", text(place(job.created_at, job.job_id.0))),
        ("status_pk", text(status_list(&job.workspace_id, job.state.status()))),
    ];
    let mut job_item = keyed(&job_pk(job.job_id), JOB, attributes);
    if !job.state.has_ended() {
        // The last byte of a job's id is of a hash, so the shards are even.
        let [.., last] = job.job_id.0.into_bytes();
        let shard = last % SHARDS;
        job_item.extend(item([("open_pk", text(open_list(shard))), ("due_at", micros(job.due_at()))]));
        if let Some(since) = job.waits_since() {
            job_item.extend(item([("waits_pk", text(waiting_list(shard))), ("waits_since", micros(since))]));
        }
    }
    if let Some(time) = job.record_expires_at() {
        expire(&mut job_item, time);
    }
    Ok(job_item)
}

pub fn read_job(item: &Item) -> Result<Job, LedgerError> {
    read_body(item)
}

/// A sealed text in the first item, and in further ones if it is too long. Only the first has other attributes.
pub fn sealed_items(mut first: Item, sealed: &Sealed, expires_at: Option<Timestamp>) -> Result<Vec<Item>, LedgerError> {
    // A sealed text is ASCII, so that it can be cut anywhere.
    let parts: Vec<&str> = sealed
        .0
        .as_bytes()
        .chunks(PART)
        .map(std::str::from_utf8)
        .collect::<Result<_, _>>()
        .map_err(|_| LedgerError::permanent("a sealed text is not ASCII"))?;
    if parts.len() > MOST_PARTS {
        return Err(LedgerError::permanent("a sealed text is too long for one transaction"));
    }
    let (pk, sk) = (string(&first, "pk")?.to_owned(), string(&first, "sk")?.to_owned());
    first.insert("parts".to_owned(), number(&parts.len().max(1)));
    let mut items = vec![first];
    items.extend((1..parts.len()).map(|part| key(&pk, &part_sk(&sk, part))));
    for (place, item) in items.iter_mut().enumerate() {
        item.insert("sealed".to_owned(), text(parts.get(place).copied().unwrap_or_default()));
        if let Some(time) = expires_at {
            expire(item, time);
        }
    }
    Ok(items)
}

/// The sort key of a part. There are at most ten, so they sort in order.
pub fn part_sk(sk: &str, part: usize) -> String {
    if part == 0 { sk.to_owned() } else { format!("{sk}#{part}") }
}

/// The sealed text of all its parts.
pub fn join(parts: &[Item]) -> Result<Sealed, LedgerError> {
    Ok(Sealed(parts.iter().map(|part| string(part, "sealed")).collect::<Result<_, _>>()?))
}

pub fn parts(first: &Item) -> usize {
    integer(first, "parts").and_then(|parts| usize::try_from(parts).ok()).unwrap_or(1)
}

pub fn plan_items(plan: &StoredPlan) -> Result<Vec<Item>, LedgerError> {
    let first = keyed(&plan_pk(plan.plan_id), PLAN, [("workspace", text(plan.workspace.as_str()))]);
    sealed_items(first, &plan.sealed, Some(plan.expires_at))
}

pub fn outbox_items(entry: &OutboxEntry) -> Result<Vec<Item>, LedgerError> {
    let list = [
        ("list_pk", text(outbox_list(&entry.workspace))),
        ("list_sk", text(place(entry.written_at, entry.job_id.0))),
        ("written_at", micros(entry.written_at)),
    ];
    sealed_items(keyed(&job_pk(entry.job_id), OUTBOX, list), &entry.sealed, Some(entry.expires_at))
}

/// Sets an item's expiry: exactly in `expires_micros`, for reads and conditions, and rounded up to
/// seconds in `expires_at`, after which DynamoDB deletes it within days.
pub fn expire(item: &mut Item, time: Timestamp) {
    item.insert("expires_micros".to_owned(), micros(time));
    item.insert("expires_at".to_owned(), number(&ttl(time)));
}

/// The time in seconds, rounded up.
pub fn ttl(time: Timestamp) -> i64 {
    let micros = time.as_microsecond();
    micros.div_euclid(1_000_000) + i64::from(micros.rem_euclid(1_000_000) > 0)
}

/// Whether an item has not expired.
pub fn is_alive(item: &Item, now: Timestamp) -> bool {
    integer(item, "expires_micros").is_none_or(|end| end > now.as_microsecond())
}

pub fn string<'i>(item: &'i Item, name: &str) -> Result<&'i str, LedgerError> {
    item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str).ok_or_else(unreadable)
}

pub fn integer(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

pub fn time(item: &Item, name: &str) -> Result<Timestamp, LedgerError> {
    integer(item, name).and_then(|micros| Timestamp::from_microsecond(micros).ok()).ok_or_else(unreadable)
}

/// The job that an item belongs to.
pub fn job_id(item: &Item) -> Result<JobId, LedgerError> {
    string(item, "pk")?.strip_prefix("JOB#").and_then(|id| id.parse().ok()).ok_or_else(unreadable)
}

/// The message contains nothing of the record.
fn unreadable() -> LedgerError {
    LedgerError::permanent("a record cannot be read")
}

#[cfg(test)]
mod tests {
    use contracts::sample_job;

    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_microsecond(micros).unwrap()
    }

    #[test]
    fn a_long_text_is_cut_and_joined_and_no_item_is_too_large() {
        for length in [0, 1, PART, PART + 1, 1_400_000] {
            let sealed = Sealed("x".repeat(length));
            let items = sealed_items(key("p", CONTENTS), &sealed, Some(at(1))).unwrap();
            assert_eq!((items.len(), parts(&items[0])), (length.div_ceil(PART).max(1), items.len()));
            assert_eq!(join(&items).unwrap(), sealed);
            let names: Vec<_> = items.iter().map(|item| string(item, "sk").unwrap()).collect();
            assert!(names.is_sorted() && names.iter().all(|name| name.starts_with(CONTENTS)), "{names:?}");
        }
        assert!(sealed_items(key("p", CONTENTS), &Sealed("x".repeat(4_000_000)), None).is_err());
        assert!(sealed_items(key("p", CONTENTS), &Sealed("xé".repeat(PART)), None).is_err());
    }

    #[test]
    fn ttl_never_deletes_an_item_early() {
        assert_eq!([0, 1, 999_999, 1_000_000, 1_000_001].map(|micros| ttl(at(micros))), [0, 1, 1, 1, 2]);
        let mut item = key("p", PLAN);
        assert!(is_alive(&item, Timestamp::MAX));
        expire(&mut item, at(5));
        assert!(is_alive(&item, at(4)) && !is_alive(&item, at(5)));
    }

    #[test]
    fn places_sort_like_times() {
        let id = sample_job(&"local".parse().unwrap(), "a", at(0)).job_id.0;
        let times = [at(-5), at(0), at(9), at(10), at(1_800_000_000_000_000), Timestamp::MAX];
        assert!(times.map(|time| place(time, id)).is_sorted());
    }

    #[test]
    fn only_an_open_job_is_in_the_index_of_open_jobs() {
        let job = sample_job(&"local".parse().unwrap(), "a", at(7));
        let item = job_item(&job).unwrap();
        assert!(item.contains_key("open_pk") && !item.contains_key("expires_at"));
        let item = job_item(&job.cancelled(at(8)).unwrap()).unwrap();
        assert!(!item.contains_key("open_pk") && !item.contains_key("due_at") && item.contains_key("expires_at"));
        assert_eq!(job_id(&item).unwrap(), job.job_id);
    }
}
