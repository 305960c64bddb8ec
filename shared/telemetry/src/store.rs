use std::time::Duration;

use async_trait::async_trait;

/// Where the counts of all instances are summed.
///
/// A count is an integer, named by its metric and a field: the labels' values with `|` between, and for a
/// histogram the bucket's upper bound, or `sum`, after one more.
#[async_trait]
pub trait MetricStore: Send + Sync {
    /// Adds all of it or nothing, in one round trip, within this time.
    async fn add(&self, increments: &[Increment], within: Duration) -> Result<(), NotAdded>;

    /// The fields of these metrics, in order, in one round trip.
    async fn read(&self, metrics: &[&'static str]) -> Result<Vec<Vec<(String, u64)>>, StoreDown>;
}

/// So much more of one count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Increment {
    /// Of which metric.
    pub metric: &'static str,
    /// Which count of it.
    pub field: String,
    /// How much.
    pub by: u64,
}

/// Why counts were not added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdded {
    /// None was, for certain.
    #[error("refused: {0}")]
    Refused(String),
    /// Nobody knows.
    #[error("lost: {0}")]
    Lost(String),
}

/// The store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreDown(pub String);
