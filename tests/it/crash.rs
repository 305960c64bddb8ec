//! The process dies at any moment and comes back on the same folder: what was accepted is carried
//! out, and nothing is sent twice.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use fakes::{Fakes, Fault, RandomFaults};
use serde_json::{Value, json};

use crate::support::{Chance, Client, GMAIL_COMPOSE, GMAIL_SEND, Server, gmail, refused, try_reply, until};

/// So many jobs are on their way when the process dies.
const JOBS: usize = 40;
/// So soon after a start every job of the run before has ended.
const PATIENCE: Duration = Duration::from_secs(45);

fn key(i: usize) -> String {
    format!("crash-{i}")
}

/// The keys whose 202 was seen, with their jobs' ids.
type Accepted = Arc<Mutex<BTreeMap<String, String>>>;

/// Asks for all the jobs, a few at a time, until the server is gone; counts the 202s.
fn submit(client: &Client, accepted: &Accepted, seen: &Arc<AtomicUsize>) -> Vec<tokio::task::JoinHandle<()>> {
    (0..8)
        .map(|lane| {
            let (client, accepted, seen) = (client.clone(), Arc::clone(accepted), Arc::clone(seen));
            tokio::spawn(async move {
                for i in (lane..JOBS).step_by(8) {
                    let body = json!({ "actions": [gmail(&key(i), "Hello")], "actor_id": "ana@example.com" });
                    let Some(reply) = try_reply(client.request("POST", "/ai/execute").json(&body)).await else {
                        return;
                    };
                    assert_eq!(reply.status, 202, "{}", reply.body);
                    let id = reply.body["job_ids"][0].as_str().expect("an id").to_owned();
                    accepted.lock().unwrap().insert(key(i), id);
                    seen.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect()
}

/// When to kill.
#[derive(Debug)]
enum Moment {
    /// Right after this many 202s.
    Accepted(usize),
    /// When this many sends have begun.
    Sending(usize),
}

/// Starts the program, has it accept and work, and kills it at the moment.
async fn die(start: &dyn Fn() -> Server, sends: &dyn Fn() -> usize, accepted: &Accepted, moment: &Moment) {
    let mut server = start();
    let seen = Arc::new(AtomicUsize::new(0));
    let lanes = submit(&server.client(), accepted, &seen);
    until("the moment to kill does not come", || match moment {
        Moment::Accepted(count) => seen.load(Ordering::SeqCst) >= *count,
        Moment::Sending(count) => sends() >= *count,
    })
    .await;
    server.kill();
    for lane in lanes {
        lane.await.expect("every answer that came was a 202");
    }
}

/// Starts the program again; every accepted job is there and ends in time. Then asks for all of
/// the jobs once more, as a client would that saw no answer, and gives them back by their keys.
async fn recover(server: &Server, began: Instant, accepted: &Accepted) -> BTreeMap<String, Value> {
    let known = accepted.lock().unwrap().clone();
    for (key, id) in &known {
        let job = server.ended(id).await;
        assert_eq!(job["client_request_id"], *key, "{job}");
    }
    assert!(began.elapsed() < PATIENCE, "it took {:?}", began.elapsed());
    let mut jobs = BTreeMap::new();
    for i in 0..JOBS {
        let id = server.execute(gmail(&key(i), "Hello")).await;
        assert!(known.get(&key(i)).is_none_or(|known| *known == id));
        jobs.insert(key(i), server.ended(&id).await);
    }
    jobs
}

#[tokio::test]
async fn in_the_sandbox_every_accepted_job_is_in_the_outbox_once() {
    let mut chance = Chance::new("crash, sandbox");
    for round in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        let start = || Server::start(folder.path(), &[]);
        let accepted = Accepted::default();
        // Twice: the second time the program dies while it recovers.
        for _ in 0..2 {
            let moment = Moment::Accepted(1 + chance.below(if round < 2 { 3 } else { JOBS }));
            die(&start, &|| 0, &accepted, &moment).await;
        }
        let server = start();
        let jobs = recover(&server, Instant::now(), &accepted).await;
        assert!(jobs.values().all(|job| job["status"] == "completed"), "{jobs:?}");
        let outbox = server.get("/dev/outbox").await.body;
        let mut mails: BTreeMap<&str, usize> = BTreeMap::new();
        for mail in outbox["data"].as_array().unwrap() {
            *mails.entry(mail["job_id"].as_str().unwrap()).or_default() += 1;
        }
        assert_eq!(mails.len(), JOBS);
        assert!(mails.values().all(|count| *count == 1), "{mails:?}");
    }
}

/// Rounds of two kills each with a live account. While the program runs, some requests are slow, and
/// some sends are carried out and never answered; once it recovers for good, the provider is well.
/// `judge` says of a job and its deliveries whether the kill had left it in doubt.
async fn live_rounds(scope: &str, send: &str, judge: impl Fn(&Value, usize) -> bool) {
    let mut chance = Chance::new(send);
    let mut in_doubt = 0;
    for round in 0..6 {
        let fakes = Fakes::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let start = || Server::start_live(folder.path(), &fakes, scope, &[("RUST_LOG", "error")]);
        let sends = || fakes.operations().iter().filter(|operation| **operation == send).count();
        let accepted = Accepted::default();
        let hang = Fault::Hang.on(send);
        for again in [false, true] {
            let (percent, faults) = if round == 0 {
                (100, vec![hang.clone()])
            } else {
                (60, vec![Fault::Slow { ms: 20 }.into(), Fault::Slow { ms: 200 }.into(), hang.clone()])
            };
            fakes.randomly(Some(RandomFaults { seed: chance.below(1 << 30) as u64, percent, faults }));
            let moment = match (again, round % 3) {
                (false, 0) => Moment::Sending(1 + chance.below(10)),
                (false, 1) => Moment::Sending(1 + chance.below(20)),
                (false, _) => Moment::Accepted(1),
                (true, _) => Moment::Accepted(1 + chance.below(JOBS)),
            };
            println!("{send}, round {round}: killed at {moment:?}");
            die(&start, &sends, &accepted, &moment).await;
        }
        fakes.randomly(None);
        let began = Instant::now();
        let server = start();
        for (key, job) in recover(&server, began, &accepted).await {
            let delivered = fakes.count(&format!("job:{key}"));
            println!("{key}: delivered {delivered} times, {job}");
            in_doubt += usize::from(judge(&job, delivered));
        }
    }
    println!("{send}: {in_doubt} jobs were in doubt");
    assert!(in_doubt > 0, "no kill met a send");
}

#[tokio::test]
async fn with_the_send_scope_nothing_is_sent_twice_and_what_completed_was_sent() {
    live_rounds(GMAIL_SEND, "gmail.messages.send", |job, delivered| {
        let completed = job["status"] == "completed";
        assert!(delivered <= 1 && (!completed || delivered == 1));
        assert!(completed || job["error"]["code"] == "outcome-unknown");
        !completed
    })
    .await;
}

#[tokio::test]
async fn with_the_draft_scope_every_job_completes_and_is_sent_once() {
    live_rounds(GMAIL_COMPOSE, "gmail.drafts.send", |job, delivered| {
        assert_eq!((&job["status"], delivered), (&json!("completed"), 1));
        job["result"]["presumed"] == true
    })
    .await;
}

#[tokio::test]
async fn told_to_stop_it_finishes_what_is_in_hand_and_leaves_the_rest_for_the_next_start() {
    for (scope, send) in [(GMAIL_SEND, "gmail.messages.send"), (GMAIL_COMPOSE, "gmail.drafts.send")] {
        let fakes = Fakes::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut server = Server::start_live(folder.path(), &fakes, scope, &[]);
        for _ in 0..15 {
            fakes.script(Fault::Slow { ms: 700 }.on(send));
        }
        let actions: Vec<Value> = (0..30).map(|i| gmail(&key(i), "Hello")).collect();
        let mut ids = Vec::new();
        for ten in actions.chunks(10) {
            let reply = server.post("/ai/execute", &json!({ "actions": ten, "actor_id": "ana@example.com" })).await;
            assert_eq!(reply.status, 202);
            ids.extend(reply.body["job_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()));
        }
        until("nothing is being sent", || fakes.operations().contains(&send)).await;
        server.terminate();
        assert!(server.ends_well().await, "{}", server.log());
        let begun = fakes.operations().iter().filter(|operation| **operation == send).count();
        assert_eq!(fakes.deliveries().len(), begun, "what was begun was finished");
        assert!(begun < ids.len(), "it stopped before everything was done");

        let server = Server::start_live(folder.path(), &fakes, scope, &[]);
        for (i, id) in ids.iter().enumerate() {
            let job = server.ended(id).await;
            let delivered = fakes.count(&format!("job:{}", key(i)));
            assert_eq!((&job["status"], delivered), (&json!("completed"), 1), "{job}");
            assert_eq!(job["result"]["presumed"], json!(null), "its answer was waited for: {job}");
        }
    }
}

#[tokio::test]
async fn told_to_stop_it_answers_what_it_was_asked() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    fakes.script(Fault::Slow { ms: 1000 });
    let id = server.execute(gmail("asked", "Hello")).await;
    let client = server.client();
    let path = format!("/ai/jobs/{id}?wait=20");
    let polled = tokio::spawn(async move { client.get(&path).await });
    until("nothing is being sent", || !fakes.operations().is_empty()).await;
    // It came after the poll: once it is answered, the poll has been heard.
    assert_eq!(server.get("/healthz").await.status, 200);
    server.terminate();
    let job = polled.await.unwrap().body;
    assert_eq!(job["status"], "completed", "{job}");
    assert!(server.ends_well().await);
}

#[tokio::test]
async fn a_folder_is_for_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let second = refused(folder.path(), &[]);
    let says = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{says}");
    assert!(says.contains("another server is already running") && says.contains("ORCHESTRATOR_DATA"), "{says}");
    assert!(!String::from_utf8(second.stdout).unwrap().contains("listening"));
    // The first one does not mind.
    let id = server.execute(gmail("first", "Hello")).await;
    assert_eq!(server.ended(&id).await["status"], "completed");
}

#[tokio::test]
async fn what_cannot_work_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let says = |folder: &Path, variables: &[(&str, &str)]| {
        let output = refused(folder, variables);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let wrong = [("PORT", "x"), ("PROVIDER_MODE", "dry"), ("AI_MAX_TOKENS_PER_MIN", "0"), ("TOKEN_KEY", "short")];
    let text = says(folder.path(), &wrong);
    for name in ["PORT", "PROVIDER_MODE", "AI_MAX_TOKENS_PER_MIN"] {
        assert!(text.contains(name), "{text}");
    }
    let text = says(folder.path(), &[("TOKEN_KEY", "canary-short")]);
    assert!(text.contains("TOKEN_KEY") && !text.contains("canary-short"), "{text}");
    assert!(says(&file, &[]).contains("a-file"));
}
