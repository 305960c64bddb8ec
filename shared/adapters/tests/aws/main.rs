//! The AWS adapters against the contract of their ports, on a server that speaks DynamoDB and SQS,
//! and what only they promise: few calls, and the right end when answers are lost or parts refused.

mod audit;
mod keys;

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use adapters::{
    aws::{DynamoLedger, Sdk, SqsQueue, settings},
    system::{SystemClock, SystemIds},
};
use aws_sdk_dynamodb::{
    config::{Credentials, Region, SharedCredentialsProvider},
    types::AttributeValue,
};
use contracts::{
    ManualClock, Ministack,
    proxies::{AwsProxy, Reaction},
    sample_job, seed,
};
use domain::{Job, JobError, JobErrorCode, Provider, Terms};
use engine::ports::{
    Clock, Contents, Insert, JobFilter, JobList, Jobs, Keys, Outbox, OutboxEntry, Position, Purpose, Queue,
    QueuedMessage, Save, Sealed, SealedText, SealedTexts, Settings,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use uuid::Uuid;

const VISIBILITY: Duration = Duration::from_secs(2);

fn sdk(address: SocketAddr) -> Arc<Sdk> {
    let settings = settings()
        .endpoint_url(format!("http://{address}"))
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "tests")));
    Sdk::with(settings.build())
}

fn ledger(address: SocketAddr, clock: Arc<dyn Clock>) -> Arc<DynamoLedger> {
    Arc::new(DynamoLedger::new(sdk(address), "ledger", clock, Arc::new(SystemIds)))
}

/// A table for all, as the suites leave each other's records alone.
async fn with_table(server: &Ministack) -> Arc<DynamoLedger> {
    let ledger = ledger(server.address(), Arc::new(SystemClock));
    ledger.create_table().await.unwrap();
    ledger
}

/// A queue of its own at the server, reached by way of `address`.
async fn queue(server: &Ministack, address: SocketAddr) -> Arc<SqsQueue> {
    let client = aws_sdk_sqs::Client::new(sdk(server.address()).config().await);
    let visibility = aws_sdk_sqs::types::QueueAttributeName::VisibilityTimeout;
    let call = client.create_queue().queue_name(seed().to_string());
    let url = call.attributes(visibility, VISIBILITY.as_secs().to_string()).send().await.unwrap().queue_url.unwrap();
    Arc::new(SqsQueue::new(sdk(address), url, Arc::new(SystemClock), Arc::new(SystemIds)))
}

fn job(seed: Uuid, key: &str, now: Timestamp) -> (Job, Contents) {
    let workspace = format!("aws-{}", seed.simple()).parse().unwrap();
    (sample_job(&workspace, key, now), Contents(Sealed(format!("sealed {key}"))))
}

fn ended(job: &Job, now: Timestamp) -> Job {
    let error = JobError {
        code: JobErrorCode::ProviderRejected,
        message: "The provider refused.".to_owned(),
        retriable: true,
        remediation: "Try again.".to_owned(),
    };
    job.failed(error, now).unwrap()
}

fn messages(count: usize, seed: Uuid) -> Vec<QueuedMessage> {
    let workspace: domain::WorkspaceId = "local".parse().unwrap();
    let message =
        |n| QueuedMessage { body: format!("{seed} {n}"), workspace: workspace.clone(), delay: Duration::ZERO };
    (0..count).map(message).collect()
}

mod contract {
    use super::*;

    /// A table of its own, since some behaviours look at the whole ledger.
    async fn own_ledger(clock: Arc<dyn Clock>) -> (Arc<DynamoLedger>, Arc<Ministack>) {
        let server = Ministack::shared();
        let table = format!("ledger-{}", seed().simple());
        let ledger = Arc::new(DynamoLedger::new(sdk(server.address()), table, clock, Arc::new(SystemIds)));
        ledger.create_table().await.unwrap();
        (ledger, server)
    }

    async fn ledger() -> (Arc<DynamoLedger>, Timestamp, Arc<Ministack>) {
        let (ledger, server) = own_ledger(Arc::new(SystemClock)).await;
        (ledger, SystemClock.now(), server)
    }

    async fn by_our_clock() -> (Arc<DynamoLedger>, Arc<ManualClock>, Arc<Ministack>) {
        // It begins now, since the server deletes by its own clock.
        let clock = ManualClock::at(SystemClock.now());
        let (ledger, server) = own_ledger(clock.clone()).await;
        (ledger, clock, server)
    }

    contracts::ledger_tests!(ledger().await);
    contracts::ledger_over_time_tests!(by_our_clock().await);
}

#[tokio::test]
async fn a_table_that_is_there_is_as_good() {
    let server = Ministack::shared();
    with_table(&server).await.create_table().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_keeps_its_contract() {
    let server = Ministack::shared();
    let queue = queue(&server, server.address()).await;
    contracts::queue(queue.clone(), seed()).await;
    contracts::queue_over_time(queue, VISIBILITY, seed(), async |time| SystemClock.sleep(time).await).await;
}

#[tokio::test]
async fn what_is_too_long_for_an_item_lies_in_several() {
    let server = Ministack::shared();
    with_table(&server).await;
    let clock = ManualClock::at(SystemClock.now());
    let proxy = AwsProxy::start(server.address(), |_, _| Reaction::Forward);
    let ledger = ledger(proxy.address, clock.clone());
    let seed = seed();
    let (first, _) = job(seed, "long", clock.now());
    let long = Contents(Sealed("x".repeat(1_390_000) + "end"));
    assert_eq!(ledger.insert_jobs(&[(first.clone(), long.clone())]).await.unwrap(), Insert::Done);
    assert_eq!(proxy.calls(), ["GetItem", "TransactWriteItems"], "all parts or none");
    assert!(ledger.contents(first.job_id).await.unwrap() == Some(long.clone()));
    assert_eq!(proxy.calls(), ["GetItem", "Query"], "an answer holds one MB");
    let both = ledger.job_with_contents(&first.workspace_id, first.job_id).await.unwrap();
    assert!(both == Some((first.clone(), Some(long.clone()))));
    assert_eq!(proxy.calls(), ["BatchGetItem", "Query"]);

    let failed = ended(&first, clock.now());
    assert_eq!(ledger.save(&failed).await.unwrap(), Save::Done);
    let calls = ["BatchGetItem", "TransactWriteItems", "TransactWriteItems"];
    assert_eq!(proxy.calls(), calls, "the first tells how many parts there are");
    clock.advance(Duration::from_hours(6 * 24));
    let retried = failed.retried(Terms::default(), clock.now()).unwrap();
    assert_eq!(ledger.save(&retried).await.unwrap(), Save::Done);
    clock.advance(Duration::from_hours(8 * 24));
    assert!(ledger.contents(first.job_id).await.unwrap() == Some(long), "a retry keeps all parts");
    let failed = ended(&retried, clock.now());
    assert_eq!(ledger.save(&failed).await.unwrap(), Save::Done);
    clock.advance(Duration::from_hours(7 * 24));
    assert!(ledger.contents(first.job_id).await.unwrap().is_none());

    clock.advance(Duration::from_hours(24 * 24));
    let (again, short) = job(seed, "long", clock.now());
    assert_eq!(ledger.insert_jobs(&[(again.clone(), short.clone())]).await.unwrap(), Insert::Done);
    assert_eq!(ledger.contents(again.job_id).await.unwrap(), Some(short), "without what is left of the longer one");

    let entry = OutboxEntry {
        job_id: again.job_id,
        workspace: again.workspace_id.clone(),
        written_at: clock.now(),
        sealed: Sealed("y".repeat(900_000)),
        expires_at: clock.now() + SignedDuration::from_hours(1),
    };
    for _ in 0..2 {
        ledger.put_outbox(&entry).await.unwrap();
    }
    assert!(ledger.outbox(&again.workspace_id, None, 10).await.unwrap() == [entry]);
}

#[tokio::test]
async fn operations_cost_few_calls() {
    let server = Ministack::shared();
    with_table(&server).await;
    let proxy = AwsProxy::start(server.address(), |_, _| Reaction::Forward);
    let ledger = ledger(proxy.address, Arc::new(SystemClock));
    assert_eq!(proxy.calls(), [""; 0], "nothing is called before it is needed");
    let (now, seed) = (SystemClock.now(), seed());
    let jobs: Vec<_> = (0..10).map(|n| job(seed, &format!("{n}"), now)).collect();
    assert_eq!(ledger.insert_jobs(&jobs).await.unwrap(), Insert::Done);
    assert_eq!(ledger.insert_jobs(&jobs).await.unwrap(), Insert::Taken);
    // The head of the audit's chain is read first.
    let audited = ["GetItem", "TransactWriteItems"];
    assert_eq!(proxy.calls(), [audited, audited].concat());
    let ids: Vec<_> = jobs.iter().map(|(job, _)| job.job_id).collect();
    assert_eq!(ledger.jobs(&jobs[0].0.workspace_id, &ids).await.unwrap().len(), 10);
    assert_eq!(ledger.jobs(&jobs[0].0.workspace_id, &[ids[0], ids[0]]).await.unwrap().len(), 2);
    assert_eq!(proxy.calls(), ["BatchGetItem", "GetItem"]);
    assert_eq!(
        ledger.job_with_contents(&jobs[0].0.workspace_id, ids[0]).await.unwrap(),
        Some(jobs[0].clone()).map(|(job, it)| (job, Some(it)))
    );
    assert_eq!(proxy.calls(), ["BatchGetItem"]);
    let nudged = jobs[0].0.nudged(now).unwrap();
    assert_eq!(ledger.save(&nudged).await.unwrap(), Save::Done);
    assert_eq!(proxy.calls(), ["PutItem"]);
    let failed = ended(&nudged, now);
    assert_eq!(ledger.save(&failed).await.unwrap(), Save::Done);
    assert_eq!(proxy.calls(), ["BatchGetItem", "TransactWriteItems"], "with the webhook endpoints");
    assert_eq!(ledger.save(&failed.retried(Terms::default(), now).unwrap()).await.unwrap(), Save::Done);
    assert_eq!(proxy.calls(), audited);
    let workspace = jobs[0].0.workspace_id.clone();
    let filter = JobFilter { workspace, list: JobList::All, after: None, limit: 11 };
    assert_eq!(ledger.list_jobs(&filter).await.unwrap().len(), 10);
    assert_eq!(proxy.calls(), ["Query", "BatchGetItem"]);
    let filter = JobFilter { list: JobList::Failed, ..filter };
    assert_eq!(ledger.list_jobs(&filter).await.unwrap(), []);
    assert_eq!(proxy.calls(), ["Query"]);
    // Whatever there is besides: by their ids.
    assert_eq!(ledger.key(&"0123456789ab".parse().unwrap()).await.unwrap(), None);
    assert_eq!(ledger.workspace(&filter.workspace).await.unwrap(), None);
    assert_eq!(proxy.calls(), ["GetItem"; 2]);
    let open = ledger.open_jobs(&filter.workspace, 100).await.unwrap();
    assert_eq!((open, proxy.calls()), (10, vec!["Query".to_owned()]));
}

#[tokio::test]
async fn a_page_reads_as_much_among_a_thousand_jobs_as_among_sixty() {
    let server = Ministack::shared();
    with_table(&server).await;
    // A Query reads so many entries of an index at most, and a BatchGetItem so many items.
    let entries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&entries);
    let proxy = AwsProxy::start(server.address(), move |_, body| {
        let limit = body["Limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0);
        let keys = body.pointer("/RequestItems/ledger/Keys").and_then(Value::as_array).map_or(0, Vec::len);
        counted.fetch_add(limit + keys, Ordering::SeqCst);
        Reaction::Forward
    });
    let ledger = ledger(proxy.address, Arc::new(SystemClock));
    let mut costs = Vec::new();
    for size in [60_u32, 1_000] {
        let (now, seed) = (SystemClock.now(), seed());
        let jobs: Vec<_> =
            (0..size).map(|n| job(seed, &format!("{n}"), now - SignedDuration::from_secs(n.into()))).collect();
        for jobs in jobs.chunks(33) {
            assert_eq!(ledger.insert_jobs(jobs).await.unwrap(), Insert::Done);
        }
        let middle = &jobs[jobs.len() / 2].0;
        let middle = Position::from(middle);
        proxy.calls();
        for (list, after) in [(JobList::All, None), (JobList::All, Some(middle)), (JobList::Open, Some(middle))] {
            entries.store(0, Ordering::SeqCst);
            let filter = JobFilter { workspace: jobs[0].0.workspace_id.clone(), list, after, limit: 20 };
            assert_eq!(ledger.list_jobs(&filter).await.unwrap().len(), 20);
            costs.push((proxy.calls(), entries.load(Ordering::SeqCst)));
        }
    }
    assert_eq!(costs[..3], costs[3..]);
    assert!(costs.iter().all(|cost| *cost == (vec!["Query".to_owned(), "BatchGetItem".to_owned()], 40)), "{costs:?}");
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_done_once() {
    let server = Ministack::shared();
    with_table(&server).await;
    let lost = Arc::new(AtomicUsize::new(0));
    let proxy = AwsProxy::start(server.address(), {
        let lost = lost.clone();
        move |call, _| {
            let less = |left: usize| left.checked_sub(1);
            let one = !matches!(call, "GetItem" | "BatchGetItem")
                && lost.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
            if one { Reaction::Lose } else { Reaction::Forward }
        }
    });
    let ledger = ledger(proxy.address, Arc::new(SystemClock));
    let (now, seed) = (SystemClock.now(), seed());
    let (first, contents) = job(seed, "lost", now);
    lost.store(1, Ordering::SeqCst);
    let insert = ledger.insert_jobs(&[(first.clone(), contents)]).await.unwrap();
    assert_eq!(insert, Insert::Done, "it is our own insert that is there");
    lost.store(1, Ordering::SeqCst);
    let nudged = first.nudged(now).unwrap();
    assert_eq!(ledger.save(&nudged).await.unwrap(), Save::Done);
    lost.store(1, Ordering::SeqCst);
    let failed = ended(&nudged, now);
    assert_eq!(ledger.save(&failed).await.unwrap(), Save::Done);
    let twice = ["TransactWriteItems", "TransactWriteItems"];
    let calls = [&["GetItem"], &twice[..], &["PutItem", "PutItem"], &["BatchGetItem"], &twice].concat();
    assert_eq!(proxy.calls(), calls);

    // Every answer is lost, so nobody can say; who asks again learns that it was done.
    let (second, contents) = job(seed, "silence", now);
    assert_eq!(ledger.insert_jobs(&[(second.clone(), contents)]).await.unwrap(), Insert::Done);
    let nudged = second.nudged(now).unwrap();
    for version in [nudged.clone(), ended(&nudged, now)] {
        lost.store(usize::MAX, Ordering::SeqCst);
        let said = ledger.save(&version).await.unwrap_err().to_string();
        assert!(said.ends_with("cannot be reached"), "{said}");
        lost.store(0, Ordering::SeqCst);
        let mut other = version.clone();
        other.attempts = 7;
        assert_eq!(ledger.save(&other).await.unwrap(), Save::Stale);
        assert_eq!(ledger.save(&version).await.unwrap(), Save::Done);
    }
    assert_eq!(ledger.save(&nudged).await.unwrap(), Save::Stale);
}

#[tokio::test]
async fn a_conflict_of_transactions_is_tried_again_and_not_for_ever() {
    let server = Ministack::shared();
    with_table(&server).await;
    let conflicts = Arc::new(AtomicUsize::new(2));
    let proxy = AwsProxy::start(server.address(), {
        let conflicts = conflicts.clone();
        move |call, _| {
            let less = |left: usize| left.checked_sub(1);
            if matches!(call, "GetItem" | "BatchGetItem")
                || conflicts.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_err()
            {
                return Reaction::Forward;
            }
            let exception =
                if call == "PutItem" { "TransactionConflictException" } else { "TransactionCanceledException" };
            let reasons = json!([{ "Code": "None" }, { "Code": "TransactionConflict", "Message": "secret" }]);
            let kind = format!("com.amazonaws.dynamodb.v20120810#{exception}");
            Reaction::Answer(400, json!({ "__type": kind, "message": "secret", "CancellationReasons": reasons }))
        }
    });
    let ledger = ledger(proxy.address, Arc::new(SystemClock));
    let (now, seed) = (SystemClock.now(), seed());
    let first = job(seed, "conflict", now);
    assert_eq!(ledger.insert_jobs(std::slice::from_ref(&first)).await.unwrap(), Insert::Done);
    assert_eq!(proxy.calls()[1..], ["TransactWriteItems"; 3]);
    conflicts.store(2, Ordering::SeqCst);
    let nudged = first.0.nudged(now).unwrap();
    assert_eq!(ledger.save(&nudged).await.unwrap(), Save::Done);
    assert_eq!(proxy.calls(), ["PutItem"; 3]);
    conflicts.store(usize::MAX, Ordering::SeqCst);
    for (failed, call) in [
        (ledger.save(&nudged.nudged(now).unwrap()).await.err(), "PutItem"),
        (ledger.save(&ended(&nudged, now)).await.err(), "TransactWriteItems"),
    ] {
        let said = failed.unwrap().to_string();
        assert!(said.contains(call) && said.contains("TransactionConflict") && !said.contains("secret"), "{said}");
    }
    assert_eq!(proxy.calls().len(), 6 + 1 + 6, "six tries each, and a look at the chain's head");
}

#[tokio::test]
async fn what_a_read_leaves_out_is_asked_for_again() {
    let server = Ministack::shared();
    let direct = with_table(&server).await;
    let proxy = AwsProxy::start(server.address(), {
        let asked = AtomicUsize::new(0);
        move |_, body| {
            let again = asked.fetch_add(1, Ordering::SeqCst) > 0;
            let nothing = json!({ "Responses": {}, "UnprocessedKeys": body["RequestItems"] });
            if again { Reaction::Forward } else { Reaction::Answer(200, nothing) }
        }
    });
    let seed = seed();
    let jobs = ["a", "b"].map(|key| job(seed, key, SystemClock.now()));
    direct.insert_jobs(&jobs).await.unwrap();
    let ledger = ledger(proxy.address, Arc::new(SystemClock));
    let found = ledger.jobs(&jobs[0].0.workspace_id, &[jobs[0].0.job_id, jobs[1].0.job_id]).await.unwrap();
    assert_eq!(found, [Some(jobs[0].0.clone()), Some(jobs[1].0.clone())]);
    assert_eq!(proxy.calls(), ["BatchGetItem"; 2]);
}

#[tokio::test]
async fn an_index_that_is_not_there_yet_is_told_by_its_name() {
    for says in [
        "The table does not have the specified index: open_jobs",
        "Cannot read from backfilling global secondary index: open_jobs",
    ] {
        let proxy = AwsProxy::start(Ministack::shared().address(), move |_, _| {
            let kind = "com.amazon.coral.validate#ValidationException";
            Reaction::Answer(400, json!({ "__type": kind, "message": says }))
        });
        let ledger = ledger(proxy.address, Arc::new(SystemClock));
        let error = ledger.oldest_unclaimed().await.unwrap_err().to_string();
        assert!(error.contains("the index open_jobs is missing, or DynamoDB is still filling it"), "{error}");
        let error = ledger.overdue_jobs(SystemClock.now(), 1).await.unwrap_err().to_string();
        assert!(error.contains("the index open_jobs"), "{error}");
        let asked = job(seed(), "a", SystemClock.now()).0;
        let error = ledger.job(&asked.workspace_id, asked.job_id).await.unwrap_err().to_string();
        assert!(!error.contains("index"), "{error}");
    }
}

#[tokio::test]
async fn a_job_that_an_earlier_version_wrote_is_found_and_goes_on() {
    let server = Ministack::shared();
    let table = format!("earlier-{}", seed().simple());
    let clock = Arc::new(SystemClock);
    let ledger = DynamoLedger::new(sdk(server.address()), table.clone(), clock.clone(), Arc::new(SystemIds));
    ledger.create_table().await.unwrap();
    // Its id, nulls, times of two indexes and its status stood in the item, and its hashes were in hex.
    let body = include_str!("../../src/ledger/job_of_0.1.0.json").trim();
    let (now, mut body) = (clock.now(), serde_json::from_str::<Value>(body).unwrap());
    let touched = now - SignedDuration::from_mins(10);
    for (name, age) in [("created_at", 15), ("started_at", 14), ("touched_at", 10)] {
        body[name] = json!(now - SignedDuration::from_mins(age));
    }
    let job: domain::Job = serde_json::from_value(body.clone()).unwrap();
    let workspace = job.workspace_id.clone();
    let (created, touched) = (job.created_at.as_microsecond(), touched.as_microsecond());
    let client = aws_sdk_dynamodb::Client::new(sdk(server.address()).config().await);
    let mut put = client.put_item().table_name(&table);
    for (name, text) in [
        ("pk", format!("JOB#{}", job.job_id)),
        ("sk", "JOB".to_owned()),
        ("body", body.to_string()),
        ("version", job.revision.to_string()),
        ("list_pk", "W#acme".to_owned()),
        ("list_sk", format!("{created:020}#{}", job.job_id)),
        ("status_pk", "W#acme#pending".to_owned()),
        ("open_pk", "OPEN#3".to_owned()),
        ("waits_pk", "WAITS#3".to_owned()),
    ] {
        put = put.item(name, AttributeValue::S(text));
    }
    put = put.item("due_at", AttributeValue::N(touched.to_string()));
    put.item("waits_since", AttributeValue::N(created.to_string())).send().await.unwrap();

    assert_eq!(ledger.job(&workspace, job.job_id).await.unwrap(), Some(job.clone()));
    assert_eq!(ledger.overdue_jobs(now, 10).await.unwrap(), std::slice::from_ref(&job));
    assert_eq!(ledger.oldest_unclaimed().await.unwrap(), Some(job.created_at));
    let filter = JobFilter { workspace: workspace.clone(), list: JobList::All, after: None, limit: 10 };
    assert_eq!(ledger.list_jobs(&filter).await.unwrap(), std::slice::from_ref(&job));
    let next = job.nudged(now).unwrap();
    assert_eq!(ledger.save(&next).await.unwrap(), Save::Done);
    assert_eq!(ledger.overdue_jobs(now, 10).await.unwrap(), []);
    // Its next version is like any other.
    let pending = JobFilter { list: JobList::Open, ..filter };
    assert_eq!(ledger.list_jobs(&pending).await.unwrap(), std::slice::from_ref(&next));
    assert_eq!(ledger.open_jobs(&workspace, 10).await.unwrap(), 1);
    assert_eq!(ledger.save(&ended(&next, now)).await.unwrap(), Save::Done);
    assert_eq!((ledger.oldest_unclaimed().await.unwrap(), ledger.open_jobs(&workspace, 10).await.unwrap()), (None, 0));
}

#[tokio::test]
async fn a_body_that_an_earlier_version_wrote_unpacked_is_read_and_sealed_again() {
    let server = Ministack::shared();
    let ledger = with_table(&server).await;
    let now = SystemClock.now();
    let (job, _) = job(seed(), "unpacked", now);
    let sealed = |letter: &str| Sealed(letter.repeat(600));
    ledger.insert_jobs(&[(job.clone(), Contents(sealed("a")))]).await.unwrap();
    let text = |text: String| AttributeValue::S(text);
    let client = aws_sdk_dynamodb::Client::new(sdk(server.address()).config().await);
    let update = client.update_item().table_name("ledger").key("pk", text(format!("JOB#{}", job.job_id)));
    let update = update.key("sk", text("CONTENTS".to_owned())).update_expression("SET body = :body");
    update.expression_attribute_values(":body", text(sealed("a").0)).send().await.unwrap();
    assert_eq!(ledger.contents(job.job_id).await.unwrap(), Some(Contents(sealed("a"))));
    let old = SealedText {
        workspace: job.workspace_id.clone(),
        purpose: Purpose::JobParams,
        id: job.job_id.to_string(),
        sealed: sealed("a"),
    };
    assert!(ledger.replace_sealed(&old, &sealed("b")).await.unwrap());
    assert_eq!(ledger.contents(job.job_id).await.unwrap(), Some(Contents(sealed("b"))));
    assert!(!ledger.replace_sealed(&old, &sealed("c")).await.unwrap(), "that text is gone");
    ledger.save(&ended(&job, now)).await.unwrap();
}

#[tokio::test]
async fn a_claim_and_the_steps_to_the_end_change_no_index() {
    let server = Ministack::shared();
    with_table(&server).await;
    let writes = Arc::new(Mutex::new(Vec::new()));
    let proxy = AwsProxy::start(server.address(), {
        let writes = Arc::clone(&writes);
        move |call, body| {
            if call == "PutItem" {
                let keys = ["list_pk", "list_sk", "status_pk", "open_pk", "due_at"];
                writes.lock().unwrap().push(keys.map(|key| body["Item"][key].clone()));
            }
            Reaction::Forward
        }
    });
    let ledger = ledger(proxy.address, Arc::new(SystemClock));
    let now = SystemClock.now();
    let at = |seconds| now + SignedDuration::from_secs(seconds);
    let (queued, contents) = job(seed(), "quiet", now);
    assert_eq!(ledger.insert_jobs(&[(queued.clone(), contents)]).await.unwrap(), Insert::Done);
    let nudged = queued.nudged(at(1)).unwrap();
    let claimed = nudged.claimed(domain::Lease { owner: seed(), until: at(60) }, at(2)).unwrap();
    let evidence = domain::Evidence { draft_id: "d".to_owned(), internet_message_id: None };
    let prepared = claimed.prepared(evidence, at(70)).unwrap();
    let sending = prepared.sending(at(71)).unwrap();
    let orphaned = sending.orphaned(at(200)).unwrap();
    for version in [&nudged, &claimed, &prepared, &sending, &orphaned] {
        assert_eq!(ledger.save(version).await.unwrap(), Save::Done);
    }
    {
        let writes = writes.lock().unwrap();
        assert!(writes.len() == 5 && writes.iter().all(|keys| *keys == writes[0]), "{writes:?}");
        assert!(writes[0].iter().all(|key| !key.is_null()), "{writes:?}");
    }
    assert_eq!(
        ledger.overdue_jobs(at(200), 10_000).await.unwrap().iter().filter(|job| job.job_id == queued.job_id).count(),
        0
    );
    assert_eq!(
        ledger.overdue_jobs(at(201), 10_000).await.unwrap().iter().filter(|job| job.job_id == queued.job_id).count(),
        1
    );
    // A wait is another matter: nobody has to look at it before its end.
    let claimed = orphaned.claimed(domain::Lease { owner: seed(), until: at(300) }, at(201)).unwrap();
    let waiting = claimed.lease_released(at(1_000), None, at(202)).unwrap();
    for version in [&claimed, &waiting] {
        assert_eq!(ledger.save(version).await.unwrap(), Save::Done);
    }
    let last = writes.lock().unwrap().last().unwrap().clone();
    assert_eq!(last[4]["N"], at(1_000).as_microsecond().to_string());
    ledger.save(&ended(&waiting, now)).await.unwrap();
}

#[tokio::test]
async fn an_index_that_is_behind_does_no_harm() {
    let server = Ministack::shared();
    let direct = with_table(&server).await;
    let (now, seed) = (SystemClock.now(), seed());
    let ([failed, open, moved], gone) =
        (["failed", "open", "moved"].map(|key| job(seed, key, now)), job(seed, "gone", now));
    direct.insert_jobs(&[failed.clone(), open.clone(), moved.clone()]).await.unwrap();
    direct.save(&ended(&failed.0, now)).await.unwrap();
    // It still names one that has ended, one under an earlier time, and one that is not there any more.
    let entry = |job: &Job, time: Timestamp| {
        let place = format!("{:020}#{}", time.as_microsecond(), job.job_id);
        let due = time.as_microsecond().to_string();
        json!({ "pk": { "S": format!("JOB#{}", job.job_id) }, "sk": { "S": "JOB" }, "list_sk": { "S": place }, "due_at": { "N": due } })
    };
    let earlier = now - SignedDuration::from_secs(9);
    let named = json!([entry(&failed.0, now), entry(&open.0, now), entry(&moved.0, earlier), entry(&gone.0, now)]);
    let proxy = AwsProxy::start(server.address(), move |call, body| {
        match (call, body["ExpressionAttributeValues"][":pk"]["S"].as_str()) {
            ("Query", Some("OPEN#0")) => Reaction::Answer(200, json!({ "Items": [named[0], named[1], named[3]] })),
            ("Query", Some(list)) if list.starts_with("OPEN") => Reaction::Answer(200, json!({ "Items": [] })),
            ("Query", _) => Reaction::Answer(200, json!({ "Items": named })),
            _ => Reaction::Forward,
        }
    });
    let ledger = ledger(proxy.address, Arc::new(SystemClock));
    let before = now + SignedDuration::from_secs(1);
    assert_eq!(ledger.overdue_jobs(before, 10).await.unwrap(), std::slice::from_ref(&open.0));
    assert_eq!(ledger.overdue_jobs(now, 10).await.unwrap(), [], "it was touched since");
    let workspace = open.0.workspace_id.clone();
    let filter = JobFilter { workspace, list: JobList::Open, after: None, limit: 10 };
    assert_eq!(ledger.list_jobs(&filter).await.unwrap(), [open.0]);
}

#[tokio::test]
async fn messages_go_in_batches_of_ten_with_their_group_and_delay() {
    let server = Ministack::shared();
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let proxy = AwsProxy::start(server.address(), {
        let bodies = bodies.clone();
        move |_, body| {
            bodies.lock().unwrap().push(body.clone());
            Reaction::Forward
        }
    });
    let queue = queue(&server, proxy.address).await;
    let mut sent = messages(25, seed());
    sent[24].delay = Duration::from_hours(1);
    queue.send(&sent).await.unwrap();
    assert_eq!(proxy.calls(), ["SendMessageBatch"; 3]);
    let entries: Vec<Value> =
        bodies.lock().unwrap().iter().flat_map(|body| body["Entries"].as_array().unwrap().clone()).collect();
    assert_eq!(entries.len(), 25);
    assert!(entries.iter().all(|entry| entry["MessageGroupId"] == "local"), "a group for each workspace");
    let last = entries.iter().find(|entry| entry["MessageBody"] == sent[24].body.as_str()).unwrap();
    assert_eq!(last["DelaySeconds"], 900, "no longer than SQS delays");
    assert_eq!(queue.depth().await.unwrap(), 25, "delayed messages count");
    queue.acknowledge("no receipt").await.expect("there is nothing to acknowledge");
    assert_eq!(queue.receive(0, Duration::ZERO).await.unwrap(), []);
}

#[tokio::test]
async fn of_a_batch_only_what_was_refused_is_sent_again() {
    // The third and fifth fail at first, through a fault of the queue's; the seventh is wrong in itself.
    for (wrong, outcome) in [(None, true), (Some("6"), false)] {
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let proxy = AwsProxy::start(SocketAddr::from(([127, 0, 0, 1], 1)), {
            let bodies = bodies.clone();
            move |_, body| {
                let mut bodies = bodies.lock().unwrap();
                bodies.push(body.clone());
                let (mut failed, mut successful) = (Vec::new(), Vec::new());
                for entry in body["Entries"].as_array().unwrap() {
                    let id = entry["Id"].as_str().unwrap();
                    if bodies.len() == 1 && ["2", "4"].contains(&id) || wrong == Some(id) {
                        failed.push(
                            json!({ "Id": id, "Code": "X", "SenderFault": wrong == Some(id), "Message": "secret" }),
                        );
                    } else {
                        successful.push(json!({ "Id": id, "MessageId": id, "MD5OfMessageBody": "" }));
                    }
                }
                Reaction::Answer(200, json!({ "Failed": failed, "Successful": successful }))
            }
        });
        let url = "http://127.0.0.1/000000000000/jobs";
        let queue = SqsQueue::new(sdk(proxy.address), url, Arc::new(SystemClock), Arc::new(SystemIds));
        let said = queue.send(&messages(10, seed())).await;
        assert_eq!(said.is_ok(), outcome, "{said:?}");
        let bodies = bodies.lock().unwrap();
        let ids: Vec<_> = bodies[1]["Entries"].as_array().unwrap().iter().map(|entry| entry["Id"].clone()).collect();
        assert_eq!((bodies.len(), ids), (2, vec![json!("2"), json!("4")]));
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_that_names_nothing() {
    let nobody = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let ledger = ledger(nobody, Arc::new(SystemClock));
    let error = ledger.rollout_percent(Provider::Google).await.unwrap_err().to_string();
    assert_eq!(error, "the ledger failed: GetItem: the service cannot be reached");
    let queue = SqsQueue::new(sdk(nobody), "http://q", Arc::new(SystemClock), Arc::new(SystemIds));
    let error = queue.depth().await.unwrap_err().to_string();
    assert_eq!(error, "the queue failed: GetQueueAttributes: the service cannot be reached");
}
