//! Keys that are bound to an actor or narrowed to actions, and what they reach: by content, by count and by looks.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use contracts::sample_job;
use domain::{ActorHash, ContentHash, Job, JobId, Outcome, WorkspaceId};
use engine::{
    Caller,
    execute::ExecuteRequest,
    ports::{CacheError, Contents, Counted, Held, Insert, JobCache, JobFilter, Jobs, LedgerError, RateLimit, Save},
};
use fakes::{Fakes, Fault};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    inside::{Inside, caller},
    support::{Client, GMAIL_SEND, Reply, Server, gmail, run},
};

const SCOPES: &str = "actions:preview,actions:execute,audit:read";
const NOBODY: &str = "00000000-0000-8000-8000-000000000000";

fn make_key(folder: &Path, more: &[&str]) -> String {
    run(folder, &[], &[&["keys", "create", "--workspace", "local", "--scopes", SCOPES], more].concat())
}

fn outlook(key: &str) -> Value {
    let mut action = gmail(key, "Hello");
    (action["provider"], action["action"]) = (json!("microsoft"), json!("outlook.send"));
    action
}

async fn execute(client: &Client, action: &Value, actor: Option<&str>) -> Reply {
    client.post("/ai/execute", &json!({ "actions": [action], "actor_id": actor })).await
}

fn job_id(accepted: &Reply) -> String {
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    accepted.body["job_ids"][0].as_str().unwrap().to_owned()
}

/// Every way to a job by its id.
async fn ways(client: &Client, id: &str) -> Vec<(String, Reply)> {
    let mut replies = Vec::new();
    for path in ["", "?wait=1", "/content"] {
        replies.push((format!("GET {path}"), client.get(&format!("/ai/jobs/{id}{path}")).await));
    }
    for (verb, body) in [
        ("cancel", json!({})),
        ("retry", json!({})),
        ("resolve", json!({ "outcome": "sent" })),
        ("resolve", json!({ "outcome": "not_sent" })),
    ] {
        replies.push((format!("{verb} {body}"), client.post(&format!("/ai/jobs/{id}/{verb}"), &body).await));
    }
    replies
}

/// An answer without what differs between any two.
fn essence(mut reply: Reply) -> (u16, Value) {
    reply.body["correlation_id"].take();
    (reply.status, reply.body)
}

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|one| one["job_id"].as_str().unwrap()).collect()
}

/// Jobs of Gmail's: one that was sent, one whose outcome is unknown, one that failed, one that waits.
async fn each_fate(fakes: &Fakes, client: &Client, actor: Option<&str>) -> Vec<String> {
    let mut jobs = Vec::new();
    for (key, fault) in [
        ("sent", None),
        ("unknown", Some(Fault::AcceptThenClose)),
        ("failed", Some(Fault::Forbidden)),
        ("waits", Some(Fault::TooManyRequests { retry_after_s: Some(600) })),
    ] {
        if let Some(fault) = fault {
            fakes.script(fault.on("gmail.messages.send"));
        }
        let id = job_id(&execute(client, &gmail(key, "Bob's"), actor).await);
        client.job_when(&id, "tried", |job| job["attempts"] == 1 && job["status"] != "running").await;
        jobs.push(id);
    }
    jobs
}

#[tokio::test]
async fn for_a_bound_key_there_are_no_jobs_of_other_actors() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [ann, bob] = ["ann", "bob"].map(|actor| make_key(folder, &["--actor", actor]));
    let all = make_key(folder, &[]);
    let server = Server::start_live(folder, &fakes, GMAIL_SEND, &[]);
    let (ann, bob, all) = (server.with_key(&ann), server.with_key(&bob), server.with_key(&all));
    // One in the outbox, one that was sent, one whose outcome is unknown, one that failed, one that waits.
    let mut jobs = vec![job_id(&execute(&bob, &outlook("outbox"), None).await)];
    bob.ended(&jobs[0]).await;
    jobs.extend(each_fate(&fakes, &bob, None).await);
    let holdings = async |client: &Client| {
        let mut told = Vec::new();
        let paths =
            ["/ai/jobs?limit=100", "/ai/jobs?status=error", "/dev/outbox", "/audit?limit=100", "/ai/jobs?search=com"];
        for path in paths {
            told.push(client.get(path).await.body);
        }
        told
    };
    let before = holdings(&bob).await;
    assert_eq!((ids(&before[0]).len(), ids(&before[1]).len(), ids(&before[2])), (5, 2, vec![jobs[0].as_str()]));

    let unknown: Vec<_> = ways(&ann, NOBODY).await.into_iter().map(|(way, reply)| (way, essence(reply))).collect();
    for id in &jobs {
        for ((way, reply), (_, nothing)) in ways(&ann, id).await.into_iter().zip(&unknown) {
            assert_eq!(reply.status, 404, "{way}: {}", reply.body);
            assert_eq!(&essence(reply), nothing, "{way} is like one that never was");
        }
    }
    for list in holdings(&ann).await {
        let text = list.to_string();
        assert!(!jobs.iter().any(|id| text.contains(id)) && !text.contains("Bob's"), "{list}");
        assert_eq!(list["next_cursor"], Value::Null, "{list}");
    }
    assert_eq!(holdings(&bob).await, before, "nothing of his has changed");

    // His idempotency keys are taken, and that is all she learns: the same action or another is the same answer.
    let [same, other] = ["Bob's", "Ann's"].map(|subject| gmail("sent", subject));
    let (same, other) = (execute(&ann, &same, None).await, execute(&ann, &other, None).await);
    assert_eq!((same.status, same.code()), (422, &json!("idempotency-key-reused")));
    assert_eq!(essence(same), essence(other));
    let again = execute(&bob, &gmail("sent", "Bob's"), None).await;
    assert_eq!((job_id(&again), &again.body["jobs"][0]["replayed"]), (jobs[1].clone(), &json!(true)));
    // A key that is not bound acts for all of them, as the contract has it.
    let again = execute(&all, &gmail("sent", "Bob's"), Some("ann")).await;
    assert_eq!((job_id(&again), &again.body["jobs"][0]["replayed"]), (jobs[1].clone(), &json!(true)));
    // Nor does a preview of the same mail tell her of his.
    let mut mail = gmail("sent", "Bob's");
    mail["client_request_id"] = json!("another");
    let warns = async |client: &Client| client.post("/actions/preview", &mail).await.body["warnings"].to_string();
    assert!(warns(&bob).await.contains("duplicate") && !warns(&ann).await.contains("duplicate"));

    // Her own she has, and who is not bound has everything.
    let own = job_id(&execute(&ann, &outlook("own"), None).await);
    ann.ended(&own).await;
    assert_eq!(ids(&ann.get("/ai/jobs?limit=1").await.body), [own.as_str()]);
    assert_eq!(ids(&ann.get("/dev/outbox").await.body), [own.as_str()]);
    assert_eq!(ids(&all.get("/ai/jobs").await.body).len(), 6);
    assert_eq!(ids(&all.get("/dev/outbox").await.body).len(), 2);
    assert_eq!(bob.post(&format!("/ai/jobs/{}/resolve", jobs[2]), &json!({ "outcome": "sent" })).await.status, 200);
}

#[tokio::test]
async fn a_narrowed_key_reaches_jobs_of_its_actions_alone() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (all, narrow) = (make_key(folder, &[]), make_key(folder, &["--allow", "outlook.send"]));
    let server = Server::start_live(folder, &fakes, GMAIL_SEND, &[]);
    let (all, narrow) = (server.with_key(&all), server.with_key(&narrow));
    let jobs = each_fate(&fakes, &all, Some("ann")).await;
    let before = all.get("/ai/jobs").await.body;
    for id in &jobs {
        for (way, reply) in ways(&narrow, id).await {
            assert_eq!((reply.status, reply.code()), (403, &json!("action-not-allowed")), "{way}: {}", reply.body);
        }
    }
    assert_eq!(all.get("/ai/jobs").await.body, before, "nothing has changed");
    let own = job_id(&execute(&all, &outlook("own"), Some("ann")).await);
    all.ended(&own).await;
    assert_eq!(narrow.get(&format!("/ai/jobs/{own}/content")).await.body["subject"], "Hello");
    assert_eq!(ids(&narrow.get("/ai/jobs").await.body), [own.as_str()]);
    assert_eq!(ids(&narrow.get("/dev/outbox").await.body), [own.as_str()]);
    let audit = narrow.get("/audit?limit=100").await.body;
    assert!(!audit.to_string().contains("gmail.send"), "{audit}");
    let plan = all.post("/ai/plan2", &json!({ "prompt": "Send email to john@example.com saying hi" })).await.body;
    let path = format!("/ai/plans/{}", plan["plan"]["plan_id"].as_str().unwrap());
    assert_eq!(all.get(&path).await.status, 200);
    let execute = json!({ "plan_id": plan["plan"]["plan_id"] });
    for reply in [narrow.get(&path).await, narrow.post("/ai/execute", &execute).await] {
        assert_eq!((reply.status, reply.code()), (403, &json!("action-not-allowed")), "{}", reply.body);
    }
    // Refusals are audited, one for each try.
    let audit = all.get("/audit?limit=100").await.body;
    let count = |event: &str| audit["data"].as_array().unwrap().iter().filter(|entry| entry["event"] == event).count();
    let refusals = ["job.cancel-refused", "job.retry-refused", "job.resolve-refused"].map(count);
    // The last is refused twice a job.
    assert_eq!(refusals, [4, 4, 8], "{audit}");
}

#[tokio::test]
async fn the_audit_tells_who_did_it_and_for_whom() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (all, bob) = (make_key(folder, &[]), make_key(folder, &["--actor", "bob"]));
    let server = Server::start_live(folder, &fakes, GMAIL_SEND, &[]);
    let hash = |actor: &str| ActorHash::of(&"local".parse().unwrap(), &actor.parse().unwrap()).as_str().to_owned();
    let (of_all, of_bob) = (hash(all.split('_').nth(1).unwrap()), hash("bob"));
    let (all, bob) = (server.with_key(&all), server.with_key(&bob));
    fakes.script(Fault::TooManyRequests { retry_after_s: Some(600) }.on("gmail.messages.send"));
    let id = job_id(&execute(&all, &gmail("a", "Hello"), Some("bob")).await);
    all.job_when(&id, "waiting", |job| job["waiting_for"] == "rate-limit").await;
    assert_eq!(all.post(&format!("/ai/jobs/{id}/cancel"), &json!({})).await.status, 200);
    assert_eq!(bob.post(&format!("/ai/jobs/{id}/retry"), &json!({})).await.status, 200, "it is for him");
    assert_eq!(bob.ended(&id).await["status"], "completed");
    let audit = bob.get("/audit").await.body;
    let told: Vec<_> = audit["data"].as_array().unwrap().iter().filter(|entry| entry["job_id"] == id).collect();
    let told: Vec<_> =
        told.iter().map(|entry| [&entry["event"], &entry["actor_sha256"], &entry["by_actor_sha256"]]).collect();
    let expected = [
        ["job.completed", &of_bob, ""],
        ["job.retried", &of_bob, &of_bob],
        ["job.cancelled", &of_bob, &of_all],
        ["job.accepted", &of_bob, &of_all],
    ];
    let expected = expected.map(|row| row.map(|text| if text.is_empty() { Value::Null } else { json!(text) }));
    let expected: Vec<_> = expected.iter().map(|[event, actor, by]| [event, actor, by]).collect();
    assert_eq!(told, expected, "{audit}");
}

/// Counts the looks into the cache and the ledger.
struct Counting<T: ?Sized> {
    inner: Arc<T>,
    looks: Arc<Mutex<Vec<&'static str>>>,
}

impl<T: ?Sized> Counting<T> {
    fn look(&self, what: &'static str) {
        self.looks.lock().unwrap().push(what);
    }
}

#[async_trait]
impl JobCache for Counting<dyn JobCache> {
    async fn put_jobs(&self, jobs: &[Job]) -> Result<(), CacheError> {
        self.inner.put_jobs(jobs).await
    }

    async fn put_claimed(&self, job: &Job, account: &str) -> Result<Duration, CacheError> {
        self.inner.put_claimed(job, account).await
    }

    async fn cached_job(&self, workspace: &WorkspaceId, id: JobId, limit: Option<&RateLimit>) -> Counted<Option<Job>> {
        self.look("cache");
        let found = self.inner.cached_job(workspace, id, limit).await;
        if found.as_ref().is_ok_and(|(job, _)| job.is_some()) {
            self.look("found in the cache");
        }
        found
    }
}

#[async_trait]
impl Jobs for Counting<dyn Jobs> {
    async fn insert_jobs(&self, jobs: &[(Job, Contents)]) -> Result<Insert, LedgerError> {
        self.inner.insert_jobs(jobs).await
    }

    async fn jobs(&self, workspace: &WorkspaceId, ids: &[JobId]) -> Result<Vec<Option<Job>>, LedgerError> {
        self.look("jobs");
        let found = self.inner.jobs(workspace, ids).await?;
        if found.iter().any(Option::is_some) {
            self.look("found in the ledger");
        }
        Ok(found)
    }

    async fn save(&self, job: &Job) -> Result<Save, LedgerError> {
        self.inner.save(job).await
    }

    async fn contents_of(&self, ids: &[JobId]) -> Result<Vec<Option<Contents>>, LedgerError> {
        self.look("contents");
        self.inner.contents_of(ids).await
    }

    async fn list_jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, LedgerError> {
        self.inner.list_jobs(filter).await
    }

    async fn overdue_jobs(&self, before: Timestamp, limit: usize) -> Result<Vec<Job>, LedgerError> {
        self.inner.overdue_jobs(before, limit).await
    }

    async fn open_jobs(&self, workspace: &WorkspaceId, at_most: usize) -> Result<usize, LedgerError> {
        self.inner.open_jobs(workspace, at_most).await
    }

    async fn held(&self, at_most: usize) -> Result<Held, LedgerError> {
        self.inner.held(at_most).await
    }

    async fn oldest_unclaimed(&self) -> Result<Option<Timestamp>, LedgerError> {
        self.inner.oldest_unclaimed().await
    }

    async fn last_with_content(
        &self,
        workspace: &WorkspaceId,
        content: &ContentHash,
        now: Timestamp,
    ) -> Result<Option<Job>, LedgerError> {
        self.inner.last_with_content(workspace, content, now).await
    }

    async fn void_leases(&self, now: Timestamp) -> Result<u64, LedgerError> {
        self.inner.void_leases(now).await
    }
}

/// The looks that each way to a job takes.
async fn looks(
    inside: &Inside,
    caller: &Caller,
    id: JobId,
    looks: &Mutex<Vec<&'static str>>,
) -> Vec<Vec<&'static str>> {
    let jobs = &inside.engine.jobs;
    let taken = || std::mem::take(&mut *looks.lock().unwrap());
    taken();
    let mut all = Vec::new();
    let _ = jobs.when_ended(caller, id, Duration::ZERO).await;
    all.push(taken());
    let _ = jobs.content(caller, id).await;
    all.push(taken());
    let _ = jobs.cancel(caller, id).await;
    all.push(taken());
    let _ = jobs.retry(caller, id).await;
    all.push(taken());
    let _ = jobs.resolve(caller, id, Outcome::Sent).await;
    all.push(taken());
    all
}

#[tokio::test]
async fn a_foreign_job_takes_the_same_looks_as_one_that_never_was() {
    let mut inside = Inside::new(&[]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    inside.change(|parts| {
        parts.cache.jobs = Arc::new(Counting { inner: parts.cache.jobs.clone(), looks: seen.clone() });
        parts.ledger.jobs = Arc::new(Counting { inner: parts.ledger.jobs.clone(), looks: seen.clone() });
    });
    let owner = caller("local");
    let request = ExecuteRequest {
        actions: Some(vec![serde_json::from_value(gmail("a", "Hello")).unwrap()]),
        actor_id: Some("ann".parse().unwrap()),
        ..ExecuteRequest::default()
    };
    let id = inside.execute_as(&owner, request).await.unwrap()[0].job.job_id;
    let never = sample_job(&owner.workspace, "never", jiff::Timestamp::UNIX_EPOCH).job_id;
    let stranger = caller("another");
    let unknown = looks(&inside, &stranger, never, &seen).await;
    assert_eq!(unknown, [vec!["cache", "jobs"], vec!["jobs"], vec!["jobs"], vec!["jobs"], vec!["jobs"]]);
    for cached in [true, false] {
        if !cached {
            // The same job, which the ledger alone knows.
            inside.change(|parts| {
                let empty: Arc<dyn JobCache> = Arc::new(adapters::embedded::MemoryCache::new(parts.clock.clone()));
                parts.cache.jobs = Arc::new(Counting { inner: empty, looks: seen.clone() });
            });
        }
        assert_eq!(looks(&inside, &stranger, id, &seen).await, unknown, "cached: {cached}");
    }
    // To another actor of the workspace it is not there either, after as many looks.
    let bound = ActorHash::of(&owner.workspace, &"bob".parse().unwrap());
    let bob = Caller { bound_actor: Some(bound.clone()), default_actor: bound, ..caller("local") };
    let count = |looks: Vec<Vec<&str>>| -> Vec<usize> {
        let asked = |looks: Vec<&str>| looks.iter().filter(|look| !look.starts_with("found")).count();
        looks.into_iter().map(asked).collect()
    };
    let unknown = count(looks(&inside, &bob, never, &seen).await);
    for _ in 0..2 {
        assert_eq!(count(looks(&inside, &bob, id, &seen).await), unknown);
        let _ = inside.engine.jobs.when_ended(&owner, id, Duration::ZERO).await;
    }
    assert_eq!(looks(&inside, &owner, id, &seen).await[0], ["cache", "found in the cache"], "its owner is quick");
}
