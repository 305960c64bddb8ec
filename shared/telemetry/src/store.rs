//! The port to the store that sums the counts of all instances.

use std::time::Duration;

use async_trait::async_trait;

/// Sums the counts of all instances.
///
/// A count is an integer, identified by its metric and a field: the label values joined with `|`, and for a histogram
/// another `|` and the bucket's upper bound, or `sum`.
#[async_trait]
pub trait MetricStore: Send + Sync {
    /// Adds all increments or none, in one round trip, within this time.
    async fn add(&self, increments: &[Increment], within: Duration) -> Result<(), NotAdded>;

    /// Reads the fields of these metrics, in order, in one round trip.
    async fn read(&self, metrics: &[&'static str]) -> Result<Vec<Vec<(String, u64)>>, StoreDown>;
}

/// An addition to one count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Increment {
    /// The metric.
    pub metric: &'static str,
    /// The count within the metric.
    pub field: String,
    /// The amount.
    pub by: u64,
}

/// Why increments were not added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdded {
    /// The store certainly added none.
    #[error("refused: {0}")]
    Refused(String),
    /// The store may have added them.
    #[error("lost: {0}")]
    Lost(String),
}

/// The store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreDown(pub String);
