//! The shared store of metric counts in Redis.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use engine::ports::Ids;
use redis::{cmd, from_redis_value};
use telemetry::{Increment, MetricStore, NotAdded, StoreDown};
use tokio::time::timeout;

use super::{
    connection::{Fault, RedisConnection},
    milliseconds,
};

/// How long the id of a flush is kept: longer than any retry of the flush takes.
const FLUSH_KEPT: Duration = Duration::from_secs(30);

/// The counts of all instances: one hash for each metric, all in one slot, so a flush and a scrape are one script each,
/// also on a cluster.
///
/// Each flush has an id. A retry on a new connection finds the id and adds nothing twice. Scripts are sent as text, not by
/// their hash, so a restarted server needs no second round trip.
pub struct RedisMetrics {
    connection: Arc<RedisConnection>,
    ids: Arc<dyn Ids>,
    name: String,
}

impl RedisMetrics {
    /// Stores the counts under this name (letters, digits, `-` and `_`).
    pub fn new(connection: Arc<RedisConnection>, name: &str, ids: Arc<dyn Ids>) -> Self {
        Self { connection, ids, name: name.to_owned() }
    }

    fn key(&self, metric: &str) -> String {
        format!("orc:{{{}}}:{metric}", self.name)
    }

    fn flush(&self, increments: &[Increment]) -> redis::Cmd {
        let mut keys = vec![self.key(&format!("flush:{}", self.ids.uuid()))];
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for Increment { metric, .. } in increments {
            places.entry(metric).or_insert_with(|| {
                keys.push(self.key(metric));
                keys.len()
            });
        }
        let mut command = cmd("EVAL");
        command.arg(include_str!("lua/add_metrics.lua")).arg(keys.len()).arg(&keys).arg(milliseconds(FLUSH_KEPT));
        for Increment { metric, field, by } in increments {
            command.arg(places[metric]).arg(field).arg(by);
        }
        command
    }
}

#[async_trait]
impl MetricStore for RedisMetrics {
    async fn add(&self, increments: &[Increment], within: Duration) -> Result<(), NotAdded> {
        let sent = AtomicBool::new(false);
        let add = async {
            // Without a connection, nothing is sent.
            self.connection.connect().await.map_err(|fault| NotAdded::Refused(fault.to_string()))?;
            sent.store(true, Ordering::Relaxed);
            match self.connection.query_one(self.flush(increments)).await {
                Ok(answer) => match from_redis_value::<u64>(answer) {
                    Ok(0) => Ok(()),
                    Ok(failed) => Err(NotAdded::Lost(format!("{failed} counts could not be added"))),
                    Err(_) => Err(NotAdded::Lost("the answer is unreadable".to_owned())),
                },
                // The server refuses a script before it runs it.
                Err(fault @ Fault::Refused(..)) => Err(NotAdded::Refused(fault.to_string())),
                Err(fault) => Err(NotAdded::Lost(fault.to_string())),
            }
        };
        let late = "Redis did not answer in time".to_owned();
        match timeout(within, add).await {
            Ok(added) => added,
            Err(_) if sent.load(Ordering::Relaxed) => Err(NotAdded::Lost(late)),
            Err(_) => Err(NotAdded::Refused(late)),
        }
    }

    async fn read(&self, metrics: &[&'static str]) -> Result<Vec<Vec<(String, u64)>>, StoreDown> {
        let keys: Vec<String> = metrics.iter().map(|metric| self.key(metric)).collect();
        let mut command = cmd("EVAL");
        command.arg(include_str!("lua/read_metrics.lua")).arg(keys.len()).arg(&keys);
        let answer = self.connection.query_one(command).await.map_err(|fault| StoreDown(fault.to_string()))?;
        let texts: Vec<String> = from_redis_value(answer).map_err(|_| unreadable())?;
        Ok(texts.iter().map(|text| counts(text)).collect())
    }
}

fn unreadable() -> StoreDown {
    StoreDown("the answer is unreadable".to_owned())
}

/// Parses alternating lines of fields and values.
fn counts(text: &str) -> Vec<(String, u64)> {
    let mut counts = Vec::new();
    let mut lines = text.split('\n');
    while let (Some(field), Some(count)) = (lines.next(), lines.next()) {
        // Counts only rise. A value that is not a count was set by hand, and is skipped.
        counts.extend(count.parse().map(|count: u64| (field.to_owned(), count)));
    }
    counts
}
