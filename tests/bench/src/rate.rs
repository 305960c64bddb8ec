//! Many clients that ask again and again, and what becomes of it.

use std::{
    ops::AsyncFnMut,
    time::{Duration, Instant},
};

use tokio::task::spawn_local;

/// How often something was done, and how long it took.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// How often in all, the warm-up included.
    pub done: usize,
    /// How often in a second.
    pub per_second: f64,
    /// Half took so long at most.
    pub p50: Duration,
    /// 99 of 100 took so long at most.
    pub p99: Duration,
}

/// What is done before counts for nothing: pages, pools and branches are warm then.
const WARM_UP: Duration = Duration::from_millis(500);

/// Lets each worker do its work again and again for this long after a warm-up, each waiting for its own.
pub async fn closed_loop(workers: Vec<impl AsyncFnMut() + 'static>, time: Duration) -> Rate {
    let began = Instant::now() + WARM_UP;
    let tasks: Vec<_> = workers
        .into_iter()
        .map(|mut work| {
            spawn_local(async move {
                let (mut done, mut took) = (0, Vec::new());
                loop {
                    let before = Instant::now();
                    if before > began + time {
                        return (done, took);
                    }
                    work().await;
                    done += 1;
                    if before >= began {
                        took.push(before.elapsed());
                    }
                }
            })
        })
        .collect();
    let (mut done, mut took) = (0, Vec::new());
    for task in tasks {
        let (more, of_task) = task.await.expect("no worker panics");
        done += more;
        took.extend(of_task);
    }
    let per_second = took.len() as f64 / began.elapsed().as_secs_f64();
    let [p50, p99] = percentiles(&mut took, [50, 99]);
    Rate { done, per_second, p50, p99 }
}

/// What so many of a hundred took at most. Sorts them.
pub fn percentiles<const N: usize>(took: &mut [Duration], of_a_hundred: [usize; N]) -> [Duration; N] {
    took.sort_unstable();
    let last = took.len().saturating_sub(1);
    of_a_hundred.map(|percent| took.get(last * percent / 100).copied().unwrap_or_default())
}
