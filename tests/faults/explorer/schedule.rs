//! Runs one schedule: polls one task at a time from stop to stop, and decides at each stop what
//! happens next. All goes well but for the twists that the schedule names by the number of the step.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
};

use domain::{ActorId, Job, JobId, Scope, SendAt, State as JobState, WaitingFor};
use engine::{
    Caller, Engine, Problem, ProblemCode, catalogue::RequestedAction, execute::ExecuteRequest, limits::Ticket,
    ports::Queue, work::Disposition,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use telemetry::TraceContext;

use crate::{
    ports::{ACTION, engine},
    world::{Kind, LEASE, Message, Point, Sabotage, Setup, State, Twist, VISIBILITY, World},
};

/// A message that came so often without an end is settled.
const MAX_RECEIVES: u32 = 5;
/// So many steps are more than any schedule needs that comes to an end.
const MAX_STEPS: usize = 100_000;

/// Decides what happens at a step, given its number, who stands where, and the set of what may happen.
pub type Choose<'a> = dyn FnMut(u32, (Kind, Point), u32) -> Option<Twist> + 'a;

/// At which steps what happens.
pub type Twists = Vec<(u32, Twist)>;

/// What came of a schedule.
pub struct Run {
    /// What may happen at each step, as a set of bits.
    pub open: Vec<u32>,
    /// What happened, and to whom where.
    pub happened: Vec<(Twist, Kind, Point)>,
    /// The twists, to run it again.
    pub twists: Twists,
    /// What must not be.
    pub violation: Option<String>,
    /// The job at its end.
    pub job: Option<Job>,
    /// How often the action took effect.
    pub delivered: u32,
    /// Step by step, where it was asked for.
    pub trace: Vec<String>,
}

type Work = Pin<Box<dyn Future<Output = ()>>>;

struct Scheduler<'a> {
    world: World,
    engine: Arc<Engine>,
    futures: Vec<Option<Work>>,
    /// Who goes on; nobody when it is time to look around.
    current: Option<usize>,
    was_retried: bool,
    /// The version of the held job that a person was asked to approve.
    asked: Option<u64>,
    choose: &'a mut Choose<'a>,
    run: Run,
    keep_trace: bool,
}

/// Runs a schedule.
pub fn run<'a>(setup: Setup, sabotage: Sabotage, keep_trace: bool, choose: &'a mut Choose<'a>) -> Run {
    let world = World::new(setup, sabotage);
    let mut scheduler = Scheduler {
        engine: Arc::new(engine(&world)),
        world,
        futures: Vec::new(),
        current: None,
        was_retried: false,
        asked: None,
        choose,
        run: Run {
            open: Vec::new(),
            happened: Vec::new(),
            twists: Vec::new(),
            violation: None,
            job: None,
            delivered: 0,
            trace: Vec::new(),
        },
        keep_trace,
    };
    scheduler.start_client();
    while scheduler.world.lock().violation.is_none() {
        if scheduler.run.open.len() >= MAX_STEPS {
            scheduler.world.lock().violate("the schedule does not come to an end");
            break;
        }
        let goes_on = match scheduler.current {
            Some(task) => {
                scheduler.step(task);
                true
            }
            None => scheduler.look_around(),
        };
        if !goes_on {
            break;
        }
    }
    scheduler.finish()
}

impl Scheduler<'_> {
    /// One step of a task that stands at a stop.
    fn step(&mut self, task: usize) {
        let mut state = self.world.lock();
        state.current = task;
        let set = state.twists();
        let number = u32::try_from(self.run.open.len()).expect("few steps");
        self.run.open.push(set);
        let (kind, at) = (state.tasks[task].kind, state.tasks[task].at.expect("it stands at a stop"));
        let twist = (self.choose)(number, (kind, at), set).filter(|twist| set & twist.bit() != 0);
        if self.keep_trace {
            let job = state.job().map(|job| (job.state, job.revision, job.fence));
            let second = state.now.as_second() % 1_000_000;
            self.run.trace.push(format!("{number:4} {second}s {kind:?}#{task} {at:?} {job:?} {twist:?}"));
        }
        let Some(twist) = twist else {
            drop(state);
            return self.poll(task, None);
        };
        state.note(twist);
        self.run.twists.push((number, twist));
        self.run.happened.push((twist, kind, at));
        match twist {
            Twist::Crash => {
                state.tasks[task].alive = false;
                drop(state);
                self.futures[task] = None;
                self.current = None;
            }
            Twist::Freeze => {
                state.tasks[task].frozen = true;
                let then = state.now + SignedDuration::try_from(VISIBILITY).expect("a minute") + one_second();
                state.pass(then);
                self.current = None;
            }
            Twist::Slow => {
                let then = state.now + SignedDuration::from_secs(30);
                state.pass(then);
                drop(state);
                self.poll(task, None);
            }
            Twist::Overlap => {
                if kind == Kind::Client {
                    drop(state);
                    return self.start_client();
                }
                let number = state.number();
                let body = state.messages[0].body.clone();
                let visible_at = state.now;
                state.messages.push(Message { number, body, visible_at, receives: 0 });
                let last = state.messages.len() - 1;
                drop(state);
                self.start_worker(last);
            }
            Twist::Approve | Twist::Reject => {
                drop(state);
                self.start_decision(twist == Twist::Approve);
            }
            Twist::Cancel => {
                drop(state);
                self.start_cancel();
            }
            Twist::Expire => {
                let then = state.job().and_then(|job| job.not_before).expect("a held job expires");
                state.expired = true;
                state.pass(then + one_second());
                drop(state);
                self.poll(task, None);
            }
            Twist::Sweep => {
                drop(state);
                self.start_sweeper();
            }
            Twist::Switch => {
                let mut others = (0..state.tasks.len()).filter(|other| *other != task && state.tasks[*other].alive);
                let other = others.next_back().expect("there is another one");
                state.tasks[other].frozen = false;
                self.current = Some(other);
            }
            Twist::Flush => {
                state.keys.clear();
                drop(state);
                self.poll(task, None);
            }
            Twist::DraftOnly => {
                // A worker that was overtaken asks for itself alone: the one with the job may have asked before.
                let asks = state.tasks[state.current].fence;
                state.draft_only_since = state.job().map(|job| job.fence + u64::from(asks < job.fence));
                drop(state);
                self.poll(task, None);
            }
            Twist::DraftDeleted => {
                state.drafts.clear();
                state.draft_deleted = true;
                drop(state);
                self.poll(task, None);
            }
            Twist::ChangeDeleted => {
                state.change_deleted = true;
                drop(state);
                self.poll(task, None);
            }
            data => {
                drop(state);
                self.poll(task, Some(data));
            }
        }
    }

    /// Lets a task go on to its next stop, or to its end.
    fn poll(&mut self, task: usize, order: Option<Twist>) {
        {
            let mut state = self.world.lock();
            state.current = task;
            state.tasks[task].order = order;
        }
        let future = self.futures[task].as_mut().expect("a task that lives has a future");
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            self.futures[task] = None;
            self.world.lock().tasks[task].alive = false;
            self.current = None;
        }
    }

    /// Nobody is at work: picks who is next, or lets time pass. False when there is nothing left to do.
    fn look_around(&mut self) -> bool {
        let mut state = self.world.lock();
        let runnable = state.tasks.iter().position(|task| task.alive && !task.frozen);
        if let Some(task) = runnable {
            self.current = Some(task);
            return true;
        }
        let client_waits = state.tasks.iter().any(|task| task.alive && task.kind == Kind::Client);
        if state.answered.is_none() && !state.turned_away && !client_waits {
            drop(state);
            self.start_client();
            return true;
        }
        let now = state.now;
        if let Some(visible) = state.messages.iter().position(|message| message.visible_at <= now) {
            drop(state);
            self.start_worker(visible);
            return true;
        }
        let job = state.job().cloned();
        // Its owner hears of it, and connects the account again.
        state.downgraded &= job.as_ref().is_none_or(|job| job.waiting_for != Some(WaitingFor::Reauth));
        if let Some(job) = job.as_ref().filter(|job| job.is_held() && self.asked != Some(job.revision)) {
            self.asked = Some(job.revision);
            drop(state);
            self.start_decision(true);
            return true;
        }
        let retriable = job.as_ref().filter(|job| job.error.as_ref().is_some_and(|error| error.retriable));
        if let Some(job) = retriable
            && !self.was_retried
        {
            self.was_retried = true;
            drop(state);
            self.start_retry(job.job_id);
            return true;
        }
        let frozen = state.tasks.iter().position(|task| task.alive);
        let has_ended = job.as_ref().is_none_or(|job| job.state.has_ended());
        let open = job.as_ref().filter(|job| !job.state.has_ended() && state.sabotage != Sabotage::NoSweeper);
        let overdue =
            open.map(|job| job.due_at() + SignedDuration::try_from(VISIBILITY).expect("short") + one_second());
        let next = next_event(&state).into_iter().chain(overdue).min();
        match (frozen, next) {
            (Some(task), None) => state.tasks[task].frozen = false,
            (Some(task), _) if has_ended => state.tasks[task].frozen = false,
            (_, Some(then)) => {
                state.pass(then);
                if overdue == Some(then) {
                    drop(state);
                    self.start_sweeper();
                }
            }
            (None, None) => return false,
        }
        true
    }

    fn finish(self) -> Run {
        let mut state = self.world.lock();
        if state.violation.is_none() {
            match state.job() {
                None => state.violate("the client was never answered"),
                Some(job) if !job.state.has_ended() => state.violate("the job is lost: nobody works on it any more"),
                Some(_) if state.jobs.len() > 1 => state.violate("one key became two jobs"),
                Some(job) if Some(job.job_id) != state.answered && !state.turned_away => {
                    state.violate("the client was told of another job");
                }
                Some(_) => {}
            }
        }
        let job = state.job().cloned();
        Run { violation: state.violation.take(), job, delivered: state.delivered, ..self.run }
    }

    fn start(&mut self, kind: Kind, future: impl Future<Output = ()> + 'static) {
        let task = self.world.lock().spawn(kind);
        self.futures.push(Some(Box::pin(future)));
        self.current = Some(task);
        self.poll(task, None);
    }

    fn start_client(&mut self) {
        let (engine, world) = (Arc::clone(&self.engine), self.world.clone());
        self.start(Kind::Client, async move {
            let setup = world.lock().setup;
            let answer = engine.executor.execute(&caller(setup), request(setup)).await;
            let mut state = world.lock();
            match answer {
                Ok(accepted) => {
                    let id = accepted[0].job.job_id;
                    if *state.answered.get_or_insert(id) != id {
                        state.violate("one key was answered with two jobs");
                    }
                }
                Err(Problem { code: ProblemCode::RolloutDenied | ProblemCode::ReauthRequired, .. }) => {
                    state.turned_away = true;
                    if !state.gate_shut && state.draft_only_since.is_none() {
                        state.violate("a client was refused, though everything was allowed");
                    }
                }
                // It asks again.
                Err(_) => {}
            }
        });
    }

    fn start_worker(&mut self, message: usize) {
        let (engine, world) = (Arc::clone(&self.engine), self.world.clone());
        let (body, number, receives, deadline) = {
            let mut state = self.world.lock();
            let now = state.now;
            let message = &mut state.messages[message];
            message.receives += 1;
            message.visible_at = now + SignedDuration::try_from(VISIBILITY).expect("a minute");
            (message.body.clone(), message.number, message.receives, now + LEASE)
        };
        self.start(Kind::Worker, async move {
            let disposition = if receives > MAX_RECEIVES {
                engine.worker.settle_dead(&body).await
            } else {
                engine.worker.work(&body, deadline).await
            };
            if disposition == Disposition::Acknowledge {
                // If it fails, the message comes again and finds its job ended.
                let _ = world.acknowledge(&number.to_string()).await;
            }
        });
    }

    fn start_sweeper(&mut self) {
        let engine = Arc::clone(&self.engine);
        self.start(Kind::Sweeper, async move {
            // If it fails, there is another one soon.
            let _ = engine.sweeper.sweep().await;
        });
    }

    /// A person decides about what is shown of the job, and hears what came of it.
    fn start_decision(&mut self, approve: bool) {
        let (engine, world) = (Arc::clone(&self.engine), self.world.clone());
        let Some(job) = self.world.lock().job().cloned() else { return };
        self.start(if approve { Kind::Approve } else { Kind::Reject }, async move {
            let (setup, shown) = (world.lock().setup, job.payload_hash.as_str());
            let told = engine.jobs.decide(&caller(setup), job.job_id, approve, Some(shown)).await;
            if let Ok(job) = told
                && job.decision.is_none_or(|decision| decision.approved != approve)
            {
                world.lock().violate("a person was told of another decision");
            }
        });
    }

    fn start_cancel(&mut self) {
        let (engine, setup) = (Arc::clone(&self.engine), self.world.lock().setup);
        let Some(id) = self.world.lock().job().map(|job| job.job_id) else { return };
        self.start(Kind::Cancel, async move {
            let _ = engine.jobs.cancel(&caller(setup), id).await;
        });
    }

    fn start_retry(&mut self, id: JobId) {
        let engine = Arc::clone(&self.engine);
        let setup = self.world.lock().setup;
        self.start(Kind::Retry, async move {
            let _ = engine.jobs.retry(&caller(setup), id).await;
        });
    }
}

fn next_event(state: &State) -> Option<Timestamp> {
    let messages = state.messages.iter().map(|message| message.visible_at);
    messages.chain(state.late.iter().map(|(at, _)| *at)).min()
}

fn one_second() -> SignedDuration {
    SignedDuration::from_secs(1)
}

fn actor() -> ActorId {
    "ana".parse().expect("an actor")
}

fn caller(setup: Setup) -> Caller {
    Caller {
        workspace: "w".parse().expect("a workspace"),
        key_id: None,
        bound_actor: None,
        default_actor: domain::ActorHash::of(&"w".parse().expect("a workspace"), &actor()),
        allow: None,
        agent: false,
        draft_only: setup == Setup::DraftOnly,
        scopes: Scope::all(),
        ticket: Ticket::default(),
    }
}

fn request(setup: Setup) -> ExecuteRequest {
    ExecuteRequest {
        actions: Some(vec![RequestedAction {
            provider: None,
            action: ACTION.to_owned(),
            params: json!({}),
            client_request_id: Some("r1".parse().expect("a key")),
            send_at: None,
            recipients: None,
            sources: domain::Sources::default(),
        }]),
        actor_id: Some(actor()),
        send_at: setup.send_at().map(SendAt),
        trace: Some(TraceContext::begin(1, 1)),
        ..ExecuteRequest::default()
    }
}

/// How a schedule ended, for the table.
pub fn outcome(run: &Run) -> &'static str {
    let Some(job) = &run.job else { return "none" };
    match job.state {
        JobState::Completed if job.result.as_ref().is_some_and(|result| result["presumed"] == true) => "presumed",
        JobState::Completed => "completed",
        JobState::Failed => "failed",
        JobState::Unknown => "unknown",
        _ => "open",
    }
}
