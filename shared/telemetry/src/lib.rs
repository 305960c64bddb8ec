//! Logs, traces and metrics. Depends on no other crate of the workspace.
//!
//! [`names`] defines every metric and how to record it; [`labels`] holds every value that a label can have.
//! [`Metrics::flush`] ends every invocation.

pub mod labels;
pub mod logs;
pub mod names;

mod coalescer;
mod emf;
mod metrics;
mod print;
mod recorder;
mod store;
mod trace;
mod vocabulary;

pub use emf::EmfLog;
pub use metrics::{FLUSH_TIMEOUT, Metrics};
pub use print::{CONTENT_TYPE, Gauges};
pub use store::{Batch, Increment, MetricStore, NotAdded, StoreDown};
pub use trace::TraceContext;
pub use vocabulary::Vocabulary;
