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
use crate::aws::{back_off, failure};

/// How often a call is tried that ran into somebody else's transaction, or of which a part was left undone.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// BatchGetItem takes so many keys.
const BATCH: usize = 100;
/// So many batches of one read are under way at once.
const AT_ONCE: usize = 8;

/// What must be true of the item that is written over.
pub struct Condition {
    expression: &'static str,
    values: HashMap<String, AttributeValue>,
}

impl Condition {
    /// Nothing is there, or what is there has expired.
    pub fn free(now: Timestamp) -> Self {
        Self::new("attribute_not_exists(pk) OR expires_micros <= :now", [(":now", now.as_microsecond())])
    }

    /// The version before this one is there, and has not expired.
    pub fn version_before(revision: u64, now: Timestamp) -> Self {
        Self::new(
            "revision = :before AND (attribute_not_exists(expires_micros) OR expires_micros > :now)",
            [(":before", before(revision)), (":now", now.as_microsecond())],
        )
    }

    /// The version before this one is there, and is of an open job, which does not expire.
    pub fn open_before(revision: u64) -> Self {
        Self::new("revision = :before AND attribute_exists(open_pk)", [(":before", before(revision))])
    }

    /// This version is there.
    pub fn is_version(version: Uuid) -> Self {
        Self { expression: "version = :version", values: version_value(version) }
    }

    /// This version is there, or nothing.
    pub fn is_version_or_gone(version: Uuid) -> Self {
        Self { expression: "attribute_not_exists(pk) OR version = :version", values: version_value(version) }
    }

    fn new<const N: usize>(expression: &'static str, values: [(&str, i64); N]) -> Self {
        let values = values.map(|(name, value)| (name.to_owned(), items::number(&value)));
        Self { expression, values: values.into() }
    }
}

fn version_value(version: Uuid) -> HashMap<String, AttributeValue> {
    HashMap::from([(":version".to_owned(), items::text(version.to_string()))])
}

/// What to look for in an index.
pub struct Search {
    index: &'static str,
    condition: String,
    values: HashMap<String, AttributeValue>,
    forward: bool,
}

impl Search {
    /// One of the lists by time, newest first, from this place on.
    pub fn list(list: String, after: Option<String>) -> Self {
        Self::newest_first("by_workspace", "list_pk", list, after)
    }

    /// One of the lists by status and time.
    pub fn of_status(list: String, after: Option<String>) -> Self {
        Self::newest_first("by_status", "status_pk", list, after)
    }

    /// Open jobs that were due before.
    pub fn open_before(shard: u8, before: i64) -> Self {
        let values = [(":pk", items::text(items::open_list(shard))), (":before", items::number(&before))];
        Self {
            index: "open_jobs",
            condition: "open_pk = :pk AND due_at < :before".to_owned(),
            values: values.map(|(name, value)| (name.to_owned(), value)).into(),
            forward: true,
        }
    }

    /// Jobs that no worker has claimed, the longest waiting first.
    pub fn waiting(shard: u8) -> Self {
        Self {
            index: "waiting_jobs",
            condition: "waits_pk = :pk".to_owned(),
            values: HashMap::from([(":pk".to_owned(), items::text(items::waiting_list(shard)))]),
            forward: true,
        }
    }

    fn newest_first(index: &'static str, hash: &str, list: String, after: Option<String>) -> Self {
        let mut values = HashMap::from([(":pk".to_owned(), items::text(list))]);
        let mut condition = format!("{hash} = :pk");
        if let Some(after) = after {
            condition.push_str(" AND list_sk < :after");
            values.insert(":after".to_owned(), items::text(after));
        }
        Self { index, condition, values, forward: false }
    }
}

/// What became of a transaction.
pub enum Written {
    Done,
    /// Nothing was written. For each action that was refused by its condition, in their order, what
    /// was there, empty if nothing was.
    Refused(Vec<Option<Item>>),
}

impl DynamoLedger {
    /// A put, as one of a transaction's actions.
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

    /// Sets when a part of a job's contents ends, if they have not: as one of a transaction's
    /// actions. They must have this many parts.
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
                .expression_attribute_values(":micros", items::number(&end.as_microsecond()))
                .expression_attribute_values(":ttl", items::number(&items::ttl(end))),
            None => update.update_expression("REMOVE expires_micros, expires_at"),
        };
        update = if part == 0 {
            update
                .condition_expression(
                    "parts = :parts AND (attribute_not_exists(expires_micros) OR expires_micros > :now)",
                )
                .expression_attribute_values(":parts", items::number(&parts))
                .expression_attribute_values(":now", items::number(&self.clock.now().as_microsecond()))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        } else {
            update.condition_expression("attribute_exists(pk)")
        };
        Ok(TransactWriteItem::builder().update(update.build().map_err(unbuilt)?).build())
    }

    /// Does all of these actions, or none.
    ///
    /// The SDK gives the call a token, by which its own retries after a lost answer are recognised.
    pub(super) async fn transact(&self, actions: &[TransactWriteItem]) -> Result<Written, LedgerError> {
        let mut tries = 0;
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
            tries += 1;
            if tries == TRIES || !code.is_some_and(|code| passing.contains(&code)) {
                return Err(LedgerError::new(format!("TransactWriteItems: {}", code.unwrap_or("cancelled"))));
            }
            back_off(&*self.clock, &*self.ids, FIRST_PAUSE, tries - 1).await;
        }
    }

    /// Writes one item. Gives back what was there if the condition refused it, empty if nothing was.
    pub(super) async fn put_item(
        &self,
        item: Item,
        condition: Option<&Condition>,
    ) -> Result<Option<Item>, LedgerError> {
        let mut tries = 0;
        loop {
            let mut call = self.client().await.put_item().table_name(&self.table).set_item(Some(item.clone()));
            if let Some(condition) = condition {
                call = call
                    .condition_expression(condition.expression)
                    .set_expression_attribute_values(Some(condition.values.clone()))
                    .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            }
            let Err(error) = call.send().await else { return Ok(None) };
            tries += 1;
            match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                    return Ok(Some(refused.item().cloned().unwrap_or_default()));
                }
                Some(PutItemError::TransactionConflictException(_)) if tries < TRIES => {
                    back_off(&*self.clock, &*self.ids, FIRST_PAUSE, tries - 1).await;
                }
                _ => return Err(LedgerError::new(failure("PutItem", &error))),
            }
        }
    }

    /// Deletes one item; says whether the condition let it.
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

    /// Writes the parts of one record, the first on a condition; one that is refused is there already.
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

    /// Reads items of one kind, as they are now, by their partition keys.
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
        for tries in 0..TRIES {
            if tries > 0 {
                back_off(&*self.clock, &*self.ids, FIRST_PAUSE, tries - 1).await;
            }
            let asked = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
            let call = self.client().await.batch_get_item().request_items(&self.table, asked.map_err(unbuilt)?);
            let answer = call.send().await.map_err(|error| LedgerError::new(failure("BatchGetItem", &error)))?;
            found.extend(answer.responses.unwrap_or_default().into_values().flatten());
            // An answer holds 16 MB at most; the rest is asked for again.
            let rest = answer.unprocessed_keys.unwrap_or_default().into_values();
            keys = rest.flat_map(|rest| rest.keys).collect();
            if keys.is_empty() {
                return Ok(found);
            }
        }
        Err(LedgerError::new("BatchGetItem: it answers a part only"))
    }

    /// The items of a partition from one sort key to another, both included, as they are now.
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
                .expression_attribute_values(":pk", items::text(pk))
                .expression_attribute_values(":from", items::text(from))
                .expression_attribute_values(":to", items::text(to))
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

    /// One look into an index, at no more than `limit` of its entries.
    async fn query(&self, search: &Search, limit: usize, start: Option<Item>) -> QueryFluentBuilder {
        self.client()
            .await
            .query()
            .table_name(&self.table)
            .index_name(search.index)
            .key_condition_expression(&search.condition)
            .set_expression_attribute_values(Some(search.values.clone()))
            .scan_index_forward(search.forward)
            .limit(i32::try_from(limit).unwrap_or(i32::MAX).max(1))
            .set_exclusive_start_key(start)
    }

    /// How many entries of an index there are, counted to `at_most`.
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

    /// A page of an index, and where the next one starts.
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
