//! The callers, and what they were told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use adapters::system::SystemClock;
use engine::ports::Clock as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    chance::Chance,
    world::{Scope, World},
};

/// How long a caller tries before its request counts as lost.
const PATIENCE: Duration = Duration::from_mins(2);
/// So many requests at once.
const AT_ONCE: usize = 8;

/// What the callers were told.
#[derive(Debug, Default)]
pub struct Told {
    /// The ids of jobs, by client_request_id; one each if all is well.
    pub accepted: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// The time that was asked for, by client_request_id of a later job.
    pub later: Mutex<BTreeMap<String, Timestamp>>,
    /// What must not be.
    pub violations: Mutex<Vec<String>>,
    /// Requests that were answered with 202.
    pub answers: AtomicUsize,
    /// Requests that were not answered, or with a 5xx, and were sent again.
    pub repeated: AtomicUsize,
}

impl Told {
    /// Notes what must not be.
    pub fn violation(&self, what: String) {
        self.violations.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// How many jobs were accepted.
    pub fn jobs(&self) -> usize {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A job as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub job_id: String,
    pub key: String,
    pub status: String,
    pub code: Option<String>,
    pub attempts: u64,
    pub finished_at: Option<Timestamp>,
}

impl Seen {
    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.status == "completed" || self.status == "error"
    }
}

/// What becomes of a job, by the first letter of its client_request_id: one in five is an event; where all kinds are mixed,
/// one is held, one goes later, and one ends with its draft.
pub fn kind(key: &str) -> char {
    key.chars().next().unwrap_or_default()
}

/// Whether a person rejects a held job.
pub fn is_rejected(key: &str) -> bool {
    key.bytes().last().is_some_and(|last| last % 3 == 0)
}

/// Asks for a mail or an event until it is accepted.
pub async fn submit(world: &World, url: &str, told: &Told, key: &str, outlook: bool) {
    let (provider, action) = match (kind(key), outlook) {
        ('e', false) => ("google", "calendar.create_event"),
        ('e', true) => ("microsoft", "outlook.create_event"),
        (_, false) => ("google", "gmail.send"),
        (_, true) => ("microsoft", "outlook.send"),
    };
    let to = if kind(key) == 'h' { "john@example.org" } else { "john@example.com" };
    let params = if kind(key) == 'e' {
        json!({ "title": "Thanks", "start": "2026-12-01T10:00", "minutes": 30, "time_zone": "Europe/Berlin",
                "attendees": to, "text": format!("job:{key}") })
    } else {
        json!({ "to": to, "subject": "Thanks", "text": format!("job:{key}") })
    };
    let action = json!({ "provider": provider, "action": action, "params": params, "client_request_id": key });
    let mut body = json!({ "actions": [action], "actor_id": "ana@example.com" });
    if let Some(send_at) = told.later.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
        body["send_at"] = json!(send_at);
    }
    let credential = world.keys.as_ref().map(|[sends, drafts]| if kind(key) == 'd' { drafts } else { sends });
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = world.http.post(format!("{url}/ai/execute")).json(&body);
        match ask(credential.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth)).await {
            Some((202, answer)) => {
                let id = answer["job_ids"][0].as_str().unwrap_or_default().to_owned();
                told.answers.fetch_add(1, Ordering::Relaxed);
                let mut accepted = told.accepted.lock().unwrap_or_else(PoisonError::into_inner);
                accepted.entry(key.to_owned()).or_default().insert(id);
                return;
            }
            Some((status, answer)) if status < 500 => return told.violation(format!("{key}: {status} {answer}")),
            _ if Instant::now() > deadline => return told.violation(format!("{key}: not accepted in {PATIENCE:?}")),
            _ => {
                told.repeated.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Asks for mails and events, one after the other, at least so many and until `enough`; one in five twice at once.
pub async fn feed(
    world: &Arc<World>,
    told: &Arc<Told>,
    mut chance: Chance,
    (at_least, every): (usize, Duration),
    enough: &AtomicBool,
) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut asked = JoinSet::new();
    for number in 0.. {
        if number >= at_least && enough.load(Ordering::Relaxed) {
            break;
        }
        let outlook = chance.below(2) == 1;
        let kind = match (&world.keys, chance.below(5), world.scope) {
            (Some(_), 0, _) => 'h',
            (Some(_), 1, _) => 'l',
            (Some(_), 2, Scope::Draft) => 'd',
            (_, 3, _) => 'e',
            _ => 'k',
        };
        let key = format!("{kind}{number}");
        if kind == 'l' {
            let soon = i64::try_from(1 + chance.below(5)).expect("few seconds");
            let send_at = SystemClock.now() + SignedDuration::from_secs(soon);
            told.later.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), send_at);
        }
        for _ in 0..if chance.below(5) == 0 { 2 } else { 1 } {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("nobody closes it");
            let (world, told, key) = (Arc::clone(world), Arc::clone(told), key.clone());
            asked.spawn(async move {
                submit(&world, &world.url(), &told, &key, outlook).await;
                drop(slot);
            });
        }
        tokio::time::sleep(every).await;
    }
    while asked.join_next().await.is_some() {}
}

/// Approves or rejects what is held, over and over: an answer may be lost, and whoever decides may be killed.
pub async fn decide(world: &World, told: &Told) {
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let held = get(world, "/ai/jobs?waiting_for=approval&limit=100").await.map(|(_, page)| page["data"].clone());
        for job in held.iter().filter_map(Value::as_array).flatten() {
            let text = |name: &str| job[name].as_str().unwrap_or_default().to_owned();
            let key = text("client_request_id");
            if world.fakes.count(&format!("job:{key}")) > 0 {
                told.violation(format!("{key}: delivered while it was held"));
            }
            let verb = if is_rejected(&key) { "reject" } else { "approve" };
            let path = format!("{}/ai/jobs/{}/{verb}", world.url(), text("job_id"));
            let request = world.http.post(path).json(&json!({ "payload_sha256": text("payload_sha256") }));
            let credential = world.keys.iter().map(|[sends, _]| sends);
            match ask(credential.fold(request, reqwest::RequestBuilder::bearer_auth)).await {
                None | Some((200 | 409 | 500.., _)) => {}
                Some((status, answer)) => told.violation(format!("{key}: {verb} {status} {answer}")),
            }
        }
    }
}

async fn get(world: &World, path: &str) -> Option<(u16, Value)> {
    let request = world.http.get(format!("{}{path}", world.url()));
    let credential = world.keys.iter().map(|[sends, _]| sends);
    ask(credential.fold(request, reqwest::RequestBuilder::bearer_auth)).await
}

/// Every job of the ledger, page by page; none when the API does not answer.
pub async fn list(world: &World) -> Option<Vec<Seen>> {
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let (status, page) = get(world, &format!("/ai/jobs?limit=100{cursor}")).await?;
        if status != 200 {
            return None;
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        for job in page["data"].as_array()? {
            seen.push(Seen {
                job_id: text(&job["job_id"])?,
                key: text(&job["client_request_id"])?,
                status: text(&job["status"])?,
                code: text(&job["error"]["code"]),
                attempts: job["attempts"].as_u64()?,
                finished_at: job["finished_at"].as_str().and_then(|time| time.parse().ok()),
            });
        }
        match text(&page["next_cursor"]) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Some(seen),
        }
    }
}

/// Waits until all that was accepted has ended; gives what there is then, or at the deadline.
pub async fn drained(world: &World, told: &Told, within: Duration) -> Vec<Seen> {
    let deadline = Instant::now() + within;
    let mut last = Vec::new();
    loop {
        if let Some(seen) = list(world).await {
            last = seen;
            if last.len() >= told.jobs() && last.iter().all(Seen::has_ended) {
                return last;
            }
        }
        if Instant::now() > deadline {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Waits until the API answers.
pub async fn until_ready(world: &World, url: &str) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while ask(world.http.get(format!("{url}/healthz"))).await.is_none_or(|(status, _)| status != 200) {
        assert!(Instant::now() < deadline, "the API does not answer");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn ask(request: reqwest::RequestBuilder) -> Option<(u16, Value)> {
    let response = request.send().await.ok()?;
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
}
