//! The metrics' names, help texts, labels and buckets, in one place.

use strum::{IntoStaticStr, VariantNames as _};

use crate::{
    labels::{
        ApprovalOutcome, AuthFailure, Decision, FlushOutcome, Idempotency, JobCount, METHODS, Operation, PlannerStatus,
        ProviderOutcome, STATUSES, WebhookOutcome,
    },
    vocabulary::Vocabulary,
};

/// A metric as `/metrics` describes it.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its HELP text.
    pub help: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Its labels, in the order in which their values are stored.
    pub labels: &'static [Label],
}

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    /// Only rises; summed over all instances.
    Counter,
    /// Rises and falls; read at scrape time.
    Gauge,
    /// Counts observations in buckets with these upper bounds, in seconds; summed over all instances.
    Histogram(&'static [f64]),
}

/// A label of a metric.
#[derive(Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its closed set of values, with those that only the running program knows.
    pub(crate) values: fn(&Vocabulary) -> &[&'static str],
}

pub(crate) const PROVIDER: Label = Label { name: "provider", values: |program| &program.providers };
/// Follows its provider's label.
pub(crate) const ACTION: Label = Label { name: "action", values: |program| &program.actions };
pub(crate) const ROUTE: Label = Label { name: "route", values: |program| &program.routes };
const METHOD: Label = Label { name: "method", values: |_| METHODS };
const STATUS: Label = Label { name: "status", values: |_| STATUSES };
const PLANNER_STATUS: Label = Label { name: "status", values: |_| PlannerStatus::VARIANTS };
const DIRECTION: Label = Label { name: "direction", values: |_| &["input", "output"] };
const JOB_STATUS: Label = Label { name: "status", values: |_| JobCount::VARIANTS };
const APPROVAL_OUTCOME: Label = Label { name: "outcome", values: |_| ApprovalOutcome::VARIANTS };
const KEY_OUTCOME: Label = Label { name: "outcome", values: |_| Idempotency::VARIANTS };
const DECISION: Label = Label { name: "decision", values: |_| Decision::VARIANTS };
const AUTH_FAILURE: Label = Label { name: "reason", values: |_| AuthFailure::VARIANTS };
const OPERATION: Label = Label { name: "operation", values: |_| Operation::VARIANTS };
const PROVIDER_OUTCOME: Label = Label { name: "outcome", values: |_| ProviderOutcome::VARIANTS };
const WEBHOOK_OUTCOME: Label = Label { name: "outcome", values: |_| WebhookOutcome::VARIANTS };
const FLUSH_OUTCOME: Label = Label { name: "outcome", values: |_| FlushOutcome::VARIANTS };

macro_rules! metrics {
    ($($constant:ident = $kind:expr, $name:literal [$($label:expr),*]: $help:literal;)+) => {
        $(
            #[doc = $help]
            pub static $constant: Metric = Metric { name: $name, help: $help, kind: $kind, labels: &[$($label),*] };
        )+

        /// Every metric.
        pub static ALL: &[&Metric] = &[$(&$constant),+];
    };
}

metrics! {
    PLANNER_REQUESTS = Kind::Counter, "ai_planner_requests_total" [PLANNER_STATUS]: "Plan requests, by how they ended.";
    PLANNER_DURATION = Kind::Histogram(BUCKETS), "ai_planner_duration_seconds" [PLANNER_STATUS]: "Time from a prompt to its plan, in seconds.";
    PLANNER_TOKENS = Kind::Counter, "ai_planner_tokens_total" [DIRECTION]: "Tokens as the model counted them.";
    BUDGET_REJECTIONS = Kind::Counter, "ai_token_budget_rejections_total" []: "Plan requests refused because the token budget was spent.";
    JOBS = Kind::Counter, "ai_jobs_total" [PROVIDER, ACTION, JOB_STATUS]: "Jobs that reached a status.";
    JOB_DURATION = Kind::Histogram(BUCKETS), "ai_job_duration_seconds" [PROVIDER, ACTION]: "Time from a job's first claim to its end, in seconds.";
    JOB_QUEUE_WAIT = Kind::Histogram(BUCKETS), "ai_job_queue_wait_seconds" [PROVIDER, ACTION]: "Time from when a job was free to go to its first claim, in seconds.";
    APPROVALS = Kind::Counter, "ai_approvals_total" [APPROVAL_OUTCOME]: "Held jobs, by what became of them.";
    HELD_JOBS = Kind::Gauge, "ai_held_jobs" []: "Jobs that wait for a person's approval, counted to 1000.";
    HELD_OLDEST_AGE = Kind::Gauge, "ai_held_oldest_age_seconds" []: "For how long the oldest of them has waited, in seconds.";
    HELD_EXPIRES = Kind::Gauge, "ai_held_expires_seconds" []: "Time until the first of them expires, in seconds; no sample if there is none.";
    QUEUE_DEPTH = Kind::Gauge, "ai_queue_depth" []: "Messages waiting in the queue.";
    QUEUE_OLDEST_AGE = Kind::Gauge, "ai_queue_oldest_age_seconds" []: "Age of the oldest job that no worker has claimed, in seconds.";
    UNREADABLE_MESSAGES = Kind::Counter, "ai_queue_unreadable_messages_total" []: "Queue messages dropped because they could not be read.";
    IDEMPOTENCY = Kind::Counter, "ai_idempotency_total" [KEY_OUTCOME]: "Idempotency keys, by how they were resolved.";
    AUTH_FAILURES = Kind::Counter, "ai_auth_failures_total" [AUTH_FAILURE]: "Requests refused for their credential or its scopes, by the reason.";
    PERMISSION_CHECKS = Kind::Counter, "ai_permission_checks_total" [DECISION]: "Checks whether an action may run.";
    ROLLOUT_DECISIONS = Kind::Counter, "ai_rollout_decisions_total" [PROVIDER, DECISION]: "Decisions of the rollout gate.";
    PROVIDER_REQUESTS = Kind::Counter, "ai_provider_requests_total" [PROVIDER, OPERATION, PROVIDER_OUTCOME]: "Requests to providers, by how they ended.";
    WEBHOOK_DELIVERIES = Kind::Counter, "ai_webhook_deliveries_total" [WEBHOOK_OUTCOME]: "Attempts to deliver a webhook, by how they ended.";
    HTTP_REQUESTS = Kind::Counter, "ai_http_requests_total" [ROUTE, METHOD, STATUS]: "HTTP requests answered.";
    HTTP_REQUEST_DURATION = Kind::Histogram(ANSWER_BUCKETS), "ai_http_request_duration_seconds" [ROUTE, METHOD, STATUS]: "Time to answer an HTTP request, in seconds.";
    FLUSHES = Kind::Counter, "ai_metrics_flush_total" [FLUSH_OUTCOME]: "Flushes of counts to the shared store, by how they ended. What was not confirmed goes with the next one.";
    STORE_UP = Kind::Gauge, "ai_metrics_store_up" []: "Whether the store of the counts answers. While it is down, counters and histograms are left out.";
}

/// From a poll to a job that waited for a day.
pub const BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 300.0, 3600.0, 86_400.0,
];

/// An HTTP API on AWS ends a request after 30 s, so no answer takes much longer than the last bound.
pub const ANSWER_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0];

/// A bucket's upper bound as the value of its label `le`: `0.5`, `10.0`; `+Inf` for the last bucket, which has none.
pub(crate) fn le(bound: Option<&f64>) -> String {
    bound.map_or("+Inf".to_owned(), |bound| format!("{bound:?}"))
}
