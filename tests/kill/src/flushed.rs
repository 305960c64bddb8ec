//! A round in which Redis forgets everything between any two steps, and nothing else goes wrong.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use kill::{Point, Trap};

use crate::{
    chance::Chance,
    client::{feed, until_ready},
    killed::Round,
    process::until,
    stage::{Came, Slot, Stage},
    world::{Pace, Shared, World, argument},
};

/// One worker and one API that flush Redis at each of their points, each once.
pub async fn run(shared: Arc<Shared>, round: Round) -> Came {
    let stage = Stage::new(World::start(&shared, round.name, round.queue, round.scope, Pace::QUICK).await);
    let world = &stage.world;
    let (api, worker) = (Slot::default(), Slot::default());
    let mut chance = Chance::new(round.seed, 1);
    let mut traps = |points: &[Point]| -> Vec<String> {
        let mut trap = |point: &Point| {
            // Some steps are seldom: those of the sweep, and those of a job that has to wait.
            let seldom = ["queue.send", "ledger.save.queued", "ledger.overdue_jobs", "ledger.erase_expired"];
            let passes = if seldom.contains(&point.call.as_str()) { 2 } else { 12 };
            let pass = u32::try_from(1 + chance.below(passes)).expect("at most 12");
            argument("flush", &Trap { point: point.clone(), pass })
        };
        points.iter().map(&mut trap).collect()
    };
    worker.put(world.worker(&traps(&round.worker)));
    api.put(world.api(&traps(&round.api)));
    until_ready(world, &world.url()).await;
    let wanted = (round.worker.len(), round.api.len());
    let mut provoked = Instant::now();
    let watch = async {
        let all = until(Duration::from_secs(90), || {
            let sprung = worker.said("sprung");
            if provoked.elapsed() > Duration::from_millis(700) {
                provoked = Instant::now();
                let missing = round.worker.iter().filter(|point| !sprung.contains(&point.to_string()));
                missing.for_each(|point| stage.provoke(point));
            }
            (sprung.len(), api.said("sprung").len()) == wanted
        })
        .await;
        if !all {
            stage.told.violation("not every point was reached".to_owned());
        }
        stage.enough.store(true, Ordering::Relaxed);
    };
    tokio::join!(
        watch,
        feed(world, &stage.told, Chance::new(round.seed, 2), (round.jobs, Duration::from_millis(200)), &stage.enough),
    );
    for (slot, role) in [(&worker, "work"), (&api, "serve")] {
        for point in slot.said("sprung") {
            stage.note(role, &point);
            stage.count(|faults| faults.redis += 1);
        }
    }
    let (mut row, _) = stage.close(&api, &worker).await;
    if row.completed != row.jobs {
        row.violations.push("a flush changed what became of a job".to_owned());
    }
    // What was flushed there was not killed there.
    (row, std::collections::BTreeSet::new())
}
