//! The audit's chains, where somebody may write to the table and several processes do.

use std::sync::Arc;

use adapters::aws::unpack;
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use contracts::{
    Ministack,
    audit::{Intruder, Stored},
    proxies::{AwsProxy, Reaction},
};
use domain::WorkspaceId;
use engine::ports::Audit;

use super::{
    Clock, Contents, DynamoLedger, Insert, Jobs, SystemClock, SystemIds, Timestamp, Value, ended, job, json,
    sample_job, sdk, seed,
};

/// Somebody who may write to the table.
struct Burglar {
    client: Client,
    table: String,
    /// Writes entries as earlier versions of the program did.
    is_old: bool,
}

impl Burglar {
    /// The records whose partition begins with this, by place.
    async fn records(&self, beginning: String) -> Vec<Stored> {
        let scan = self.client.scan().table_name(&self.table).filter_expression("begins_with(pk, :beginning)");
        let scan = scan.expression_attribute_values(":beginning", AttributeValue::S(beginning));
        let items = scan.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.unwrap();
        let text = |value: &AttributeValue| value.as_s().unwrap().clone();
        let mut records: Vec<Stored> = items
            .iter()
            .map(|item| {
                // An entry lies at its place.
                let (partition, sk) = (text(&item["pk"]), text(&item["sk"]));
                let place = item.get("list_sk").map_or_else(|| sk.clone(), text);
                let partition = if place == sk { format!("{partition}#{sk}") } else { partition };
                let expires_at = item.get("expires_micros").map(|micros| micros.as_n().unwrap().parse().unwrap());
                let body =
                    item["body"].as_b().map_or_else(|_| text(&item["body"]), |body| unpack(body.as_ref()).unwrap());
                Stored { partition, place, body, expires_at }
            })
            .collect();
        records.sort_by(|a, b| a.place.cmp(&b.place));
        records
    }
}

#[async_trait::async_trait]
impl Intruder for Burglar {
    async fn entries(&self, workspace: &WorkspaceId) -> Vec<Stored> {
        self.records(format!("AUDIT#{workspace}#")).await
    }

    async fn heads(&self, workspace: &WorkspaceId) -> Vec<Stored> {
        self.records(format!("CHAIN#AUDIT#{workspace}#")).await
    }

    async fn write(&self, workspace: &WorkspaceId, stored: &Stored) {
        let head = serde_json::from_str::<Value>(&stored.body).ok().filter(|head| head["place"].is_string());
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let (pk, sk) = name(stored);
        let mut put = self.client.put_item().table_name(&self.table).item("pk", text(&pk)).item("sk", text(&sk));
        put = put.item("body", text(&stored.body));
        if let Some(head) = head {
            put = put.item("list_pk", text("CHAINS")).item("list_sk", text(&stored.place));
            put = put.item("version", text(&head["sequence"].to_string()));
        } else if self.is_old {
            self.delete(stored).await;
            put = put.item("list_pk", text(&format!("AUDIT#{workspace}"))).item("list_sk", text(&stored.place));
            put = put.item("pk", text(&format!("AUDIT#{workspace}#{}", stored.place))).item("sk", text("AUDIT"));
        }
        if let Some(micros) = stored.expires_at {
            put = put.item("expires_micros", AttributeValue::N(micros.to_string()));
        }
        put.send().await.unwrap();
    }

    async fn delete(&self, stored: &Stored) {
        let (pk, sk) = name(stored);
        let delete = self.client.delete_item().table_name(&self.table).key("pk", AttributeValue::S(pk));
        delete.key("sk", AttributeValue::S(sk)).send().await.unwrap();
    }
}

/// The key of a record. An entry that is not there yet lies beside the one that it was copied from.
fn name(stored: &Stored) -> (String, String) {
    if stored.partition.starts_with("CHAIN") {
        return (stored.partition.clone(), "CHAIN".to_owned());
    }
    let of_entry = stored.partition.strip_suffix(&format!("#{}", stored.place));
    match of_entry.filter(|pk| pk.matches('#').count() == 2) {
        Some(pk) => (pk.to_owned(), stored.place.clone()),
        None => (stored.partition.clone(), "AUDIT".to_owned()),
    }
}

/// A table of its own, as the whole of it is scanned.
async fn table(server: &Ministack) -> (String, Arc<DynamoLedger>, Burglar) {
    let table = format!("audit-{}", seed().simple());
    let ledger = ledger(server.address(), &table);
    ledger.create_table().await.unwrap();
    let client = Client::new(sdk(server.address()).config().await);
    (table.clone(), ledger, Burglar { client, table, is_old: false })
}

fn ledger(address: std::net::SocketAddr, table: &str) -> Arc<DynamoLedger> {
    Arc::new(DynamoLedger::new(sdk(address), table, Arc::new(SystemClock), Arc::new(SystemIds)))
}

#[tokio::test]
async fn the_audit_shows_every_change_of_the_table() {
    let server = Ministack::shared();
    let (_, ledger, burglar) = table(&server).await;
    contracts::audit::shows_every_change(ledger, &burglar, SystemClock.now(), seed()).await;
}

#[tokio::test]
async fn the_audit_of_an_earlier_version_is_taken_over() {
    let server = Ministack::shared();
    let (_, ledger, mut burglar) = table(&server).await;
    burglar.is_old = true;
    contracts::audit::takes_over_entries_without_a_link(ledger, &burglar, SystemClock.now(), seed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_write_chains_that_fit() {
    let server = Ministack::shared();
    let (table, first, _) = table(&server).await;
    let workspace: WorkspaceId = "busy".parse().unwrap();
    let now = SystemClock.now();
    let ledgers = [first.clone(), ledger(server.address(), &table), ledger(server.address(), &table)];
    let writing: Vec<_> = (0..48)
        .map(|n| {
            let (ledger, workspace) = (ledgers[n % 3].clone(), workspace.clone());
            tokio::spawn(async move {
                let job = sample_job(&workspace, &format!("{n}"), now);
                let new = (job.clone(), Contents(engine::ports::Sealed("sealed".to_owned())));
                assert_eq!(ledger.insert_jobs(&[new]).await.unwrap(), Insert::Done);
                ledger.save(&ended(&job, now)).await.unwrap();
            })
        })
        .collect();
    for write in writing {
        write.await.unwrap();
    }
    let verdict = first.verify_audit(Some(&workspace), None, now).await.unwrap();
    assert_eq!((verdict.fit, verdict.unchained, &verdict.tampering), (96, 0, &None));
    assert_eq!(verdict.head.chains.values().map(|(sequence, _)| sequence).sum::<u64>(), 96);
    assert!(verdict.head.chains.len() > 8, "the writes are spread over the chains");
}

#[tokio::test]
async fn another_process_at_the_same_chain_costs_one_more_call_and_a_known_entry_none() {
    let server = Ministack::shared();
    let (table, direct, _) = table(&server).await;
    let workspace: WorkspaceId = "acme".parse().unwrap();
    let now: Timestamp = SystemClock.now();
    let entry = |n: u64| {
        let event = domain::AuditEvent::WorkspaceChanged;
        let (id, by) = (uuid::Uuid::from_u64_pair(1, n), domain::AuditBy::CommandLine);
        domain::AuditEntry::new(id, Some(workspace.clone()), event, by, now)
    };
    // Every chain has a head.
    for n in 0..16 {
        direct.put_audit(&entry(n)).await.unwrap();
    }
    // What it reads of a head is what was there before another process wrote.
    let stale = AwsProxy::start(server.address(), |call, body| {
        let is_head = body["Key"]["pk"]["S"].as_str().is_some_and(|key| key.starts_with("CHAIN"));
        if call == "GetItem" && is_head { Reaction::Answer(200, json!({})) } else { Reaction::Forward }
    });
    let ledger = ledger(stale.address, &table);
    ledger.put_audit(&entry(16)).await.unwrap();
    assert_eq!(stale.calls(), ["GetItem", "TransactWriteItems", "TransactWriteItems"]);
    ledger.put_audit(&entry(16)).await.unwrap();
    assert_eq!(stale.calls(), ["GetItem", "TransactWriteItems"], "it is there already");
    let verdict = direct.verify_audit(Some(&workspace), None, now).await.unwrap();
    assert_eq!((verdict.fit, verdict.tampering), (17, None));
    // The job's own precondition comes before the chain's.
    let (mine, contents) = job(seed(), "taken", now);
    assert_eq!(direct.insert_jobs(&[(mine.clone(), contents.clone())]).await.unwrap(), Insert::Done);
    assert_eq!(ledger.insert_jobs(&[(mine, contents)]).await.unwrap(), Insert::Taken);
}
