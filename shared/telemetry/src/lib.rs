//! Logs and metrics. Stands alone: it knows no other crate of the workspace.
//!
//! [`names`] holds every metric's name; the functions of [`record`] are the only way to record one.

pub mod logs;
pub mod names;
pub mod record;
mod recorder;

pub use recorder::Metrics;
