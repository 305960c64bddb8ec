//! A round in which workers stop at every step, as a machine that hangs does, for longer than their lease.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use kill::Trap;
use rustix::process::Signal;

use crate::{
    chance::Chance,
    client::{drained, feed, until_ready},
    killed::Round,
    process::{Process, until},
    stage::{Came, Slot, Stage},
    world::{Pace, Shared, World, argument},
};

/// How long it may take until all have stopped.
const STOPPED_WITHIN: Duration = Duration::from_secs(90);

/// Stops a worker at each of the points. When all have stopped, another one finishes their jobs.
/// Then they go on with what they had begun.
pub async fn run(shared: Arc<Shared>, round: Round) -> Came {
    let stage = Stage::new(World::start(&shared, round.name, round.queue, round.scope, Pace::QUICK).await);
    let world = &stage.world;
    let (api, healthy) = (Slot::default(), Slot::default());
    api.put(world.api(&[]));
    until_ready(world, &world.url()).await;
    let start = |point: &kill::Point| world.worker(&[argument("stop", &Trap { point: point.clone(), pass: 1 })]);
    let mut stopped: Vec<Process> = round.worker.iter().map(start).collect();
    let watch = async {
        let all = until(STOPPED_WITHIN, || stopped.iter().all(Process::is_stopped)).await;
        if !all {
            stage.told.violation("not every worker came to its point".to_owned());
        }
        stage.enough.store(true, Ordering::Relaxed);
    };
    tokio::join!(
        watch,
        feed(world, &stage.told, Chance::new(round.seed, 2), (round.jobs, Duration::from_millis(150)), &stage.enough),
    );
    let last = Instant::now();
    for process in &stopped {
        for point in process.said("sprung") {
            stage.note("stop", &point);
            stage.count(|faults| faults.stopped += 1);
        }
    }
    healthy.put(world.worker(&[]));
    let seen = drained(world, &stage.told, Duration::from_mins(2)).await;
    // A job of the last one cannot have ended before its lease did; the others' leases were over before.
    let lease = Duration::from_secs(world.pace.lease.into());
    tokio::time::sleep(lease.saturating_sub(last.elapsed())).await;
    for process in &mut stopped {
        process.signal(Signal::CONT);
    }
    for process in &mut stopped {
        // It ends when it is done with what it had in hand.
        if !process.terminate(Duration::from_mins(1)).await {
            stage.told.violation("a worker that went on does not end".to_owned());
        }
    }
    if drained(world, &stage.told, Duration::from_mins(1)).await != seen {
        stage.told.violation("a worker that was overtaken changed a job".to_owned());
    }
    let (row, _) = stage.close(&api, &healthy).await;
    (row, std::collections::BTreeSet::new())
}
