//! What rounds of every kind have in common.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use kill::{Point, Trap};
use tokio::task::JoinHandle;

use crate::{
    client::{Seen, Told, decide, drained, kind, list},
    process::{Process, until},
    verdict::{Faults, Row, judge},
    world::World,
};

/// How long a trap may take to spring.
const SPRINGS_WITHIN: Duration = Duration::from_secs(40);

/// A round while it goes on.
pub struct Stage {
    pub world: Arc<World>,
    pub told: Arc<Told>,
    /// Decides about what is held.
    decider: Option<JoinHandle<()>>,
    /// The last trap has sprung.
    pub enough: AtomicBool,
    faults: Mutex<Faults>,
    sprung: Mutex<BTreeSet<String>>,
    began: Instant,
}

/// What a round came to: its line, and the points that it reached, each behind its role.
pub type Came = (Row, BTreeSet<String>);

impl Stage {
    pub fn new(world: World) -> Self {
        let (world, told) = (Arc::new(world), Arc::<Told>::default());
        let decider = world.keys.is_some().then(|| {
            let (world, told) = (Arc::clone(&world), Arc::clone(&told));
            tokio::spawn(async move { decide(&world, &told).await })
        });
        Self {
            world,
            told,
            decider,
            enough: AtomicBool::new(false),
            faults: Mutex::default(),
            sprung: Mutex::default(),
            began: Instant::now(),
        }
    }

    /// Counts what was done.
    pub fn count(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut lock(&self.faults));
    }

    /// Notes that a trap of a process of this role has sprung.
    pub fn note(&self, role: &str, point: &str) {
        let mut sprung = lock(&self.sprung);
        sprung.insert(format!("{role} {point}"));
        lock(&self.faults).points = sprung.len();
    }

    /// Whether the last trap has sprung.
    pub fn is_enough(&self) -> bool {
        self.enough.load(Ordering::Relaxed)
    }

    /// Sets one trap after the other, each in a process of its own, and waits until it springs, which
    /// ends the process. Who is killed by somebody else before that is started again.
    pub async fn spring(&self, slot: &Slot, role: &str, traps: &[Trap], start: impl Fn(&Trap) -> Process) {
        for trap in traps {
            let deadline = Instant::now() + SPRINGS_WITHIN;
            let mut tries = 0;
            while Instant::now() < deadline && tries < 10 {
                tries += 1;
                slot.put(start(trap));
                let left = deadline.saturating_duration_since(Instant::now());
                let mut provoked = Instant::now();
                until(left, || {
                    if role == "work" && provoked.elapsed() > Duration::from_millis(700) {
                        provoked = Instant::now();
                        self.provoke(&trap.point);
                    }
                    slot.has_ended()
                })
                .await;
                if slot.said("sprung").contains(&trap.point.to_string()) {
                    self.count(|faults| faults.aborted += 1);
                    self.note(role, &trap.point.to_string());
                    break;
                }
            }
            slot.kill();
            self.world.fakes.unscript();
        }
    }

    /// Makes the providers answer so that a worker comes to this point.
    pub fn provoke(&self, point: &Point) {
        use crate::world::Scope;
        use fakes::Fault::{AcceptThenClose, TooManyRequests, Unauthorized};
        // A refused token ends a job before anything was sent for certain only where its first request is.
        let first = match (point.call.as_str(), self.world.scope) {
            // What an event came to is looked at where its answer was lost.
            ("call.compare", _) => ["calendar.events.insert", "graph.events.create"],
            (_, Scope::Send) => ["gmail.messages.send", "graph.sendMail"],
            (_, Scope::Draft) => ["gmail.drafts.create", "graph.messages.create"],
        };
        let faults = match point.call.as_str() {
            "ledger.save.failed" => vec![Unauthorized, Unauthorized],
            "ledger.save.unknown" | "call.compare" => vec![AcceptThenClose],
            "ledger.save.queued" | "queue.send" => vec![TooManyRequests { retry_after_s: Some(1) }],
            _ => return,
        };
        for operation in first {
            for fault in &faults {
                self.world.fakes.script(fault.on(operation));
            }
        }
    }

    /// Waits for the end of all jobs, ends the processes, and judges what the product's own program
    /// reads in the ledger.
    pub async fn close(self, api: &Slot, worker: &Slot) -> Came {
        let (world, told) = (&self.world, &self.told);
        // Nothing is done to them any more: what was lost is found after a lease and a sweep, and a job
        // that was refused often waits for a minute and a half.
        world.fakes.unscript();
        world.fakes.randomly(None);
        let within = Duration::from_secs(150 + 5 * u64::from(world.pace.visibility));
        let seen = drained(world, told, within).await;
        // A delivery that was refused is tried again after some seconds, and one whose message was lost after a sweep.
        until(within, || unheard(world, &seen).is_empty()).await;
        for (job, event) in unheard(world, &seen) {
            told.violation(format!("{}: the endpoint was not told of {event}", job.key));
        }
        if let Some(decider) = &self.decider {
            decider.abort();
        }
        worker.terminate().await;
        api.terminate().await;
        let reader = world.orchestrator("serve");
        let deadline = Instant::now() + Duration::from_mins(1);
        let mut read = None;
        while read.is_none() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
            read = list(world).await;
        }
        drop(reader);
        let read = read.unwrap_or_default();
        if read != seen {
            told.violation("a job has changed after its end".to_owned());
        }
        let faults = *lock(&self.faults);
        let row = judge(world, told, &read, faults, self.began.elapsed());
        (row, lock(&self.sprung).clone())
    }
}

/// The events that the webhook endpoint was not told of, with their jobs.
fn unheard<'s>(world: &World, seen: &'s [Seen]) -> Vec<(&'s Seen, &'static str)> {
    let Some(listener) = &world.listener else { return Vec::new() };
    let events = seen.iter().flat_map(|job| {
        let end = match (job.status.as_str(), job.code.as_deref()) {
            ("completed", _) => "job.completed",
            (_, Some("outcome-unknown")) => "job.unknown",
            _ => "job.failed",
        };
        let held = (kind(&job.key) == 'h').then_some("job.held");
        held.into_iter().chain([end]).map(move |event| (job, event))
    });
    events.filter(|(job, event)| !listener.has_heard(event, &job.job_id)).collect()
}

/// A place for one process at a time.
#[derive(Debug, Default)]
pub struct Slot(Mutex<Option<Process>>);

impl Slot {
    /// Puts another process there; the one before it is killed.
    pub fn put(&self, process: Process) {
        // The one before it may have the port.
        self.kill();
        *lock(&self.0) = Some(process);
    }

    /// Whether nothing runs there.
    pub fn has_ended(&self) -> bool {
        lock(&self.0).as_mut().is_none_or(Process::has_ended)
    }

    /// What it printed behind `word`.
    pub fn said(&self, word: &str) -> Vec<String> {
        lock(&self.0).as_ref().map(|process| process.said(word)).unwrap_or_default()
    }

    /// `kill -9`; says whether there was anybody.
    pub fn kill(&self) -> bool {
        let mut process = lock(&self.0);
        let ran = process.as_mut().is_some_and(|process| !process.has_ended());
        if let Some(process) = process.as_mut() {
            process.kill();
        }
        ran
    }

    /// Asks it to end, and kills it when it does not.
    pub async fn terminate(&self) {
        let process = lock(&self.0).take();
        if let Some(mut process) = process {
            process.terminate(Duration::from_secs(30)).await;
        }
    }

    /// Keeps a process there until `enough`, and one that runs after it.
    pub async fn keep(&self, enough: &AtomicBool, start: impl Fn() -> Process) {
        loop {
            let last = enough.load(Ordering::Relaxed);
            if self.has_ended() {
                self.put(start());
            }
            if last {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What it guards is changed by single statements only.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
