//! A key that was revoked is refused by every server that goes by it, and what it has queued does not go out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use adapters::system::{SystemClock, SystemIds};
use contracts::{Ministack, servers::RedisServer};
use domain::ApiKey;
use engine::{Problem, ProblemCode, keys::NewKey, limits::Ticket, ports::Clock as _};
use fakes::{Fakes, Fault};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    inside::Inside,
    support::{Client, GMAIL_SEND, Server, command, gmail, until},
};

/// Where keys and jobs are.
struct World {
    redis: RedisServer,
    _aws: Option<Arc<Ministack>>,
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl World {
    /// One file, on which the command line works beside the server.
    fn one_file() -> Self {
        let variables = vec![("LIMIT_REQUESTS_PER_KEY", "100000"), ("LIMIT_REQUESTS_PER_WORKSPACE", "100000")];
        let variables = variables.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        Self { redis: RedisServer::start(false), _aws: None, folder: tempfile::tempdir().unwrap(), variables }
    }

    /// Redis and a table.
    #[cfg(feature = "aws")]
    fn redis_and_table(table: &str) -> Self {
        let (mut world, aws) = (Self::one_file(), Ministack::shared());
        world.variables.extend(
            [
                ("LEDGER_TABLE", table),
                ("REDIS_URL", &world.redis.url()),
                ("AWS_ENDPOINT_URL", &aws.url()),
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
            ]
            .map(|(name, value)| (name, value.to_owned())),
        );
        world.run(&["create-table"]);
        Self { _aws: Some(aws), ..world }
    }

    fn variables(&self) -> Vec<(&str, &str)> {
        self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// What a command prints on standard output, and on standard error.
    fn run(&self, arguments: &[&str]) -> (String, String) {
        let output = command(self.folder.path(), &self.variables()).args(arguments).output().unwrap();
        let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap().trim().to_owned());
        assert!(output.status.success(), "{arguments:?}: {err}");
        (out, err)
    }

    fn make_key(&self, more: &[&str]) -> String {
        let scopes = "actions:preview,actions:execute,metrics:read,audit:read";
        self.run(&[&["keys", "create", "--workspace", "local", "--scopes", scopes], more].concat()).0
    }

    /// Revokes a key by the command line; gives back what it says on standard error.
    fn revoke(&self, key: &str) -> String {
        self.run(&["keys", "revoke", key.split('_').nth(1).unwrap()]).1
    }
}

/// How many of a hundred requests of all kinds are not refused.
async fn passed(client: &Client, job: &str) -> usize {
    let execute = json!({ "actions": [gmail("late", "Hello")], "actor_id": "ana@example.com" });
    let plan = json!({ "prompt": "Send email to john@example.com saying hi" });
    let mut passed = 0;
    for n in 0..100 {
        let reply = match n % 7 {
            0 => client.get(&format!("/ai/jobs/{job}?wait=5")).await,
            1 => client.post("/ai/execute", &execute).await,
            2 => client.post("/ai/plan2", &plan).await,
            3 => client.get("/ai/jobs").await,
            4 => client.post(&format!("/ai/jobs/{job}/cancel"), &json!({})).await,
            5 => client.post("/ai/execute", &json!({})).await,
            _ => client.get("/actions").await,
        };
        let refused = (reply.status, reply.code()) == (401, &json!("unauthenticated"));
        assert!(!refused || reply.header("www-authenticate") == "Bearer");
        passed += usize::from(!refused);
    }
    passed
}

/// Ten mails wait for the provider when their key is revoked beside the server, which has just gone by it.
async fn revoke_in(mut world: World, redis_is_away: bool) {
    let (stolen, own) = (world.make_key(&[]), world.make_key(&[]));
    let narrow = world.make_key(&["--allow", "outlook.send"]);
    let fakes = Fakes::start().await.unwrap();
    let server = Server::start_live(world.folder.path(), &fakes, GMAIL_SEND, &world.variables());
    let (thief, own, narrow) = (server.with_key(&stolen), server.with_key(&own), server.with_key(&narrow));
    for _ in 0..10 {
        fakes.script(Fault::TooManyRequests { retry_after_s: Some(6) }.on("gmail.messages.send"));
    }
    let ten: Vec<Value> = (0..10).map(|n| gmail(&format!("queued {n}"), "Hello")).collect();
    let accepted = thief.post("/ai/execute", &json!({ "actions": ten, "actor_id": "ana@example.com" })).await;
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    let ids: Vec<&str> = accepted.body["job_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    for id in &ids {
        own.job_when(id, "waiting", |job| job["status"] == "pending" && job["waiting_for"] == "rate-limit").await;
    }
    // From now on Gmail takes whatever comes.
    fakes.unscript();
    if redis_is_away {
        world.redis.kill();
    }
    assert_eq!(thief.get("/actions").await.status, 200, "the server goes by the key");
    let revoked = Instant::now();
    let says = world.revoke(&stolen);
    assert_eq!(says.contains("Redis does not answer") && says.contains("10 seconds"), redis_is_away, "{says}");
    if redis_is_away {
        while thief.get("/actions").await.status != 401 {
            assert!(revoked.elapsed() < Duration::from_secs(12), "it goes on for ten seconds");
        }
    }
    assert_eq!(passed(&thief, ids[0]).await, 0);
    for id in &ids {
        let job = own.ended(id).await;
        assert_eq!(job["error"]["code"], "action-not-allowed", "{job}");
    }
    assert_eq!(fakes.deliveries().len(), 0);
    assert_eq!(own.get("/actions").await.status, 200, "another key is another");

    if redis_is_away {
        return;
    }
    let scrape = own.get("/metrics").await.body;
    let counted = scrape
        .as_str()
        .unwrap()
        .lines()
        .find_map(|line| line.strip_prefix("ai_auth_failures_total{reason=\"revoked\"} ")?.parse::<u32>().ok());
    assert!(counted.is_some_and(|counted| counted >= 100), "each of the hundred is counted: {counted:?}");
    // Another key may retry it, if it may send.
    let retry = format!("/ai/jobs/{}/retry", ids[0]);
    let refused = narrow.post(&retry, &json!({})).await;
    assert_eq!((refused.status, refused.code()), (403, &json!("action-not-allowed")));
    assert_eq!(own.post(&retry, &json!({})).await.status, 200);
    assert_eq!(own.ended(ids[0]).await["status"], "completed");
    assert_eq!(fakes.deliveries().len(), 1);
    let audit = own.get("/audit?limit=100").await.body;
    let told: Vec<&str> = audit["data"].as_array().unwrap().iter().map(|one| one["event"].as_str().unwrap()).collect();
    let last = ["job.completed", "job.retried", "job.retry-refused"];
    assert_eq!(told[..3], last, "{audit}");
    let count = |event: &str| told.iter().filter(|told| **told == event).count();
    assert_eq!((count("job.accepted"), count("job.failed"), count("key.revoked")), (10, 10, 1), "{audit}");
    assert!(count("request.refused") > 0, "{audit}");
}

#[tokio::test]
async fn a_key_that_is_revoked_beside_a_server_is_refused_at_once_with_what_it_queued() {
    revoke_in(World::one_file(), false).await;
}

#[cfg(feature = "aws")]
#[tokio::test]
async fn a_key_that_is_revoked_is_refused_at_once_by_all_servers_that_share_redis() {
    revoke_in(World::redis_and_table("revoked-at-once"), false).await;
}

#[cfg(feature = "aws")]
#[tokio::test]
async fn a_key_that_is_revoked_while_redis_is_away_is_refused_within_ten_seconds() {
    revoke_in(World::redis_and_table("revoked-in-seconds"), true).await;
}

#[cfg(feature = "aws")]
#[tokio::test]
async fn who_revokes_without_redis_is_told_that_it_takes_seconds() {
    let mut world = World::redis_and_table("revoked-without-redis");
    let key = world.make_key(&[]);
    world.variables.retain(|(name, _)| *name != "REDIS_URL");
    let says = world.revoke(&key);
    assert!(says.contains("REDIS_URL is not set") && says.contains("10 seconds"), "{says}");
}

fn new_key(lifetime: Option<Duration>) -> NewKey {
    let scopes = domain::Scope::all();
    NewKey {
        workspace: "local".parse().unwrap(),
        scopes,
        actor: None,
        allow: None,
        lifetime,
        name: None,
        agent: false,
        draft_only: false,
    }
}

/// The use cases, with ids by which no two keys are alike.
fn inside() -> Inside {
    let mut world = Inside::new(&[]);
    world.change(|parts| parts.ids = Arc::new(SystemIds));
    world
}

async fn authenticate(world: &Inside, key: &ApiKey) -> Result<engine::Caller, Problem> {
    let header = format!("Bearer {}", key.reveal());
    world.engine.keys.authenticate(Some(&header), Ticket::default()).await.map_err(|refusal| refusal.problem)
}

fn is_unauthenticated<T>(found: Result<T, Problem>) -> String {
    let problem = found.err().expect("it is refused");
    assert_eq!(problem.code, ProblemCode::Unauthenticated);
    problem.detail
}

/// Without Redis, nobody tells a process with a table what another one has revoked.
#[tokio::test]
async fn a_key_that_was_read_is_good_for_ten_seconds_where_nobody_tells_of_its_end() {
    let mut world = inside();
    world.change(|parts| parts.options.ledger_good_for = SignedDuration::from_secs(10));
    let [key, own] = [new_key(None), new_key(None)].map(|new| world.engine.keys.create(new));
    let (key, own) = (key.await.unwrap(), own.await.unwrap());
    for key in [&key, &own] {
        assert!(authenticate(&world, key).await.is_ok());
    }
    // As another process does it.
    let keys = &world.parts.ledger.keys;
    assert!(keys.revoke_key(key.id(), world.parts.clock.now()).await.unwrap());
    world.clock.advance(Duration::from_millis(9_999));
    assert!(authenticate(&world, &key).await.is_ok());
    world.clock.advance(Duration::from_millis(1));
    for _ in 0..100 {
        is_unauthenticated(authenticate(&world, &key).await);
    }
    // In the process that revokes it, it ends at once.
    assert!(authenticate(&world, &own).await.is_ok());
    assert_eq!(world.engine.keys.revoke(own.id()).await.unwrap(), Some(true));
    is_unauthenticated(authenticate(&world, &own).await);
    assert_eq!(world.engine.keys.revoke(&"000000000000".parse().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn an_expired_key_is_refused_and_only_its_owner_is_told_why() {
    let world = inside();
    let day = Duration::from_hours(24);
    let key = world.engine.keys.create(new_key(Some(90 * day))).await.unwrap();
    let endless = world.engine.keys.create(new_key(None)).await.unwrap();
    let caller = authenticate(&world, &key).await.unwrap();
    let request = engine::execute::ExecuteRequest {
        actions: Some(serde_json::from_value(json!([gmail("before", "Hello")])).unwrap()),
        actor_id: Some("ana@example.com".parse().unwrap()),
        ..engine::execute::ExecuteRequest::default()
    };
    world.clock.advance((90 * day).saturating_sub(Duration::from_micros(1)));
    let accepted = world.execute_as(&caller, request).await.unwrap();
    assert!(authenticate(&world, &key).await.is_ok());
    world.clock.advance(Duration::from_micros(1));
    let told = is_unauthenticated(authenticate(&world, &key).await);
    assert!(told.contains("expired") && !told.contains(&key.reveal()[18..]), "{told}");
    assert!(authenticate(&world, &endless).await.is_ok(), "a key without an end");

    // Of somebody who knows the id alone.
    let alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut random = [7; 64];
    for (byte, c) in random.iter_mut().zip(key.id().as_str().chars()) {
        *byte = u8::try_from(alphabet.find(c).unwrap()).unwrap();
    }
    let guess = ApiKey::of(&random);
    assert_eq!(guess.id(), key.id());
    let unknown = is_unauthenticated(authenticate(&world, &ApiKey::of(&[9; 64])).await);
    assert_eq!(is_unauthenticated(authenticate(&world, &guess).await), unknown);

    // What it queued while it was good goes out.
    let message = world.parts.queue.receive(1, Duration::ZERO).await.unwrap().pop().unwrap();
    world.engine.worker.work(&message.body, world.clock_in(45)).await;
    let job =
        world.parts.ledger.jobs.job(&accepted[0].job.workspace_id, accepted[0].job.job_id).await.unwrap().unwrap();
    assert_eq!(job.state.status(), domain::JobStatus::Completed);
    world.engine.keys.revoke(key.id()).await.unwrap();
    assert_eq!(is_unauthenticated(authenticate(&world, &key).await), unknown, "revoked, it is like any other");
}

#[tokio::test]
async fn a_process_records_the_use_of_a_key_once_a_day() {
    let mut world = inside();
    let key = world.engine.keys.create(new_key(None)).await.unwrap();
    let used = async |world: &Inside| world.engine.keys.last_used(&[key.id().clone()]).await.unwrap()[0];
    assert_eq!(used(&world).await, None);
    for day in [16, 17] {
        world.engine.keys.first_use_today(key.id()).expect("the first use of the day").await;
        assert_eq!(used(&world).await, Some(jiff::civil::date(2027, 1, day - 1)));
        assert!(world.engine.keys.first_use_today(key.id()).is_none(), "once");
        world.clock.advance(Duration::from_hours(24));
    }
    // Another process does not know, and writes the same day.
    world.change(|_| {});
    for _ in 0..3 {
        if let Some(record) = world.engine.keys.first_use_today(key.id()) {
            record.await;
        }
        assert_eq!(used(&world).await, Some(jiff::civil::date(2027, 1, 17)));
    }
}

#[tokio::test]
async fn a_key_has_an_end_a_name_and_a_last_use() {
    let world = World::one_file();
    let create = |more: &[&str]| {
        let always = ["keys", "create", "--workspace", "acme", "--scopes", "actions:preview"];
        world.run(&[&always, more].concat())
    };
    let (plain, says) = create(&[]);
    assert!(says.contains("expires in 90 days"), "{says}");
    let (hours, says) = create(&["--expires", "12h", "--name", "Nightly report"]);
    assert!(says.contains("expires in 12 hours"), "{says}");
    let (endless, says) = create(&["--expires", "never", "--name", "ci"]);
    assert!(says.contains("never expires"), "{says}");
    for wrong in [["--expires", "0d"], ["--expires", "soon"], ["--name", "a\tb"], ["--name", ""]] {
        let always = ["keys", "create", "--workspace", "acme", "--scopes", "actions:preview"];
        let output = command(world.folder.path(), &[]).args(always).args(wrong).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{wrong:?}");
    }
    let line = |key: &str| {
        let listed = world.run(&["keys", "list"]).0;
        let id = key.split('_').nth(1).unwrap();
        let line = listed.lines().find(|line| line.starts_with(id)).unwrap().to_owned();
        line.split('\t').map(str::to_owned).collect::<Vec<_>>()
    };
    let is_in = |time: &str, hours: i64| {
        let left = time.parse::<jiff::Timestamp>().unwrap().duration_since(SystemClock.now());
        (left - SignedDuration::from_hours(hours)).abs() < SignedDuration::from_mins(5)
    };
    let (plain_line, hours_line, endless_line) = (line(&plain), line(&hours), line(&endless));
    assert!(is_in(&plain_line[7], 90 * 24) && plain_line[8..] == ["-", "-", "-"], "{plain_line:?}");
    assert!(is_in(&hours_line[7], 12) && hours_line[8..] == ["-", "Nightly report", "-"], "{hours_line:?}");
    assert_eq!(endless_line[7..], ["never", "-", "ci", "-"]);

    let server = Server::start(world.folder.path(), &[]);
    let mut mistyped = endless.clone();
    mistyped.replace_range(endless.len() - 1.., if endless.ends_with('0') { "1" } else { "0" });
    assert_eq!(server.with_key(&mistyped).get("/actions").await.status, 401);
    assert_eq!(server.with_key(&hours).get("/actions").await.status, 200);
    let today = || SystemClock.now().to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
    until("the use is recorded", || line(&hours)[8] == today()).await;
    assert_eq!(line(&endless)[8], "-", "a refused request is no use");
}
