//! Whether the millionth job costs what the first did: the same requests on a SQLite ledger of a thousand jobs and on
//! one of a million, in turns. The jobs with their contents and audit, and a delivery of a webhook for each, were copied in
//! the file from those of one job that the program had accepted and carried out.
//!
//! `cargo bench -p orchestrator --bench growth` (6 GB in the folder for temporary files, as much memory, three minutes)

mod in_process;

use std::{
    mem,
    path::Path,
    time::{Duration, Instant},
};

use domain::{EndpointId, JobId, JobStatus, WaitingFor, WebhookEvent};
use engine::{
    Caller, Engine, JobMessage,
    catalogue::RequestedAction,
    execute::ExecuteRequest,
    jobs::JobQuery,
    ports::{LedgerPorts, Position},
    webhooks::By,
    work::Disposition,
};
use in_process::engine_in;
use jiff::SignedDuration;
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

const SIZES: [u32; 2] = [1_000, 1_000_000];
/// Jobs that are queued, in both.
const QUEUED: usize = 100;
/// Jobs that are held, in both.
const HELD: usize = 30;
/// Of so many jobs that have ended, one failed.
const FAILED: u32 = 10;
const PAGE: usize = 20;
const RUNS: u16 = 5;
const ROUNDS: u16 = 100;
/// More than this, and it is not the same cost.
const MOST: f64 = 2.0;

const WHAT: [&str; 15] = [
    "execute of one action",
    "poll of its job, which is cached",
    "the job, claimed and ended",
    "poll of a job that nobody has looked at for long",
    "the same job in the ledger, again",
    "page of 20 jobs: the first",
    "page of 20 jobs: in the middle",
    "page of 20 jobs: those that failed",
    "page of 20 jobs: those that wait",
    "page of 20 jobs: those that a person has to approve",
    "page of 20 deliveries of a webhook: the first",
    "page of 20 deliveries of a webhook: in the middle",
    "count of a workspace's open jobs",
    "sweep: overdue jobs, and what has expired",
    "since when the oldest job waits",
];

/// A server's use cases on a ledger of so many jobs.
struct Deployment {
    ledger: LedgerPorts,
    engine: Engine,
    caller: Caller,
    /// Some of the jobs, anywhere among them.
    known: Vec<JobId>,
    middle: Position,
    endpoint: EndpointId,
    /// Goes with it.
    folder: TempDir,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut deployments = Vec::new();
    for size in SIZES {
        let began = Instant::now();
        deployments.push(Deployment::of(size).await);
        println!("a ledger of {size} jobs: made in {:.0} s", began.elapsed().as_secs_f64());
    }
    // By what, then by size: the median of each run.
    let mut medians = vec![[const { Vec::new() }; SIZES.len()]; WHAT.len()];
    for run in 0..RUNS {
        let mut taken = vec![[const { Vec::new() }; SIZES.len()]; WHAT.len()];
        for round in 0..ROUNDS {
            for (size, deployment) in deployments.iter().enumerate() {
                let times = deployment.round(run * ROUNDS + round).await;
                times.into_iter().zip(&mut taken).for_each(|(time, taken)| taken[size].push(time));
            }
        }
        for (medians, mut taken) in medians.iter_mut().zip(taken) {
            for (medians, taken) in medians.iter_mut().zip(&mut taken) {
                medians.push(middle(taken));
            }
        }
    }
    println!("| what | 1 thousand jobs | 1 million jobs | times |\n| --- | --- | --- | --- |");
    let mut worst: f64 = 0.0;
    for (what, [few, many]) in WHAT.iter().zip(&mut medians) {
        let times = middle(many).as_secs_f64() / middle(few).as_secs_f64();
        worst = worst.max(times);
        println!("| {what} | {} | {} | {times:.2} |", spread(few), spread(many));
    }
    assert!(worst < MOST, "not the same cost");
}

impl Deployment {
    async fn of(size: u32) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (parts, caller) = engine_in(folder.path(), &[("WEBHOOK_ALLOW_HOSTS", "127.0.0.1")]);
        let (ledger, engine) = (parts.ledger.clone(), Engine::new(parts));
        let middle = engine.clock.now() - SignedDuration::from_millis(i64::from(size / 2));
        // No job of these ends so.
        let events = [WebhookEvent::JobUnknown].into();
        let endpoint =
            engine.webhooks.add(&caller, "http://127.0.0.1:9/".to_owned(), events).await.expect("it is added");
        let mut deployment = Self {
            ledger,
            engine,
            caller,
            known: Vec::new(),
            middle: Position { at: middle, id: uuid::Uuid::max() },
            endpoint: endpoint.view.endpoint.endpoint_id,
            folder,
        };
        let template = deployment.execute("template").await;
        deployment.work(template).await;
        let by = By::Caller(&deployment.caller);
        deployment.engine.webhooks.test(by, deployment.endpoint).await.expect("it is queued");
        deployment.known = copy(deployment.folder.path(), template, size);
        for queued in 0..QUEUED {
            deployment.execute(&format!("queued-{queued}")).await;
        }
        deployment.caller.agent = true;
        for held in 0..HELD {
            deployment.execute(&format!("held-{held}")).await;
        }
        deployment.caller.agent = false;
        deployment
    }

    /// Accepts one action under an idempotency key.
    async fn execute(&self, key: &str) -> JobId {
        let params = json!({ "to": "ana@example.com", "subject": "The meeting", "text": "Hello, see you on Friday." });
        let action = RequestedAction {
            provider: None,
            action: "gmail.send".to_owned(),
            params,
            client_request_id: Some(key.parse().expect("a key")),
            send_at: None,
            recipients: None,
            sources: domain::Sources::default(),
        };
        let request = ExecuteRequest {
            actions: Some(vec![action]),
            actor_id: Some("user@example.com".parse().expect("an id")),
            trace: Some(telemetry::TraceContext::begin(1, 1)),
            ..ExecuteRequest::default()
        };
        self.engine.executor.execute(&self.caller, request).await.expect("it is accepted")[0].job.job_id
    }

    /// Carries a job out, in sandbox mode.
    async fn work(&self, job_id: JobId) {
        let message = JobMessage::V1 { job_id, workspace_id: self.caller.workspace.clone(), traceparent: None };
        let deadline = self.engine.clock.now() + SignedDuration::from_secs(45);
        assert_eq!(self.engine.worker.work(&message.write(), deadline).await, Disposition::Acknowledge);
    }

    async fn poll(&self, job: JobId) -> JobStatus {
        let job = self.engine.jobs.when_ended(&self.caller, job, Duration::ZERO).await.expect("it is there");
        job.state.status()
    }

    async fn page(&self, query: JobQuery) {
        let page = self.engine.jobs.list(&self.caller, JobQuery { limit: PAGE, ..query }).await.expect("a page");
        assert!(page.jobs.len() == PAGE && page.next.is_some());
    }

    async fn deliveries(&self, after: Option<Position>) {
        let page = self.engine.webhooks.deliveries(&self.caller, self.endpoint, after, PAGE).await;
        let (deliveries, next) = page.expect("a page");
        assert!(deliveries.len() == PAGE && next.is_some());
    }

    /// How long each of [`WHAT`] takes once.
    async fn round(&self, round: u16) -> [Duration; WHAT.len()] {
        let (ledger, upkeep) = (&self.ledger.jobs, &self.ledger.upkeep);
        let now = self.engine.clock.now();
        let mut clock = Lap(Instant::now());
        let job = self.execute(&format!("round-{round}")).await;
        let execute = clock.lap();
        assert_eq!(self.poll(job).await, JobStatus::Pending);
        let poll = clock.lap();
        self.work(job).await;
        let work = clock.lap();
        let known = self.known[usize::from(round)];
        self.poll(known).await;
        let cold = clock.lap();
        assert!(ledger.jobs(&self.caller.workspace, &[known]).await.expect("it answers")[0].is_some());
        let warm = clock.lap();
        let of = |status| JobQuery { status: Some(status), ..JobQuery::default() };
        self.page(JobQuery::default()).await;
        let first = clock.lap();
        self.page(JobQuery { after: Some(self.middle), ..JobQuery::default() }).await;
        let middle = clock.lap();
        self.page(of(JobStatus::Error)).await;
        let failed = clock.lap();
        self.page(of(JobStatus::Pending)).await;
        let pending = clock.lap();
        self.page(JobQuery { waiting_for: Some(WaitingFor::Approval), ..JobQuery::default() }).await;
        let held = clock.lap();
        self.deliveries(None).await;
        let told = clock.lap();
        self.deliveries(Some(self.middle)).await;
        let told_before = clock.lap();
        assert_eq!(ledger.open_jobs(&self.caller.workspace, 1000).await.expect("a count"), QUEUED + HELD);
        let open = clock.lap();
        assert!(ledger.overdue_jobs(now - SignedDuration::from_hours(1), 500).await.expect("a list").is_empty());
        upkeep.erase_expired(now).await.expect("it is done");
        let sweep = clock.lap();
        assert!(ledger.oldest_unclaimed().await.expect("a time").is_some());
        [
            execute,
            poll,
            work,
            cold,
            warm,
            first,
            middle,
            failed,
            pending,
            held,
            told,
            told_before,
            open,
            sweep,
            clock.lap(),
        ]
    }
}

/// A clock that says how long it was since it was asked last.
struct Lap(Instant);

impl Lap {
    fn lap(&mut self) -> Duration {
        let before = mem::replace(&mut self.0, Instant::now());
        self.0 - before
    }
}

/// Copies a job with its contents and audit, and a delivery, until there are so many, the oldest first, a millisecond
/// between one and the next, under ids in no order. Gives some of their ids.
fn copy(folder: &Path, template: JobId, size: u32) -> Vec<JobId> {
    let mut connection = Connection::open(folder.join("ledger.db")).expect("the ledger");
    // Nothing here has to outlive a crash, and all of it fits into memory.
    connection.pragma_update(None, "synchronous", "off").expect("SQLite knows it");
    connection.pragma_update(None, "cache_size", -4_000_000).expect("SQLite knows it");
    let all = connection.transaction().expect("nobody else writes");
    // To fill an index afterwards is quicker.
    let indices: Vec<(String, String)> = {
        let mut known =
            all.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL").expect("SQL");
        let rows = known.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("SQL");
        rows.collect::<Result<_, _>>().expect("two texts")
    };
    for (name, _) in &indices {
        all.execute_batch(&format!("DROP INDEX {name}")).expect("SQL");
    }
    all.execute_batch("CREATE TEMP TABLE copies (place INTEGER PRIMARY KEY, id TEXT NOT NULL)").expect("SQL");
    let id = "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-8' || substr(hex(randomblob(2)), 2)
        || '-a' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))";
    let series = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)";
    all.execute(&format!("INSERT INTO copies {series} SELECT i, {id} FROM n"), [size - 1]).expect("SQL");
    // The key of an entry of the audit ends with its place.
    let original = "CREATE TEMP TABLE original AS
         SELECT *, CAST(substr(ifnull(place, substr(partition, -57)), 1, 20) AS INTEGER) AS at FROM records
         WHERE partition = 'JOB#' || ?1 AND kind IN ('JOB', 'CONTENTS') OR kind = 'AUDIT' AND body LIKE '%' || ?1 || '%'
            OR kind = 'DELIVERY'";
    all.execute(original, [template.to_string()]).expect("SQL");
    // Times of whole milliseconds are written alike by SQLite and by the program.
    let at = "(at / 1000 - copies.place) * 1000";
    let place = format!("printf('%020d', {at}) || '#' || id || iif(kind = 'AUDIT', substr(partition, -37), '')");
    let created_at = format!("strftime('%Y-%m-%dT%H:%M:%fZ', {at} / 1e6, 'unixepoch')");
    // The name of what went out ends with the hash of its content.
    let copy = format!(
        "INSERT INTO records
             (partition, kind, body, version, expires_at, list, status, place, due_at, waits_since, name, named_at)
         SELECT CASE kind WHEN 'AUDIT' THEN substr(partition, 1, length(partition) - 57) || {place} WHEN 'DELIVERY' THEN 'DELIVERY#' || id ELSE 'JOB#' || id END, kind,
             CASE kind
                 WHEN 'JOB' THEN json_set(body, '$.job_id', id, '$.created', {created_at},
                     '$.state', iif(copies.place % {FAILED}, 'completed', 'failed'))
                 WHEN 'DELIVERY' THEN json_set(body, '$.delivery_id', id, '$.created_at', {created_at})
                 ELSE body END,
             version, expires_at, list, iif(kind = 'JOB' AND copies.place % {FAILED} = 0, 'error', status),
             iif(original.place IS NULL, NULL, {place}), iif(kind = 'DELIVERY', NULL, due_at), waits_since,
             iif(name IS NULL, NULL, substr(name, 1, length(name) - 32) || replace(id, '-', '')), iif(name IS NULL, NULL, {at})
         FROM copies CROSS JOIN original ORDER BY copies.place DESC"
    );
    let copied = all.execute(&copy, []).expect("SQL");
    assert!(copied >= 4 * (size as usize - 1), "a job, its contents, its audit and a delivery");
    all.execute_batch("DROP TABLE original").expect("SQL");
    for (_, make) in &indices {
        all.execute_batch(make).expect("SQL");
    }
    let known = {
        let mut some = all.prepare("SELECT id FROM copies ORDER BY random() LIMIT ?1").expect("SQL");
        let ids = some.query_map([RUNS * ROUNDS], |row| row.get::<_, String>(0)).expect("SQL");
        ids.map(|id| id.expect("a text").parse().expect("an id")).collect()
    };
    all.execute_batch("DROP TABLE copies").expect("SQL");
    all.commit().expect("there is room");
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("nobody reads");
    known
}

fn middle(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The median of the runs, with the least and the most of them.
fn spread(medians: &mut [Duration]) -> String {
    let median = middle(medians);
    let [median, least, most] = [median, medians[0], medians[medians.len() - 1]].map(|time| time.as_secs_f64() * 1e6);
    format!("{median:.0} µs ({least:.0} to {most:.0})")
}
