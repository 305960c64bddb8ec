//! What the suites share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    ActionId, ActorHash, Address, AuditBy, AuditEntry, AuditEvent, ContentHash, Job, JobError, JobErrorCode, JobId,
    Lease, NewJob, Provider, Via, WorkspaceId, payload_hash,
};
use engine::ports::{AuditFilter, Clock, Contents, Ids, Insert, Ledger, Save, Sealed};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

/// A ledger under test.
pub(crate) type Adapter = Arc<dyn Ledger>;

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    now: watch::Sender<Timestamp>,
    sleeps: watch::Sender<usize>,
}

impl ManualClock {
    /// A clock at some time in 2027.
    pub fn new() -> Arc<Self> {
        Self::at(Timestamp::from_second(1_800_000_000).expect("a time in 2027"))
    }

    /// A clock at this time.
    pub fn at(time: Timestamp) -> Arc<Self> {
        Arc::new(Self { now: watch::Sender::new(time), sleeps: watch::Sender::new(0) })
    }

    /// Moves the clock on; every sleep that is over by then returns.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now = now.checked_add(by).expect("a test does not last thousands of years"));
    }

    /// Moves the clock to this time.
    pub fn set(&self, time: Timestamp) {
        self.now.send_replace(time);
    }

    /// How many sleeps have begun so far, over or not.
    pub fn sleepers(&self) -> usize {
        *self.sleeps.borrow()
    }

    /// Returns when so many sleeps have begun: what is to wait waits. Panics when that takes long.
    pub async fn until_sleepers(&self, count: usize) {
        let mut sleeps = self.sleeps.subscribe();
        let begun = tokio::time::timeout(Duration::from_secs(10), sleeps.wait_for(|begun| *begun >= count)).await;
        assert!(begun.is_ok(), "only {} of {count} sleeps have begun", self.sleepers());
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.now.borrow()
    }

    async fn sleep(&self, duration: Duration) {
        let mut time = self.now.subscribe();
        let until = self.now().checked_add(duration).unwrap_or(Timestamp::MAX);
        self.sleeps.send_modify(|begun| *begun += 1);
        let over = time.wait_for(|now| *now >= until).await.is_ok();
        assert!(over, "the clock outlives its borrowers");
    }
}

/// The same UUIDs in every run: a seed in the upper half, a count in the lower.
#[derive(Debug)]
pub struct CountingIds {
    seed: u64,
    count: AtomicU64,
}

impl CountingIds {
    /// Ids of this seed, counted from 1.
    pub const fn new(seed: u64) -> Self {
        Self { seed, count: AtomicU64::new(0) }
    }

    fn next(&self) -> u64 {
        self.count.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Ids for CountingIds {
    fn uuid(&self) -> Uuid {
        let bits = u128::from(self.seed) << 64 | u128::from(self.next());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    /// Steps through 0 to 1 by the golden ratio, so that no two in a row are near each other.
    fn fraction(&self) -> f64 {
        let step = u32::try_from(self.next() % 1_000_000).expect("below a million");
        (f64::from(step) * 0.618_033_988_749_895).fract()
    }
}

/// A job as it was accepted at `now`, under an idempotency key of a workspace: a mail by Gmail, to be sent.
pub fn sample_job(workspace: &WorkspaceId, key: &str, now: Timestamp) -> Job {
    let action: ActionId = "gmail.send".parse().expect("an action's name");
    let params = json!({ "to": "ana@example.com", "subject": key, "text": "Hello" });
    Job::accepted(
        NewJob {
            workspace_id: workspace.clone(),
            actor: ActorHash::of(workspace, &"user@example.com".parse().expect("an actor")),
            key_id: None,
            asked_by: None,
            allowed_by: Vec::new(),
            provider: Provider::Google,
            payload_hash: payload_hash(Provider::Google, &action, &params),
            content_hash: Some(ContentHash::of(
                ["ana@example.com".parse::<Address>().expect("an address")].iter(),
                &params,
                |_| false,
            )),
            action,
            client_request_id: key.parse().expect("a sample job's key is 1 to 255 characters"),
            draft_only: false,
            via: Via::Live,
            account: None,
            send_at: None,
            sources: domain::Sources::default(),
            traceparent: None,
        },
        now,
    )
}

/// A seed that no other run has.
#[expect(clippy::disallowed_methods, reason = "tests may draw their own ids")]
pub fn seed() -> Uuid {
    Uuid::new_v4()
}

/// A workspace that no other run has.
pub(crate) fn workspace(name: &str, seed: Uuid) -> WorkspaceId {
    format!("{name}-{}", seed.simple()).parse().expect("a short name and a UUID fit a workspace id")
}

pub(crate) fn contents(text: &str) -> Contents {
    Contents(sealed(text))
}

pub(crate) fn sealed(text: &str) -> Sealed {
    Sealed(format!("v1.sample.{text}"))
}

pub(crate) fn ids(jobs: &[Job]) -> Vec<JobId> {
    jobs.iter().map(|job| job.job_id).collect()
}

/// Runs all of them at once and gives back what they answered.
pub(crate) async fn at_once<T: Send + 'static>(
    tasks: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let running: Vec<_> = tasks.map(tokio::spawn).collect();
    let mut answers = Vec::with_capacity(running.len());
    for task in running {
        answers.push(task.await.expect("the adapter does not panic"));
    }
    answers
}

/// An entry that this suite makes.
pub(crate) fn entry(workspace: Option<&WorkspaceId>, at: Timestamp, seed: Uuid, n: u8) -> AuditEntry {
    let mut id = seed.into_bytes();
    id[15] = id[15].wrapping_add(n);
    id[0] = workspace.map_or(0, |workspace| workspace.as_str().as_bytes()[0]);
    id[1] = workspace.map_or(0, |workspace| workspace.as_str().as_bytes()[2]);
    let event = AuditEvent::WorkspaceChanged;
    let mut entry = AuditEntry::new(Uuid::from_bytes(id), workspace.cloned(), event, AuditBy::CommandLine, at);
    entry.value = Some(n.to_string());
    entry
}

pub(crate) async fn entries(ledger: &Adapter, workspace: Option<&WorkspaceId>) -> Vec<AuditEntry> {
    let filter = AuditFilter { workspace: workspace.cloned(), after: None, limit: 100 };
    unlinked(ledger.list_audit(&filter).await.expect("reads"))
}

/// The same entries as they were before they were added to a chain.
pub(crate) fn unlinked(mut entries: Vec<AuditEntry>) -> Vec<AuditEntry> {
    assert!(entries.iter().all(|entry| entry.link.is_some()), "each is in a chain");
    for entry in &mut entries {
        entry.link = None;
    }
    entries
}

pub(crate) async fn insert(ledger: &Adapter, job: &Job) {
    let insert = ledger.insert_jobs(&[(job.clone(), contents(job.client_request_id.as_str()))]).await;
    assert_eq!(insert.expect("inserts"), Insert::Done, "a new job is written");
}

pub(crate) async fn save(ledger: &Adapter, job: &Job) {
    assert_eq!(ledger.save(job).await.expect("saves"), Save::Done, "the next version is written");
}

/// Ends open jobs, so that nothing of the suite is left for a sweeper.
pub(crate) async fn end(ledger: &Adapter, jobs: &[Job], now: Timestamp) {
    for job in jobs {
        save(ledger, &job.failed(error(), now).expect("it is open")).await;
    }
}

pub(crate) fn held(job: &Job, now: Timestamp) -> Job {
    let lease = Lease { owner: Uuid::from_u128(7), until: minute(now, 5) };
    job.claimed(lease, now).expect("it can be claimed")
}

pub(crate) fn error() -> JobError {
    JobError {
        code: JobErrorCode::ProviderRejected,
        message: "The provider refused.".to_owned(),
        retriable: true,
        remediation: "Try again.".to_owned(),
    }
}

pub(crate) fn minute(now: Timestamp, minutes: i64) -> Timestamp {
    now + SignedDuration::from_mins(minutes)
}
