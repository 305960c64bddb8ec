//! The shared store of metric counts in Redis.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use engine::ports::Ids;
use telemetry::{Increment, MetricStore, NotAdded, StoreDown};
use tokio::time::{Instant, timeout_at};

use super::{
    connection::{Fault, RedisConnection},
    key, milliseconds,
    script::Call,
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

    fn flush(&self, increments: &[Increment]) -> Call {
        let mut keys = vec![key(&self.name, &format!("flush:{}", self.ids.uuid()))];
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for Increment { metric, .. } in increments {
            places.entry(metric).or_insert_with(|| {
                keys.push(key(&self.name, metric));
                keys.len()
            });
        }
        let counts: Vec<_> = increments.iter().map(|count| (places[count.metric], &count.field, count.by)).collect();
        let script = include_str!("lua/add_metrics.lua");
        Call::new("EVAL", (script, keys.len(), keys, milliseconds(FLUSH_KEPT), counts))
    }
}

#[async_trait]
impl MetricStore for RedisMetrics {
    async fn add(&self, increments: &[Increment], within: Duration) -> Result<(), NotAdded> {
        let end = Instant::now() + within;
        // Without a connection, nothing is sent.
        let connected = timeout_at(end, self.connection.connect()).await.unwrap_or(Err(Fault::TimedOut));
        connected.map_err(|fault| NotAdded::Refused(fault.to_string()))?;
        let added = self.connection.query_one::<u64>(self.flush(increments));
        let added = timeout_at(end, added).await.unwrap_or_else(|_| {
            // The time is too short for the connection to find out by itself that it is dead.
            self.connection.replace();
            Err(Fault::TimedOut)
        });
        match added {
            Ok(0) => Ok(()),
            Ok(failed) => Err(NotAdded::Lost(format!("{failed} counts could not be added"))),
            // The server refuses a script before it runs it.
            Err(fault @ Fault::Refused(..)) => Err(NotAdded::Refused(fault.to_string())),
            Err(fault) => Err(NotAdded::Lost(fault.to_string())),
        }
    }

    async fn read(&self, metrics: &[&'static str]) -> Result<Vec<Vec<(String, u64)>>, StoreDown> {
        let keys: Vec<String> = metrics.iter().map(|metric| key(&self.name, metric)).collect();
        let call = Call::new("EVAL", (include_str!("lua/read_metrics.lua"), keys.len(), keys));
        let texts: Vec<String> = self.connection.query_one(call).await.map_err(|fault| StoreDown(fault.to_string()))?;
        Ok(texts.iter().map(|text| counts(text)).collect())
    }
}

/// Parses alternating lines of fields and values. Counts only rise: a value that is not a count was set by hand, and is
/// skipped.
fn counts(text: &str) -> Vec<(String, u64)> {
    let lines: Vec<&str> = text.split('\n').collect();
    let count = |pair: &[&str]| Some((pair[0].to_owned(), pair[1].parse().ok()?));
    lines.chunks_exact(2).filter_map(count).collect()
}
