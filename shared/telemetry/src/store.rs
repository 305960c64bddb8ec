//! The port to the store that sums the counts of all instances.

use std::time::Duration;

use async_trait::async_trait;

/// Sums the counts of all instances.
///
/// A count is an integer, identified by its metric and a field: the label values joined with `|`, and for a histogram
/// another `|` and the bucket's upper bound, or `sum`.
#[async_trait]
pub trait MetricStore: Send + Sync {
    /// Adds all increments of a batch or none, in one round trip, within this time. A batch that was added before is not
    /// added again.
    async fn add(&self, batch: &Batch, within: Duration) -> Result<(), NotAdded>;

    /// Reads the fields of these metrics, in order, in one round trip. A field may come several times, to be summed.
    async fn read(&self, metrics: &[&'static str]) -> Result<Vec<Vec<(String, u64)>>, StoreDown>;

    /// Whether the counts can be read. A log's cannot.
    fn is_readable(&self) -> bool {
        true
    }
}

/// Increments that are added together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Rises with each batch of a process, which sends its batches one after the other.
    pub number: u64,
    /// What to add.
    pub increments: Vec<Increment>,
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
    /// The answer was lost, so the store may have added them.
    #[error("the answer was lost: {0}")]
    Lost(String),
}

/// The store did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreDown(pub String);
