//! The names of the steps.

use std::{fmt, str::FromStr};

/// Calls that a worker makes on a job's way, and while it keeps house. A save is named by the state it writes.
pub const WORKER: &[&str] = &[
    "queue.receive",
    "ledger.jobs",
    "ledger.save.claimed",
    "cache.put_jobs",
    "ledger.contents",
    "cache.rollout_percent",
    "call.prepare",
    "ledger.save.prepared",
    "ledger.save.sending",
    "call.send",
    "call.compare",
    "ledger.save.completed",
    "ledger.save.failed",
    "ledger.save.unknown",
    "ledger.save.queued",
    "queue.send",
    "queue.acknowledge",
    "ledger.overdue_jobs",
    "ledger.erase_expired",
];

/// Calls that the API makes when it accepts a job.
pub const API: &[&str] =
    &["cache.rollout_percent", "cache.claim_keys", "ledger.jobs", "ledger.insert_jobs", "cache.put_jobs", "queue.send"];

/// Before a call's effect, or after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Nothing of it was done.
    Before,
    /// It was done, and its answer was not looked at.
    After,
}

/// A step: a call and a side of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The call.
    pub call: String,
    /// The side.
    pub side: Side,
}

/// Both sides of these calls.
pub fn all(calls: &[&str]) -> Vec<Point> {
    let sides = [Side::Before, Side::After];
    calls.iter().flat_map(|call| sides.map(|side| Point { call: (*call).to_owned(), side })).collect()
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Before => "before",
            Side::After => "after",
        };
        write!(f, "{}:{side}", self.call)
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let says = || format!("{text} is no point; --points lists them");
        let (call, side) = text.split_once(':').ok_or_else(says)?;
        let side = match side {
            "before" => Side::Before,
            "after" => Side::After,
            _ => return Err(says()),
        };
        let known = WORKER.contains(&call) || API.contains(&call);
        if known { Ok(Self { call: call.to_owned(), side }) } else { Err(says()) }
    }
}
