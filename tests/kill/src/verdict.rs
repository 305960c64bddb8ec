//! What came out, held against what must always hold.

use std::{collections::BTreeMap, fmt, sync::PoisonError, time::Duration};

use crate::{
    client::{Seen, Told, is_rejected, kind},
    world::{QueueKind, Scope, World},
};

/// A line of the table.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub queue: QueueKind,
    pub scope: Scope,
    pub faults: Faults,
    pub jobs: usize,
    pub completed: usize,
    pub error: usize,
    pub unknown: usize,
    pub delivered: usize,
    pub doubles: usize,
    pub lost: usize,
    pub took: Duration,
    /// The errors' codes, counted.
    pub codes: BTreeMap<String, usize>,
    /// What must not be.
    pub violations: Vec<String>,
}

/// What was done to a deployment.
#[derive(Debug, Default, Clone, Copy)]
pub struct Faults {
    /// Points at which something happened.
    pub points: usize,
    /// Processes that aborted there.
    pub aborted: usize,
    /// Processes that were killed from outside.
    pub killed: usize,
    /// Processes that were stopped for longer than their lease.
    pub stopped: usize,
    /// FLUSHALL, pauses and restarts of Redis.
    pub redis: usize,
}

/// Judges a deployment in which nothing goes on any more.
pub fn judge(world: &World, told: &Told, seen: &[Seen], faults: Faults, took: Duration) -> Row {
    let mut violations = std::mem::take(&mut *told.violations.lock().unwrap_or_else(PoisonError::into_inner));
    let accepted = told.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut delivered: BTreeMap<String, usize> = BTreeMap::new();
    for delivery in world.fakes.deliveries() {
        let key = delivery.key.trim_start_matches("job:").to_owned();
        *delivered.entry(key).or_default() += 1;
    }
    let mut row = Row {
        name: world.name.clone(),
        queue: world.queue,
        scope: world.scope,
        faults,
        jobs: accepted.len(),
        completed: 0,
        error: 0,
        unknown: 0,
        delivered: delivered.values().sum(),
        doubles: delivered.values().filter(|count| **count > 1).count(),
        lost: 0,
        took,
        codes: BTreeMap::new(),
        violations: Vec::new(),
    };
    for (key, count) in delivered.iter().filter(|(_, count)| **count > 1) {
        violations.push(format!("{key}: delivered {count} times"));
    }
    for key in delivered.keys().filter(|key| !accepted.contains_key(*key)) {
        violations.push(format!("{key}: delivered and not accepted"));
    }
    for job in seen {
        let count = delivered.get(&job.key).copied().unwrap_or_default();
        if accepted.get(&job.key).is_none_or(|ids| !ids.contains(&job.job_id)) {
            violations.push(format!("{}: a job that nobody was told of", job.key));
        }
        let kind = kind(&job.key);
        let is_rejected = kind == 'h' && is_rejected(&job.key);
        if is_rejected && (count > 0 || job.code.as_deref() != Some("approval-rejected")) {
            violations.push(format!("{}: rejected, and {:?}, delivered {count} times", job.key, job.code));
        }
        let send_at = told.later.lock().unwrap_or_else(PoisonError::into_inner).get(&job.key).copied();
        if send_at.is_some_and(|then| job.finished_at.is_some_and(|ended| ended < then)) {
            violations.push(format!("{}: ended before its time", job.key));
        }
        if kind == 'd' && count > 0 {
            violations.push(format!("{}: delivered, and was to end with its draft", job.key));
        }
        match (job.status.as_str(), job.code.as_deref()) {
            ("completed", None) => {
                row.completed += 1;
                if count == 0 && kind != 'd' {
                    violations.push(format!("{}: completed and not delivered", job.key));
                }
            }
            ("error", Some("outcome-unknown")) => {
                row.unknown += 1;
                if world.scope == Scope::Draft || kind == 'e' {
                    violations.push(format!("{}: unknown, though the provider can tell", job.key));
                }
            }
            ("error", Some(code)) => {
                row.error += 1;
                *row.codes.entry(code.to_owned()).or_default() += 1;
                if count > 0 {
                    violations.push(format!("{}: error and delivered", job.key));
                }
            }
            (status, _) => {
                row.lost += 1;
                violations.push(format!("{}: not ended: {status} after {} attempts", job.key, job.attempts));
            }
        }
    }
    for (key, ids) in &accepted {
        if ids.len() != 1 {
            violations.push(format!("{key}: {} jobs", ids.len()));
        }
        match seen.iter().filter(|job| job.key == *key).count() {
            1 => {}
            0 => {
                row.lost += 1;
                violations.push(format!("{key}: accepted and gone"));
            }
            more => violations.push(format!("{key}: {more} records")),
        }
    }
    row.violations = violations;
    row
}

/// The table's head.
pub const HEAD: &str = "\
| round | queue | scope | points | aborted | kill -9 | stopped | Redis faults | jobs | completed | error | unknown | delivered | doubles | lost | s |
| --- | --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = match self.queue {
            QueueKind::Sqs => "SQS",
            QueueKind::Redis => "Redis list",
        };
        let scope = match self.scope {
            Scope::Send => "send",
            Scope::Draft => "draft",
        };
        let Faults { points, aborted, killed, stopped, redis } = self.faults;
        write!(f, "| {} | {queue} | {scope} | {points} | {aborted} | {killed} | {stopped} | {redis} ", self.name)?;
        write!(f, "| {} | {} | {} | {} ", self.jobs, self.completed, self.error, self.unknown)?;
        write!(f, "| {} | {} | {} | {:.0} |", self.delivered, self.doubles, self.lost, self.took.as_secs_f64())
    }
}
