//! The calls to DynamoDB, with what each answer means.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        put_item::PutItemError,
        query::{QueryError, builders::QueryFluentBuilder},
        transact_write_items::TransactWriteItemsError,
    },
    types::{
        AttributeValue, Delete, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure, Select, TransactWriteItem,
        Update,
    },
};
use engine::ports::LedgerError;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{
    DynamoRecords, failed,
    items::{self, Item, Name},
    table::{BY_STATUS, BY_WORKSPACE, Index, OPEN_JOBS, TABLE, WAITING_JOBS},
};
use crate::{
    backoff::Backoff,
    ledger::{If, Key, List},
};

/// How often a call is tried that conflicts with another transaction or is answered in part.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// The most keys of a BatchGetItem.
const BATCH: usize = 100;
/// How many batches of one read run at once.
const AT_ONCE: usize = 8;
/// What a refused action returns: the item that exists.
const IF_REFUSED: ReturnValuesOnConditionCheckFailure = ReturnValuesOnConditionCheckFailure::AllOld;

/// The record has not expired.
const ALIVE: &str = "(attribute_not_exists(expires_micros) OR expires_micros > :now)";

/// The expression of a precondition, and its values.
fn expression(condition: &If, now: Timestamp) -> Option<(String, Item)> {
    let now = (":now", items::micros(now));
    match condition {
        If::Any => None,
        If::Absent => Some(("attribute_not_exists(pk) OR expires_micros <= :now".to_owned(), items::item([now]))),
        If::Version(version) => {
            Some((format!("version = :version AND {ALIVE}"), items::item([(":version", items::text(version)), now])))
        }
    }
}

/// A query of an index, or of the table.
pub struct Search {
    index: Index,
    pk: AttributeValue,
    /// The end of the range, excluded.
    before: AttributeValue,
    forward: bool,
}

impl Search {
    /// A list, the last place first, from below this place on.
    pub fn list(list: &List, before: &str) -> Self {
        let (index, pk) = match list.status {
            None => (BY_WORKSPACE, list.name.clone()),
            Some(status) => (BY_STATUS, items::within(&list.name, status)),
        };
        Self { index, pk: items::text(pk), before: items::text(before), forward: false }
    }

    /// A part of a list that holds its records, the last place first, from below this place on.
    pub fn held(list: &List, shard: u8, before: &str) -> Self {
        Self {
            index: TABLE,
            pk: items::text(items::within(&list.name, shard)),
            before: items::text(before),
            forward: false,
        }
    }

    /// Records of a kind that may have been due before this time, the earliest first.
    pub fn due(kind: &str, shard: u8, before: Timestamp) -> Self {
        let pk = items::text(items::open(kind, shard));
        Self { index: OPEN_JOBS, pk, before: items::micros(before), forward: true }
    }

    /// Records of a name, by their times.
    pub fn named(name: &str, forward: bool) -> Self {
        Self { index: WAITING_JOBS, pk: items::text(name), before: items::micros(Timestamp::MAX), forward }
    }

    /// The query failed. After an upgrade, DynamoDB may still be filling a new index.
    pub fn failed<R>(&self, error: SdkError<QueryError, R>) -> LedgerError {
        let said = error.message().unwrap_or_default();
        if said.contains("the specified index") || said.contains("backfilling") {
            return LedgerError::new(format!("the index {} is missing, or DynamoDB is still filling it", self.index.0));
        }
        failed("Query")(error)
    }

    /// Whether an item is still where this entry of the index says.
    pub fn lists(&self, item: &Item, entry: &Item) -> bool {
        let (_, [pk, sk]) = self.index;
        item.get(pk) == Some(&self.pk) && item.get(sk) == entry.get(sk)
    }
}

impl DynamoRecords {
    /// A put, as an action of a transaction.
    pub(super) fn put(&self, item: Item, condition: &If) -> TransactWriteItem {
        let (expression, values) = expression(condition, self.clock.now()).unzip();
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .set_return_values_on_condition_check_failure(values.is_some().then_some(IF_REFUSED))
            .set_condition_expression(expression)
            .set_expression_attribute_values(values);
        TransactWriteItem::builder().put(put.build().expect("it has a table and an item")).build()
    }

    /// A deletion, as an action of a transaction.
    pub(super) fn delete(&self, key: &Key, condition: &If) -> TransactWriteItem {
        let (expression, values) = expression(condition, self.clock.now()).unzip();
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(items::key(&key.partition, key.kind)))
            .set_return_values_on_condition_check_failure(values.is_some().then_some(IF_REFUSED))
            .set_condition_expression(expression)
            .set_expression_attribute_values(values);
        TransactWriteItem::builder().delete(delete.build().expect("it has a table and a key")).build()
    }

    /// Sets the expiry of one of a record's items, as an action of a transaction. The record must have this many items,
    /// and must not have expired.
    pub(super) fn expire(&self, key: &Key, part: usize, parts: usize, end: Option<Timestamp>) -> TransactWriteItem {
        let (change, mut values) = match end {
            Some(end) => (
                "SET expires_micros = :micros, expires_at = :ttl",
                items::item([(":micros", items::micros(end)), (":ttl", items::number(&items::ttl(end)))]),
            ),
            None => ("REMOVE expires_micros, expires_at", Item::new()),
        };
        values.insert(":now".to_owned(), items::micros(self.clock.now()));
        // Only the first of several items says how many there are.
        let count = if part == 0 && parts > 1 { "parts = :parts" } else { "attribute_not_exists(parts)" };
        if part == 0 && parts > 1 {
            values.insert(":parts".to_owned(), items::number(&parts));
        }
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(items::key(&key.partition, &items::part_sk(key.kind, part))))
            .update_expression(change)
            .condition_expression(format!("attribute_exists(pk) AND {count} AND {ALIVE}"))
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(IF_REFUSED);
        TransactWriteItem::builder().update(update.build().expect("it has all that is required")).build()
    }

    /// Replaces the body of one of a record's items, if it still is the first of these, as an action of a transaction.
    pub(super) fn replace(
        &self,
        key: &Key,
        part: usize,
        (before, body): (AttributeValue, AttributeValue),
    ) -> TransactWriteItem {
        let values = items::item([(":before", before), (":body", body), (":now", items::micros(self.clock.now()))]);
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(items::key(&key.partition, &items::part_sk(key.kind, part))))
            .update_expression("SET body = :body")
            .condition_expression(format!("body = :before AND {ALIVE}"))
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(IF_REFUSED);
        TransactWriteItem::builder().update(update.build().expect("it has all that is required")).build()
    }

    /// Executes all of these actions, or none. If none, returns the places of those whose condition failed, each with the
    /// item that exists, empty if none.
    ///
    /// The SDK sends a token, by which DynamoDB recognises the SDK's own retries after a lost answer.
    pub(super) async fn write_together(
        &self,
        actions: &[TransactWriteItem],
    ) -> Result<Vec<(usize, Item)>, LedgerError> {
        match actions {
            [] => Ok(Vec::new()),
            [only] if let Some(put) = only.put() => self.put_item(put).await,
            _ => self.transact(actions).await,
        }
    }

    async fn transact(&self, actions: &[TransactWriteItem]) -> Result<Vec<(usize, Item)>, LedgerError> {
        let mut backoff = self.backoff();
        loop {
            let call = self.client().await.transact_write_items().set_transact_items(Some(actions.to_vec()));
            let Err(error) = call.send().await else { return Ok(Vec::new()) };
            let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error.as_service_error() else {
                return Err(failed("TransactWriteItems")(error));
            };
            let reasons = canceled.cancellation_reasons();
            let refused = reasons.iter().enumerate().filter(|(_, why)| why.code() == Some("ConditionalCheckFailed"));
            let refused: Vec<_> =
                refused.map(|(place, why)| (place, why.item().cloned().unwrap_or_default())).collect();
            if !refused.is_empty() {
                return Ok(refused);
            }
            let code = reasons.iter().filter_map(|reason| reason.code()).find(|code| *code != "None");
            let passing = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
            if !code.is_some_and(|code| passing.contains(&code)) || !backoff.again().await {
                return Err(LedgerError::new(format!("TransactWriteItems: {}", code.unwrap_or("cancelled"))));
            }
        }
    }

    /// A put by itself, which costs half of a transaction.
    async fn put_item(&self, put: &Put) -> Result<Vec<(usize, Item)>, LedgerError> {
        let mut backoff = self.backoff();
        loop {
            let call = self
                .client()
                .await
                .put_item()
                .table_name(put.table_name())
                .set_item(Some(put.item().clone()))
                .set_condition_expression(put.condition_expression().map(ToOwned::to_owned))
                .set_expression_attribute_values(put.expression_attribute_values().cloned())
                .set_return_values_on_condition_check_failure(put.return_values_on_condition_check_failure().cloned());
            let Err(error) = call.send().await else { return Ok(Vec::new()) };
            match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                    return Ok(vec![(0, refused.item().cloned().unwrap_or_default())]);
                }
                Some(PutItemError::TransactionConflictException(_)) if backoff.again().await => {}
                _ => return Err(failed("PutItem")(error)),
            }
        }
    }

    /// Reads the items of these names, consistently.
    pub(super) async fn items(
        &self,
        names: impl IntoIterator<Item = Name>,
    ) -> Result<HashMap<Name, Item>, LedgerError> {
        let names: BTreeSet<Name> = names.into_iter().collect();
        let keys: Vec<Item> = names.iter().map(|(pk, sk)| items::key(pk, sk)).collect();
        let items = if let [key] = &keys[..] {
            let call = self.client().await.get_item().table_name(&self.table).set_key(Some(key.clone()));
            let answer = call.consistent_read(true).send().await.map_err(failed("GetItem"))?;
            answer.item.into_iter().collect()
        } else {
            let batches: Vec<_> = keys.chunks(BATCH).map(|keys| self.get_batch(keys.to_vec())).collect();
            let items: Vec<Vec<Item>> = stream::iter(batches).buffer_unordered(AT_ONCE).try_collect().await?;
            items.concat()
        };
        items.into_iter().map(|item| Ok((items::name(&item)?, item))).collect()
    }

    async fn get_batch(&self, mut keys: Vec<Item>) -> Result<Vec<Item>, LedgerError> {
        let mut found = Vec::with_capacity(keys.len());
        let mut backoff = self.backoff();
        loop {
            let asked = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
            let call = self.client().await.batch_get_item().request_items(&self.table, asked.expect("it has keys"));
            let answer = call.send().await.map_err(failed("BatchGetItem"))?;
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

    /// The items that continue this one, consistently.
    pub(super) async fn further_parts(&self, first: &Item) -> Result<Vec<Item>, LedgerError> {
        let (pk, sk) = items::name(first)?;
        let [from, to] = [1, items::LAST_PART].map(|part| items::text(items::part_sk(&sk, part)));
        let values = items::item([(":pk", items::text(pk)), (":from", from), (":to", to)]);
        let query = self.client().await.query().table_name(&self.table).consistent_read(true);
        let query = query.key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to");
        let items = query.set_expression_attribute_values(Some(values)).into_paginator().items().send();
        items.collect::<Result<_, _>>().await.map_err(failed("Query"))
    }

    /// A query of an index or, consistently, of the table, in pages of at most this many entries.
    pub(super) async fn query(&self, search: &Search, size: usize) -> QueryFluentBuilder {
        let (index, [pk, sk]) = search.index;
        let values = items::item([(":pk", search.pk.clone()), (":before", search.before.clone())]);
        let is_table = index.is_empty();
        let query = self.client().await.query().table_name(&self.table).consistent_read(is_table);
        query
            .set_index_name((!is_table).then(|| index.to_owned()))
            .key_condition_expression(format!("{pk} = :pk AND {sk} < :before"))
            .set_expression_attribute_values(Some(values))
            .scan_index_forward(search.forward)
            .limit(i32::try_from(size).unwrap_or(i32::MAX).max(1))
    }

    /// Counts the entries of an index, up to `at_most`.
    pub(super) async fn count_entries(&self, search: &Search, at_most: usize) -> Result<usize, LedgerError> {
        let mut pages = self.query(search, at_most).await.select(Select::Count).into_paginator().send();
        let mut counted = 0;
        while counted < at_most
            && let Some(page) = pages.next().await
        {
            counted += usize::try_from(page.map_err(|error| search.failed(error))?.count).unwrap_or(0);
        }
        Ok(counted.min(at_most))
    }
}
