//! Counts as the program does, when it is told to, and flushes into a Redis: one of many at once, that may
//! be killed between two lines. For each line of standard input, the number of plans to count, it answers with one.

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
    record::{PlannerStatus, record_ai_planner},
};

#[derive(Parser)]
struct Arguments {
    /// The Redis server's URL.
    redis: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let connection = Arc::new(RedisConnection::new(&Arguments::parse().redis)?);
    let store = RedisMetrics::new(connection, "metrics", Arc::new(SystemIds));
    let metrics = Metrics::install(Vocabulary { actions: Vec::new(), routes: Vec::new() }).with_store(Arc::new(store));
    // A busy machine is not what is tested.
    let metrics = metrics.patient_for(Duration::from_secs(30));
    for line in stdin().lock().lines() {
        for _ in 0..line?.parse::<usize>()? {
            record_ai_planner(PlannerStatus::Ok, Duration::from_millis(3));
        }
        metrics.flush().await;
        println!("flushed");
        stdout().flush()?;
    }
    Ok(())
}
