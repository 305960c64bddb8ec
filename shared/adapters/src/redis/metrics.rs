//! The shared store of metric counts in Redis.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use engine::ports::Ids;
use telemetry::{Batch, Increment, MetricStore, NotAdded, StoreDown};
use tokio::time::{Instant, timeout_at};

use super::{
    connection::{Fault, RedisConnection},
    key, milliseconds,
    script::Call,
};

/// How long the number of an instance's last batch is kept: longer than an instance sleeps between two requests.
const NUMBER_KEPT: Duration = Duration::from_hours(24);

/// Over how many slots the instances are spread: a slot of ElastiCache Serverless takes a part of the load only.
const SLOTS: u8 = 16;

/// The counts of all instances. An instance has all its counts in one of a few slots, one hash for each metric, so a
/// flush is one script, also on a cluster. A scrape is one script a slot, all at once.
///
/// Each batch has a number, and the number of an instance's last batch is kept beside its counts. A batch that is sent
/// again, because its answer was lost, is not added twice. Scripts are sent as text, not by their hash, so a restarted
/// server needs no second round trip.
pub struct RedisMetrics {
    connection: Arc<RedisConnection>,
    name: String,
    /// This instance's slot.
    slot: String,
    /// The number of this instance's last batch.
    number: String,
}

impl RedisMetrics {
    /// Stores the counts under this name (letters, digits, `-` and `_`).
    pub fn new(connection: Arc<RedisConnection>, name: &str, ids: &dyn Ids) -> Self {
        let instance = ids.uuid();
        let slot = slot(name, instance.as_bytes()[15] % SLOTS);
        let number = key(&slot, &format!("batch:{instance}"));
        Self { connection, name: name.to_owned(), slot, number }
    }

    fn flush(&self, batch: &Batch) -> Call {
        let mut keys = vec![self.number.clone()];
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for Increment { metric, .. } in &batch.increments {
            places.entry(metric).or_insert_with(|| {
                keys.push(key(&self.slot, metric));
                keys.len()
            });
        }
        let counts: Vec<_> =
            batch.increments.iter().map(|count| (places[count.metric], &count.field, count.by)).collect();
        let script = include_str!("lua/add_metrics.lua");
        Call::new("EVAL", (script, keys.len(), keys, milliseconds(NUMBER_KEPT), batch.number, counts))
    }
}

#[async_trait]
impl MetricStore for RedisMetrics {
    async fn add(&self, batch: &Batch, within: Duration) -> Result<(), NotAdded> {
        let end = Instant::now() + within;
        // Without a connection, nothing is sent.
        let connected = timeout_at(end, self.connection.connect()).await.unwrap_or(Err(Fault::TimedOut));
        connected.map_err(|fault| NotAdded::Refused(fault.to_string()))?;
        let added = self.connection.query_one::<u64>(self.flush(batch));
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
        // Versions before the slots wrote under the name alone.
        let slots = (0..SLOTS).map(|number| slot(&self.name, number)).chain([self.name.clone()]);
        let calls = slots.map(|slot| {
            let keys: Vec<String> = metrics.iter().map(|metric| key(&slot, metric)).collect();
            Call::new("EVAL", (include_str!("lua/read_metrics.lua"), keys.len(), keys))
        });
        let texts: Vec<Vec<String>> =
            self.connection.query(calls).await.map_err(|fault| StoreDown(fault.to_string()))?;
        let of = |place: usize| texts.iter().filter_map(|slot| slot.get(place)).flat_map(|text| counts(text)).collect();
        Ok((0..metrics.len()).map(of).collect())
    }
}

/// What the keys of a slot belong to.
fn slot(name: &str, number: u8) -> String {
    format!("{name}:{number}")
}

/// Parses alternating lines of fields and values. Counts only rise: a value that is not a count was set by hand, and is
/// skipped.
fn counts(text: &str) -> Vec<(String, u64)> {
    let lines: Vec<&str> = text.split('\n').collect();
    let count = |pair: &[&str]| Some((pair[0].to_owned(), pair[1].parse().ok()?));
    lines.chunks_exact(2).filter_map(count).collect()
}
