//! One of many processes that record plans and flush the counts to one Redis, and may be killed between two flushes. Each
//! line of standard input is a number of plans to record; the answer is one line.

use std::{
    error::Error,
    io::{BufRead, Write, stdin, stdout},
    sync::Arc,
    time::Duration,
};

use adapters::{
    redis::{RedisConnection, RedisMetrics},
    system::SystemIds,
};
use clap::Parser;
use telemetry::{
    Metrics, Vocabulary,
    labels::PlannerStatus,
    names::{PLANNER_DURATION, PLANNER_REQUESTS},
};

#[derive(Parser)]
struct Arguments {
    /// The Redis server's URL.
    redis: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let connection = Arc::new(RedisConnection::new(&Arguments::parse().redis)?);
    let store = RedisMetrics::new(connection, "metrics", &SystemIds);
    // A busy machine must not fail the test.
    let metrics = Metrics::install(Vocabulary::default()).with_store(Arc::new(store), Duration::from_secs(30));
    for line in stdin().lock().lines() {
        for _ in 0..line?.parse::<usize>()? {
            PLANNER_REQUESTS.count(&[PlannerStatus::Ok.into()]);
            PLANNER_DURATION.observe(&[PlannerStatus::Ok.into()], Duration::from_millis(3));
        }
        metrics.flush().await;
        println!("flushed");
        stdout().flush()?;
    }
    Ok(())
}
