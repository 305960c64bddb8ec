//! The calls to DynamoDB, with what each answer means.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use aws_sdk_dynamodb::{
    operation::{
        delete_item::DeleteItemError, put_item::PutItemError, query::builders::QueryFluentBuilder,
        transact_write_items::TransactWriteItemsError,
    },
    types::{
        AttributeValue, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure, Select, TransactWriteItem, Update,
    },
};
use domain::Job;
use engine::ports::LedgerError;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    DynamoLedger, before,
    items::{self, CONTENTS, Item},
    table::unbuilt,
};
use crate::{aws::failure, backoff::Backoff};

/// How often a call is tried that conflicts with another transaction or is answered in part.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// The most keys of a BatchGetItem.
const BATCH: usize = 100;
/// How many batches of one read run at once.
const AT_ONCE: usize = 8;

/// The precondition of a write, on the item that it replaces.
pub struct Condition {
    expression: &'static str,
    values: Item,
}

impl Condition {
    /// There is no item, or it has expired.
    pub fn free(now: Timestamp) -> Self {
        Self::new("attribute_not_exists(pk) OR expires_micros <= :now", [(":now", items::micros(now))])
    }

    /// The item is the revision before this one, and has not expired.
    pub fn version_before(revision: u64, now: Timestamp) -> Self {
        let values = [(":before", items::number(&before(revision))), (":now", items::micros(now))];
        Self::new("revision = :before AND (attribute_not_exists(expires_micros) OR expires_micros > :now)", values)
    }

    /// The item is the revision before this one, of an open job, which does not expire.
    pub fn open_before(revision: u64) -> Self {
        let values = [(":before", items::number(&before(revision)))];
        Self::new("revision = :before AND attribute_exists(open_pk)", values)
    }

    /// The item has this version.
    pub fn is_version(version: Uuid) -> Self {
        Self::new("version = :version", [(":version", items::text(version.to_string()))])
    }

    /// The item has this version, or there is none.
    pub fn is_version_or_gone(version: Uuid) -> Self {
        let values = [(":version", items::text(version.to_string()))];
        Self::new("attribute_not_exists(pk) OR version = :version", values)
    }

    fn new<const N: usize>(expression: &'static str, values: [(&str, AttributeValue); N]) -> Self {
        Self { expression, values: items::item(values) }
    }
}

/// A query of an index.
pub struct Search {
    index: &'static str,
    condition: &'static str,
    values: Item,
    forward: bool,
}

impl Search {
    /// A list by time, newest first, from this place on.
    pub fn list(list: String, after: Option<String>) -> Self {
        let conditions = ["list_pk = :pk", "list_pk = :pk AND list_sk < :range"];
        Self::new("by_workspace", conditions, list, after.map(items::text), false)
    }

    /// A list by status and time, newest first.
    pub fn of_status(list: String, after: Option<String>) -> Self {
        let conditions = ["status_pk = :pk", "status_pk = :pk AND list_sk < :range"];
        Self::new("by_status", conditions, list, after.map(items::text), false)
    }

    /// Open jobs that were due before this time, the longest overdue first.
    pub fn open_before(shard: u8, before: i64) -> Self {
        let conditions = ["open_pk = :pk", "open_pk = :pk AND due_at < :range"];
        Self::new("open_jobs", conditions, items::open_list(shard), Some(items::number(&before)), true)
    }

    /// Jobs that no worker has claimed, the oldest first.
    pub fn waiting(shard: u8) -> Self {
        Self::new("waiting_jobs", ["waits_pk = :pk"; 2], items::waiting_list(shard), None, true)
    }

    /// The conditions are without and with a range.
    fn new(
        index: &'static str,
        conditions: [&'static str; 2],
        pk: String,
        range: Option<AttributeValue>,
        forward: bool,
    ) -> Self {
        let condition = conditions[usize::from(range.is_some())];
        let mut values = items::item([(":pk", items::text(pk))]);
        values.extend(range.map(|range| (":range".to_owned(), range)));
        Self { index, condition, values, forward }
    }
}

/// The outcome of a transaction.
pub enum Written {
    Done,
    /// Nothing was written. For each action in order, if its condition failed, the item that exists, empty if none.
    Refused(Vec<Option<Item>>),
}

impl DynamoLedger {
    /// A put, as an action of a transaction.
    pub(super) fn put(&self, item: Item, condition: Option<&Condition>) -> Result<TransactWriteItem, LedgerError> {
        let mut put = Put::builder().table_name(&self.table).set_item(Some(item));
        if let Some(condition) = condition {
            put = put
                .condition_expression(condition.expression)
                .set_expression_attribute_values(Some(condition.values.clone()))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        }
        Ok(TransactWriteItem::builder().put(put.build().map_err(unbuilt)?).build())
    }

    /// Sets the expiry of a part of a job's contents, as an action of a transaction. The contents must have this many
    /// parts, and must not have expired.
    pub(super) fn set_end(
        &self,
        job: &Job,
        part: usize,
        parts: usize,
        end: Option<Timestamp>,
    ) -> Result<TransactWriteItem, LedgerError> {
        let key = items::key(&items::job_pk(job.job_id), &items::part_sk(CONTENTS, part));
        let mut update = Update::builder().table_name(&self.table).set_key(Some(key));
        update = match end {
            Some(end) => update
                .update_expression("SET expires_micros = :micros, expires_at = :ttl")
                .expression_attribute_values(":micros", items::micros(end))
                .expression_attribute_values(":ttl", items::number(&items::ttl(end))),
            None => update.update_expression("REMOVE expires_micros, expires_at"),
        };
        update = if part == 0 {
            update
                .condition_expression(
                    "parts = :parts AND (attribute_not_exists(expires_micros) OR expires_micros > :now)",
                )
                .expression_attribute_values(":parts", items::number(&parts))
                .expression_attribute_values(":now", items::micros(self.clock.now()))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        } else {
            update.condition_expression("attribute_exists(pk)")
        };
        Ok(TransactWriteItem::builder().update(update.build().map_err(unbuilt)?).build())
    }

    /// Executes all of these actions, or none.
    ///
    /// The SDK sends a token, by which DynamoDB recognises the SDK's own retries after a lost answer.
    pub(super) async fn transact(&self, actions: &[TransactWriteItem]) -> Result<Written, LedgerError> {
        let mut backoff = self.backoff();
        loop {
            let call = self.client().await.transact_write_items().set_transact_items(Some(actions.to_vec()));
            let Err(error) = call.send().await else { return Ok(Written::Done) };
            let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error.as_service_error() else {
                return Err(LedgerError::new(failure("TransactWriteItems", &error)));
            };
            let reasons = canceled.cancellation_reasons();
            let refused = |code: Option<&str>| code == Some("ConditionalCheckFailed");
            if reasons.iter().any(|reason| refused(reason.code())) {
                let there = reasons
                    .iter()
                    .map(|reason| refused(reason.code()).then(|| reason.item().cloned().unwrap_or_default()));
                return Ok(Written::Refused(there.collect()));
            }
            let code = reasons.iter().filter_map(|reason| reason.code()).find(|code| *code != "None");
            let passing = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
            if !code.is_some_and(|code| passing.contains(&code)) || !backoff.again().await {
                return Err(LedgerError::new(format!("TransactWriteItems: {}", code.unwrap_or("cancelled"))));
            }
        }
    }

    /// Writes one item. If its condition fails, returns the item that exists, empty if none.
    pub(super) async fn put_item(
        &self,
        item: Item,
        condition: Option<&Condition>,
    ) -> Result<Option<Item>, LedgerError> {
        let mut backoff = self.backoff();
        loop {
            let mut call = self.client().await.put_item().table_name(&self.table).set_item(Some(item.clone()));
            if let Some(condition) = condition {
                call = call
                    .condition_expression(condition.expression)
                    .set_expression_attribute_values(Some(condition.values.clone()))
                    .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            }
            let Err(error) = call.send().await else { return Ok(None) };
            match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                    return Ok(Some(refused.item().cloned().unwrap_or_default()));
                }
                Some(PutItemError::TransactionConflictException(_)) if backoff.again().await => {}
                _ => return Err(LedgerError::new(failure("PutItem", &error))),
            }
        }
    }

    /// Deletes one item. Returns whether its condition held.
    pub(super) async fn delete_item(&self, key: Item, condition: &Condition) -> Result<bool, LedgerError> {
        let call = self.client().await.delete_item().table_name(&self.table).set_key(Some(key));
        let call = call
            .condition_expression(condition.expression)
            .set_expression_attribute_values(Some(condition.values.clone()));
        match call.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(LedgerError::new(failure("DeleteItem", &error))),
            },
        }
    }

    /// Writes the parts of one record, the first on a condition. If that fails, the record already exists.
    pub(super) async fn write(&self, parts: Vec<Item>, condition: Option<&Condition>) -> Result<(), LedgerError> {
        if let [only] = &parts[..] {
            return self.put_item(only.clone(), condition).await.map(drop);
        }
        let actions = parts
            .into_iter()
            .enumerate()
            .map(|(part, item)| self.put(item, condition.filter(|_| part == 0)))
            .collect::<Result<Vec<_>, _>>()?;
        self.transact(&actions).await.map(drop)
    }

    /// Reads items with these partition keys and this sort key, consistently.
    pub(super) async fn get(&self, pks: HashSet<String>, sk: &str) -> Result<HashMap<String, Item>, LedgerError> {
        let keys: Vec<Item> = pks.iter().map(|pk| items::key(pk, sk)).collect();
        if let [key] = &keys[..] {
            let call = self.client().await.get_item().table_name(&self.table).set_key(Some(key.clone()));
            let answer = call.consistent_read(true).send().await;
            let answer = answer.map_err(|error| LedgerError::new(failure("GetItem", &error)))?;
            return Ok(pks.into_iter().zip(answer.item).collect());
        }
        let batches: Vec<_> = keys.chunks(BATCH).map(|keys| self.get_batch(keys.to_vec())).collect();
        let found: Vec<Vec<Item>> = stream::iter(batches).buffer_unordered(AT_ONCE).try_collect().await?;
        found.into_iter().flatten().map(|item| Ok((items::string(&item, "pk")?.to_owned(), item))).collect()
    }

    async fn get_batch(&self, mut keys: Vec<Item>) -> Result<Vec<Item>, LedgerError> {
        let mut found = Vec::with_capacity(keys.len());
        let mut backoff = self.backoff();
        loop {
            let asked = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
            let call = self.client().await.batch_get_item().request_items(&self.table, asked.map_err(unbuilt)?);
            let answer = call.send().await.map_err(|error| LedgerError::new(failure("BatchGetItem", &error)))?;
            found.extend(answer.responses.unwrap_or_default().into_values().flatten());
            // An answer has at most 16 MB; the rest is read again.
            let rest = answer.unprocessed_keys.unwrap_or_default().into_values();
            keys = rest.flat_map(|rest| rest.keys).collect();
            if keys.is_empty() {
                return Ok(found);
            }
            if !backoff.again().await {
                return Err(LedgerError::new("BatchGetItem: the answer is incomplete"));
            }
        }
    }

    fn backoff(&self) -> Backoff<'_> {
        Backoff::new(&*self.clock, &*self.ids, TRIES, FIRST_PAUSE)
    }

    /// The items of a partition from one sort key to another, both included, consistently.
    pub(super) async fn parts(&self, pk: &str, from: &str, to: &str) -> Result<Vec<Item>, LedgerError> {
        let mut parts = Vec::new();
        let mut start = None;
        loop {
            let call = self
                .client()
                .await
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
                .set_expression_attribute_values(Some(items::item([
                    (":pk", items::text(pk)),
                    (":from", items::text(from)),
                    (":to", items::text(to)),
                ])))
                .consistent_read(true)
                .set_exclusive_start_key(start);
            let answer = call.send().await.map_err(|error| LedgerError::new(failure("Query", &error)))?;
            parts.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key;
            if start.is_none() {
                return Ok(parts);
            }
        }
    }

    /// A query of an index for at most `limit` entries.
    async fn query(&self, search: &Search, limit: usize, start: Option<Item>) -> QueryFluentBuilder {
        self.client()
            .await
            .query()
            .table_name(&self.table)
            .index_name(search.index)
            .key_condition_expression(search.condition)
            .set_expression_attribute_values(Some(search.values.clone()))
            .scan_index_forward(search.forward)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX).max(1))
            .set_exclusive_start_key(start)
    }

    /// Counts the entries of an index, up to `at_most`.
    pub(super) async fn count(&self, search: &Search, at_most: usize) -> Result<usize, LedgerError> {
        let mut counted = 0;
        let mut start = None;
        loop {
            let call = self.query(search, at_most - counted, start).await.select(Select::Count);
            let answer = call.send().await.map_err(|error| LedgerError::new(failure("Query", &error)))?;
            counted += usize::try_from(answer.count).unwrap_or(0);
            start = answer.last_evaluated_key;
            if counted >= at_most || start.is_none() {
                return Ok(counted.min(at_most));
            }
        }
    }

    /// A page of an index, and the start of the next one.
    pub(super) async fn page(
        &self,
        search: &Search,
        limit: usize,
        start: Option<Item>,
    ) -> Result<(Vec<Item>, Option<Item>), LedgerError> {
        let answer = self
            .query(search, limit, start)
            .await
            .send()
            .await
            .map_err(|error| LedgerError::new(failure("Query", &error)))?;
        Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key))
    }
}
