//! Rounds in which everything dies: processes at every point and at random, Redis, the answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fakes::{Fault, RandomFaults};
use kill::{Point, Trap};

use crate::{
    chance::Chance,
    client::feed,
    stage::{Came, Slot, Stage},
    world::{Pace, QueueKind, Scope, Shared, World, argument},
};

/// A round to be.
#[derive(Debug, Clone)]
pub struct Round {
    pub name: String,
    pub queue: QueueKind,
    pub scope: Scope,
    pub seed: u64,
    /// At least so many jobs.
    pub jobs: usize,
    /// Some of them are held, go later, or end with their drafts.
    pub mixed: bool,
    /// Where workers die, and where APIs do.
    pub worker: Vec<Point>,
    pub api: Vec<Point>,
}

/// Kills a worker at each of its points beside a worker that is only killed at random, and an API at
/// each of its own.
pub async fn run(shared: Arc<Shared>, round: Round) -> Came {
    let stage = Stage::new(start(&shared, &round, Pace::QUICK).await);
    let world = &stage.world;
    let (api, worker, dying) = (Slot::default(), Slot::default(), Slot::default());
    let mut chance = Chance::new(round.seed, 1);
    let mut traps = |points: &[Point]| -> Vec<Trap> {
        // The second pass of a step that every job takes is soon there too; others are seldom.
        let seldom = [
            "ledger.save.failed",
            "ledger.save.unknown",
            "ledger.save.queued",
            "queue.send",
            "ledger.overdue_jobs",
            "ledger.erase_expired",
            "ledger.jobs",
        ];
        let often = |point: &Point| !seldom.contains(&point.call.as_str());
        let pass = |point: &Point, chance: &mut Chance| if often(point) { 1 + chance.below(2) } else { 1 };
        let trap = |point: &Point| {
            let pass = u32::try_from(pass(point, &mut chance)).expect("1 or 2");
            Trap { point: point.clone(), pass }
        };
        points.iter().map(trap).collect()
    };
    let (worker_traps, api_traps) = (traps(&round.worker), traps(&round.api));
    world.fakes.randomly(Some(random_faults(round.seed)));

    let lanes = AtomicUsize::new(2);
    let lane_ends = || {
        if lanes.fetch_sub(1, Ordering::Relaxed) == 1 {
            stage.enough.store(true, Ordering::Relaxed);
        }
    };
    tokio::join!(
        async {
            stage.spring(&dying, "work", &worker_traps, |trap| world.worker(&[argument("kill", trap)])).await;
            lane_ends();
        },
        async {
            stage.spring(&api, "serve", &api_traps, |trap| world.api(&[argument("kill", trap)])).await;
            lane_ends();
            api.keep(&stage.enough, || world.api(&[])).await;
        },
        worker.keep(&stage.enough, || world.worker(&[])),
        feed(world, &stage.told, Chance::new(round.seed, 2), (round.jobs, Duration::from_millis(200)), &stage.enough),
        chaos(&stage, &api, &worker, Chance::new(round.seed, 3)),
    );
    api.keep(&stage.enough, || world.api(&[])).await;
    worker.keep(&stage.enough, || world.worker(&[])).await;
    stage.close(&api, &worker).await
}

/// The shipped program with its own constants, as server and as worker, killed at random for a while.
pub async fn run_product(shared: Arc<Shared>, round: Round) -> Came {
    let stage = Stage::new(start(&shared, &round, Pace::PRODUCT).await);
    let world = &stage.world;
    let (api, worker) = (Slot::default(), Slot::default());
    world.fakes.randomly(Some(random_faults(round.seed)));
    tokio::join!(
        async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            stage.enough.store(true, Ordering::Relaxed);
        },
        api.keep(&stage.enough, || world.orchestrator("serve")),
        worker.keep(&stage.enough, || world.orchestrator("worker")),
        feed(world, &stage.told, Chance::new(round.seed, 2), (round.jobs, Duration::from_millis(300)), &stage.enough),
        chaos(&stage, &api, &worker, Chance::new(round.seed, 3)),
    );
    api.keep(&stage.enough, || world.orchestrator("serve")).await;
    worker.keep(&stage.enough, || world.orchestrator("worker")).await;
    stage.close(&api, &worker).await
}

async fn start(shared: &Arc<Shared>, round: &Round, pace: Pace) -> World {
    let (name, queue, scope) = (round.name.clone(), round.queue, round.scope);
    if round.mixed {
        World::start_mixed(shared, name, queue, scope, pace).await
    } else {
        World::start(shared, name, queue, scope, pace).await
    }
}

/// What goes wrong at the providers by chance: answers that are lost, and noes that pass.
fn random_faults(seed: u64) -> RandomFaults {
    let faults = [
        Fault::AcceptThenClose,
        Fault::AcceptThen500,
        Fault::CloseBefore,
        Fault::Fail500,
        Fault::TooManyRequests { retry_after_s: Some(1) },
        Fault::Unavailable { retry_after_s: Some(1) },
    ];
    let mut faults = faults.map(Into::into).to_vec();
    // This one is Gmail's own.
    for operation in ["gmail.messages.send", "gmail.drafts.create", "gmail.drafts.send"] {
        faults.push(Fault::RateLimit403.on(operation));
    }
    RandomFaults { seed, percent: 20, faults }
}

/// Kills, flushes, hangs and restarts at random until it is enough.
async fn chaos(stage: &Stage, api: &Slot, worker: &Slot, mut chance: Chance) {
    let world = &stage.world;
    loop {
        tokio::time::sleep(Duration::from_millis(300 + chance.below(900))).await;
        if stage.is_enough() {
            return;
        }
        match chance.below(6) {
            0 => {
                let redis = world.redis.lock().await;
                tokio::task::block_in_place(|| redis.command("FLUSHALL"));
                stage.count(|faults| faults.redis += 1);
            }
            1 => {
                let redis = world.redis.lock().await;
                redis.pause();
                tokio::time::sleep(Duration::from_millis(300 + chance.below(1500))).await;
                redis.resume();
                stage.count(|faults| faults.redis += 1);
            }
            2 => {
                let mut redis = world.redis.lock().await;
                tokio::task::block_in_place(|| redis.restart());
                stage.count(|faults| faults.redis += 1);
            }
            3 => {
                let killed = worker.kill();
                stage.count(|faults| faults.killed += usize::from(killed));
            }
            4 => {
                let killed = api.kill();
                stage.count(|faults| faults.killed += usize::from(killed));
            }
            // A token that is refused once is taken the next time. Twice in a row would end the job.
            _ => {
                for operation in
                    ["gmail.drafts.create", "gmail.messages.send", "graph.messages.create", "graph.sendMail"]
                {
                    world.fakes.script(Fault::Unauthorized.on(operation));
                }
                // A job whose draft is known waits for its account, however often it is refused.
                for operation in ["gmail.drafts.send", "graph.messages.send"] {
                    let first = if chance.below(2) == 0 { Fault::Unauthorized } else { Fault::Forbidden };
                    world.fakes.script(first.on(operation));
                    world.fakes.script(Fault::Unauthorized.on(operation));
                }
            }
        }
    }
}
