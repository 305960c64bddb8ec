//! Logs, traces and metrics. Depends on no other crate of the workspace.
//!
//! [`names`] defines every metric; the functions of [`record`] are the only way to record one, and [`labels`] holds
//! every value that a label can have. [`Metrics::flush`] ends every invocation.

pub mod labels;
pub mod logs;
pub mod names;
pub mod record;

mod coalescer;
mod metrics;
mod print;
mod recorder;
mod store;
mod trace;
mod vocabulary;

pub use metrics::Metrics;
pub use print::{CONTENT_TYPE, Gauges};
pub use store::{Increment, MetricStore, NotAdded, StoreDown};
pub use trace::TraceContext;
pub use vocabulary::Vocabulary;
