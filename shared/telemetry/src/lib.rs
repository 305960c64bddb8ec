//! Logs, traces and metrics. Stands alone: it knows no other crate of the workspace.
//!
//! [`names`] holds every metric's name; the functions of [`record`] are the only way to record one, and
//! [`labels`] is all that a label can say. [`Metrics::flush`] ends every invocation.

pub mod labels;
pub mod logs;
pub mod names;
pub mod record;

mod metrics;
mod print;
mod recorder;
mod store;
mod trace;
mod turn;

pub use labels::Vocabulary;
pub use metrics::Metrics;
pub use print::{Format, Gauges};
pub use store::{Increment, MetricStore, NotAdded, StoreDown};
pub use trace::TraceContext;
