//! The calls to DynamoDB, with what each answer means.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::{
        put_item::PutItemError,
        query::{QueryError, QueryOutput, builders::QueryFluentBuilder, paginator::QueryPaginator},
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
    DynamoRecords,
    items::{self, Item, Name},
    table::unbuilt,
};
use crate::{
    aws::failure,
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

/// The expression of a precondition, and its values.
fn expression(condition: &If, now: Timestamp) -> Option<(&'static str, Item)> {
    let now = (":now", items::micros(now));
    match condition {
        If::Any => None,
        If::Free => Some(("attribute_not_exists(pk) OR expires_micros <= :now", items::item([now]))),
        If::Version(version) => Some((
            "version = :version AND (attribute_not_exists(expires_micros) OR expires_micros > :now)",
            items::item([(":version", items::text(version)), now]),
        )),
    }
}

/// A query of an index.
pub struct Search {
    index: &'static str,
    /// The names of the index's keys.
    keys: [&'static str; 2],
    pk: AttributeValue,
    /// The end of the range, excluded.
    before: AttributeValue,
    forward: bool,
}

impl Search {
    /// A list, the last place first, from below this place on.
    pub fn list(list: &List, before: &str) -> Self {
        let (index, pk, value) = match list.status {
            None => ("by_workspace", "list_pk", list.name.clone()),
            Some(status) => ("by_status", "status_pk", items::status_pk(&list.name, status)),
        };
        Self { index, keys: [pk, "list_sk"], pk: items::text(value), before: items::text(before), forward: false }
    }

    /// Records that were due before this time, the earliest first.
    pub fn due(shard: u8, before: Timestamp) -> Self {
        let (pk, before) = (items::text(items::open_pk(shard)), items::micros(before));
        Self { index: "open_jobs", keys: ["open_pk", "due_at"], pk, before, forward: true }
    }

    /// Records that wait, the longest first.
    pub fn waiting(shard: u8) -> Self {
        let (pk, before) = (items::text(items::waits_pk(shard)), items::micros(Timestamp::MAX));
        Self { index: "waiting_jobs", keys: ["waits_pk", "waits_since"], pk, before, forward: true }
    }

    /// Whether an item is still where this entry of the index says.
    pub fn lists(&self, item: &Item, entry: &Item) -> bool {
        let [pk, sk] = self.keys;
        item.get(pk) == Some(&self.pk) && item.get(sk) == entry.get(sk)
    }
}

impl DynamoRecords {
    /// A put, as an action of a transaction.
    pub(super) fn put(&self, item: Item, condition: Option<&If>) -> Result<TransactWriteItem, LedgerError> {
        let mut put = Put::builder().table_name(&self.table).set_item(Some(item));
        if let Some((expression, values)) = condition.and_then(|condition| expression(condition, self.clock.now())) {
            put = put
                .condition_expression(expression)
                .set_expression_attribute_values(Some(values))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        }
        Ok(TransactWriteItem::builder().put(put.build().map_err(unbuilt)?).build())
    }

    /// A deletion, as an action of a transaction.
    pub(super) fn delete(&self, key: &Key, condition: &If) -> Result<TransactWriteItem, LedgerError> {
        let (expression, values) = expression(condition, self.clock.now()).unzip();
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(items::key(&key.partition, key.kind)))
            .set_condition_expression(expression.map(ToOwned::to_owned))
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(unbuilt)?).build())
    }

    /// Sets the expiry of one of a record's items, as an action of a transaction. The record must have this many items,
    /// and must not have expired.
    pub(super) fn expire(
        &self,
        key: &Key,
        part: usize,
        parts: usize,
        end: Option<Timestamp>,
    ) -> Result<TransactWriteItem, LedgerError> {
        let key = items::key(&key.partition, &items::part_sk(key.kind, part));
        let mut update = Update::builder().table_name(&self.table).set_key(Some(key));
        update = match end {
            Some(end) => update
                .update_expression("SET expires_micros = :micros, expires_at = :ttl")
                .expression_attribute_values(":micros", items::micros(end))
                .expression_attribute_values(":ttl", items::number(&items::ttl(end))),
            None => update.update_expression("REMOVE expires_micros, expires_at"),
        };
        update = if part == 0 {
            let count = if parts == 1 { "attribute_not_exists(parts)" } else { "parts = :parts" };
            let alive = "(attribute_not_exists(expires_micros) OR expires_micros > :now)";
            if parts > 1 {
                update = update.expression_attribute_values(":parts", items::number(&parts));
            }
            update
                .condition_expression(format!("attribute_exists(pk) AND {count} AND {alive}"))
                .expression_attribute_values(":now", items::micros(self.clock.now()))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        } else {
            update.condition_expression("attribute_exists(pk)")
        };
        Ok(TransactWriteItem::builder().update(update.build().map_err(unbuilt)?).build())
    }

    /// Executes all of these actions, or none. If none, returns for each action in order, if its condition failed, the
    /// item that exists, empty if none.
    ///
    /// The SDK sends a token, by which DynamoDB recognises the SDK's own retries after a lost answer.
    pub(super) async fn write_together(&self, actions: &[TransactWriteItem]) -> Result<Vec<Option<Item>>, LedgerError> {
        match actions {
            [] => Ok(Vec::new()),
            [only] if only.put().is_some() => self.put_item(only.put().expect("it is a put")).await,
            _ => self.transact(actions).await,
        }
    }

    async fn transact(&self, actions: &[TransactWriteItem]) -> Result<Vec<Option<Item>>, LedgerError> {
        let mut backoff = self.backoff();
        loop {
            let call = self.client().await.transact_write_items().set_transact_items(Some(actions.to_vec()));
            let Err(error) = call.send().await else { return Ok(Vec::new()) };
            let Some(TransactWriteItemsError::TransactionCanceledException(canceled)) = error.as_service_error() else {
                return Err(LedgerError::new(failure("TransactWriteItems", &error)));
            };
            let reasons = canceled.cancellation_reasons();
            let refused = |code: Option<&str>| code == Some("ConditionalCheckFailed");
            if reasons.iter().any(|reason| refused(reason.code())) {
                let there = reasons
                    .iter()
                    .map(|reason| refused(reason.code()).then(|| reason.item().cloned().unwrap_or_default()));
                return Ok(there.collect());
            }
            let code = reasons.iter().filter_map(|reason| reason.code()).find(|code| *code != "None");
            let passing = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
            if !code.is_some_and(|code| passing.contains(&code)) || !backoff.again().await {
                return Err(LedgerError::new(format!("TransactWriteItems: {}", code.unwrap_or("cancelled"))));
            }
        }
    }

    /// A put by itself, which costs half of a transaction.
    async fn put_item(&self, put: &Put) -> Result<Vec<Option<Item>>, LedgerError> {
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
                    return Ok(vec![Some(refused.item().cloned().unwrap_or_default())]);
                }
                Some(PutItemError::TransactionConflictException(_)) if backoff.again().await => {}
                _ => return Err(LedgerError::new(failure("PutItem", &error))),
            }
        }
    }

    /// Reads the items of these keys, consistently, by their names.
    pub(super) async fn items(&self, mut keys: Vec<Item>) -> Result<HashMap<Name, Item>, LedgerError> {
        let mut seen = HashSet::new();
        keys.retain(|key| items::name(key).is_ok_and(|name| seen.insert(name)));
        let items = if let [key] = &keys[..] {
            let call = self.client().await.get_item().table_name(&self.table).set_key(Some(key.clone()));
            let answer = call.consistent_read(true).send().await;
            let answer = answer.map_err(|error| LedgerError::new(failure("GetItem", &error)))?;
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

    /// The items that continue this one, consistently.
    pub(super) async fn further_parts(&self, first: &Item) -> Result<Vec<Item>, LedgerError> {
        let (pk, sk) = items::name(first)?;
        let [from, to] = [1, items::LAST_PART].map(|part| items::text(items::part_sk(&sk, part)));
        let values = items::item([(":pk", items::text(pk)), (":from", from), (":to", to)]);
        let query = self.client().await.query().table_name(&self.table).consistent_read(true);
        let query = query.key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to");
        let items = query.set_expression_attribute_values(Some(values)).into_paginator().items().send();
        items.collect::<Result<_, _>>().await.map_err(|error| failed_query(&error))
    }

    /// A query of an index, in pages of at most this many entries.
    async fn query(&self, search: &Search, size: usize) -> QueryFluentBuilder {
        let [pk, sk] = search.keys;
        let values = items::item([(":pk", search.pk.clone()), (":before", search.before.clone())]);
        let query = self.client().await.query().table_name(&self.table).index_name(search.index);
        query
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
            counted += usize::try_from(page.map_err(|error| failed_query(&error))?.count).unwrap_or(0);
        }
        Ok(counted.min(at_most))
    }

    /// The pages of an index, each of at most this many entries: see [`entries`].
    pub(super) async fn pages(&self, search: &Search, size: usize) -> QueryPaginator {
        self.query(search, size).await.into_paginator()
    }
}

/// The entries of a page.
pub(super) fn entries(page: Result<QueryOutput, SdkError<QueryError>>) -> Result<Vec<Item>, LedgerError> {
    Ok(page.map_err(|error| failed_query(&error))?.items.unwrap_or_default())
}

fn failed_query(error: &SdkError<QueryError>) -> LedgerError {
    LedgerError::new(failure("Query", error))
}
