//! Many callers, two APIs, one client_request_id: one job.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;

use crate::{
    client::{Told, list, submit, until_ready},
    stage::Slot,
    world::{Pace, QueueKind, Scope, Shared, World},
};

/// Callers at once.
const CLIENTS: usize = 64;

/// What it came to: a sentence, and what must not be.
pub async fn run(shared: Arc<Shared>, name: String, rounds: usize) -> (String, Vec<String>) {
    let world = World::start(&shared, name, QueueKind::Redis, Scope::Send, Pace::QUICK).await;
    let first = Slot::default();
    first.put(world.api(&[]));
    let (_second, other) = world.second_api(&[]);
    let urls = [world.url(), other];
    for url in &urls {
        until_ready(&world, url).await;
    }
    let told = Arc::new(Told::default());
    let began = Instant::now();
    for round in 0..rounds {
        let key = format!("same-{round}");
        let asked = (0..CLIENTS).map(|client| submit(&world, &urls[client % 2], &told, &key, false));
        if round % 4 == 3 {
            // In the midst of them.
            let flush = async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let redis = world.redis.lock().await;
                tokio::task::block_in_place(|| redis.command("FLUSHALL"));
            };
            tokio::join!(join_all(asked), flush);
        } else {
            join_all(asked).await;
        }
    }
    let took = began.elapsed();
    let mut violations = std::mem::take(&mut *told.violations.lock().expect("nobody panics with it"));
    let accepted = told.accepted.lock().expect("nobody panics with it").clone();
    for (key, ids) in accepted.iter().filter(|(_, ids)| ids.len() != 1) {
        violations.push(format!("{key}: {} job ids", ids.len()));
    }
    let listed = list(&world).await.unwrap_or_default().len();
    if listed != rounds {
        violations.push(format!("{listed} jobs of {rounds} client_request_ids"));
    }
    let answers = told.answers.load(std::sync::atomic::Ordering::Relaxed);
    let rate = f64::from(u32::try_from(rounds).unwrap_or(u32::MAX)) / took.as_secs_f64();
    let line = format!(
        "identical: {rounds} rounds of {CLIENTS} callers at two APIs, Redis flushed amid every fourth: \
         {listed} jobs, {answers} answers, {rate:.1} rounds/s"
    );
    (line, violations)
}
