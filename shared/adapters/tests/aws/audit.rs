//! The audit's chains, where somebody may write to the table and several processes do.

use std::sync::Arc;

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
            .map(|item| Stored {
                partition: text(&item["pk"]),
                place: text(&item["list_sk"]),
                body: text(&item["body"]),
                expires_at: item.get("expires_micros").map(|micros| micros.as_n().unwrap().parse().unwrap()),
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
        let (kind, list) =
            if head.is_some() { ("CHAIN", "CHAINS".to_owned()) } else { ("AUDIT", format!("AUDIT#{workspace}")) };
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let mut put = self.client.put_item().table_name(&self.table);
        for (name, value) in [
            ("pk", stored.partition.as_str()),
            ("sk", kind),
            ("body", &stored.body),
            ("list_pk", &list),
            ("list_sk", &stored.place),
        ] {
            put = put.item(name, text(value));
        }
        if let Some(head) = head {
            put = put.item("version", text(&head["sequence"].to_string()));
        }
        if let Some(micros) = stored.expires_at {
            put = put.item("expires_micros", AttributeValue::N(micros.to_string()));
        }
        put.send().await.unwrap();
    }

    async fn delete(&self, stored: &Stored) {
        let kind = if stored.partition.starts_with("CHAIN") { "CHAIN" } else { "AUDIT" };
        let delete = self.client.delete_item().table_name(&self.table);
        let delete = delete.key("pk", AttributeValue::S(stored.partition.clone()));
        delete.key("sk", AttributeValue::S(kind.to_owned())).send().await.unwrap();
    }
}

/// A table of its own, as the whole of it is scanned.
async fn table(server: &Ministack) -> (String, Arc<DynamoLedger>, Burglar) {
    let table = format!("audit-{}", seed().simple());
    let ledger = ledger(server.address(), &table);
    ledger.create_table().await.unwrap();
    let client = Client::new(sdk(server.address()).config().await);
    (table.clone(), ledger, Burglar { client, table })
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
    let (_, ledger, burglar) = table(&server).await;
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
