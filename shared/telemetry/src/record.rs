//! One function for each metric: the only way to record one. A label value outside its
//! [closed set](crate::labels) counts as `other`.

use std::time::Duration;

use metrics::{Label, counter, histogram};

pub use crate::labels::{Decision, Idempotency, JobCount, Operation, PlannerStatus, ProviderOutcome};
use crate::{
    labels::FlushOutcome,
    names::{self, Metric},
};

fn count(metric: &'static Metric, values: &[&str], by: u64) {
    counter!(metric.name, labels(metric, values)).increment(by);
}

fn observe(metric: &'static Metric, values: &[&str], duration: Duration) {
    histogram!(metric.name, labels(metric, values)).record(duration);
}

fn labels(metric: &Metric, values: &[&str]) -> Vec<Label> {
    metric.labels.iter().zip(values).map(|(label, value)| Label::new(label.name, (*value).to_owned())).collect()
}

/// Counts a plan request and its duration.
pub fn record_ai_planner(status: PlannerStatus, duration: Duration) {
    count(&names::PLANNER_REQUESTS, &[status.into()], 1);
    observe(&names::PLANNER_DURATION, &[status.into()], duration);
}

/// Counts the tokens that the model reported.
pub fn record_ai_tokens(input: u64, output: u64) {
    count(&names::PLANNER_TOKENS, &["input"], input);
    count(&names::PLANNER_TOKENS, &["output"], output);
}

/// Counts a plan request refused because the token budget was spent.
pub fn record_budget_rejection() {
    count(&names::BUDGET_REJECTIONS, &[], 1);
}

/// Counts a job that reached a status.
pub fn record_job(provider: &str, action: &str, status: JobCount) {
    count(&names::JOBS, &[provider, action, status.into()], 1);
}

/// Records the time from a job's first claim to its end.
pub fn record_job_duration(provider: &str, action: &str, duration: Duration) {
    observe(&names::JOB_DURATION, &[provider, action], duration);
}

/// Records the time that a job waited for its first claim.
pub fn record_queue_wait(provider: &str, action: &str, wait: Duration) {
    observe(&names::JOB_QUEUE_WAIT, &[provider, action], wait);
}

/// Counts an idempotency key.
pub fn record_idempotency(outcome: Idempotency) {
    count(&names::IDEMPOTENCY, &[outcome.into()], 1);
}

/// Counts a check whether an action may run.
pub fn record_permission_check(decision: Decision) {
    count(&names::PERMISSION_CHECKS, &[decision.into()], 1);
}

/// Counts a decision of the rollout gate.
pub fn record_rollout_decision(provider: &str, decision: Decision) {
    count(&names::ROLLOUT_DECISIONS, &[provider, decision.into()], 1);
}

/// Counts a queue message that was dropped because it could not be read.
pub fn record_unreadable_message() {
    count(&names::UNREADABLE_MESSAGES, &[], 1);
}

/// Counts a request to a provider.
pub fn record_provider_request(provider: &str, operation: Operation, outcome: ProviderOutcome) {
    count(&names::PROVIDER_REQUESTS, &[provider, operation.into(), outcome.into()], 1);
}

/// Counts an answered HTTP request and its duration. The route is the pattern that the router matched.
pub fn record_http_request(route: &str, method: &str, status: &str, duration: Duration) {
    count(&names::HTTP_REQUESTS, &[route, method, status], 1);
    observe(&names::HTTP_REQUEST_DURATION, &[route, method, status], duration);
}

/// Counts a flush to the shared store that failed.
pub(crate) fn record_flush(outcome: FlushOutcome) {
    count(&names::FLUSHES, &[outcome.into()], 1);
}
