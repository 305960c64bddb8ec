//! The metrics' names, help texts, labels and buckets, in one place.

use strum::VariantNames as _;

use crate::labels::{
    Decision, FlushOutcome, Idempotency, JobCount, METHODS, Operation, PlannerStatus, ProviderOutcome, STATUSES,
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
#[derive(Debug, Clone, Copy, PartialEq)]
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
    pub(crate) values: Values,
}

/// Where a label's values come from.
#[derive(Debug)]
pub(crate) enum Values {
    /// This list.
    Closed(&'static [&'static str]),
    /// The vocabulary's providers.
    Providers,
    /// The vocabulary's actions. Such a label follows its provider's.
    Actions,
    /// The vocabulary's routes.
    Routes,
}

const fn closed(name: &'static str, values: &'static [&'static str]) -> Label {
    Label { name, values: Values::Closed(values) }
}

const PROVIDER: Label = Label { name: "provider", values: Values::Providers };
const ACTION: Label = Label { name: "action", values: Values::Actions };
const ROUTE: Label = Label { name: "route", values: Values::Routes };
const METHOD: Label = closed("method", METHODS);
const STATUS: Label = closed("status", STATUSES);
const PLANNER_STATUS: Label = closed("status", PlannerStatus::VARIANTS);
const DECISION: Label = closed("decision", Decision::VARIANTS);

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
    PLANNER_TOKENS = Kind::Counter, "ai_planner_tokens_total" [closed("direction", &["input", "output"])]: "Tokens as the model counted them.";
    BUDGET_REJECTIONS = Kind::Counter, "ai_token_budget_rejections_total" []: "Plan requests refused because the token budget was spent.";
    JOBS = Kind::Counter, "ai_jobs_total" [PROVIDER, ACTION, closed("status", JobCount::VARIANTS)]: "Jobs that reached a status.";
    JOB_DURATION = Kind::Histogram(BUCKETS), "ai_job_duration_seconds" [PROVIDER, ACTION]: "Time from a job's first claim to its end, in seconds.";
    JOB_QUEUE_WAIT = Kind::Histogram(BUCKETS), "ai_job_queue_wait_seconds" [PROVIDER, ACTION]: "Time from acceptance, or a retry, to the first claim, in seconds.";
    QUEUE_DEPTH = Kind::Gauge, "ai_queue_depth" []: "Messages waiting in the queue.";
    QUEUE_OLDEST_AGE = Kind::Gauge, "ai_queue_oldest_age_seconds" []: "Age of the oldest job that no worker has claimed, in seconds.";
    UNREADABLE_MESSAGES = Kind::Counter, "ai_queue_unreadable_messages_total" []: "Queue messages dropped because they could not be read.";
    IDEMPOTENCY = Kind::Counter, "ai_idempotency_total" [closed("outcome", Idempotency::VARIANTS)]: "Idempotency keys, by how they were resolved.";
    PERMISSION_CHECKS = Kind::Counter, "ai_permission_checks_total" [DECISION]: "Checks whether an action may run.";
    ROLLOUT_DECISIONS = Kind::Counter, "ai_rollout_decisions_total" [PROVIDER, DECISION]: "Decisions of the rollout gate.";
    PROVIDER_REQUESTS = Kind::Counter, "ai_provider_requests_total" [PROVIDER, closed("operation", Operation::VARIANTS), closed("outcome", ProviderOutcome::VARIANTS)]: "Requests to providers, by how they ended.";
    HTTP_REQUESTS = Kind::Counter, "ai_http_requests_total" [ROUTE, METHOD, STATUS]: "HTTP requests answered.";
    HTTP_REQUEST_DURATION = Kind::Histogram(ANSWER_BUCKETS), "ai_http_request_duration_seconds" [ROUTE, METHOD, STATUS]: "Time to answer an HTTP request, in seconds.";
    FLUSHES = Kind::Counter, "ai_metrics_flush_total" [closed("outcome", FlushOutcome::VARIANTS)]: "Flushes of counts to the shared store. The counts of a lost flush are missing.";
    STORE_UP = Kind::Gauge, "ai_metrics_store_up" []: "Whether the store of the counts answers. While it is down, counters and histograms are left out.";
}

/// From a poll to a job that waited for a day.
pub const BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 300.0, 3600.0, 86_400.0,
];

/// An HTTP API on AWS ends a request after 30 s, so no answer takes much longer than the last bound.
pub const ANSWER_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0];

impl Metric {
    /// The upper bounds of a histogram's buckets; empty for any other metric.
    pub const fn bounds(&self) -> &'static [f64] {
        match self.kind {
            Kind::Histogram(bounds) => bounds,
            Kind::Counter | Kind::Gauge => &[],
        }
    }

    /// How many counts a series has: one of a counter; of a histogram one for each bucket, `+Inf` and the sum.
    pub(crate) const fn counts(&self) -> usize {
        match self.kind {
            Kind::Counter => 1,
            Kind::Gauge => 0,
            Kind::Histogram(bounds) => bounds.len() + 2,
        }
    }
}

/// A bucket's upper bound as the value of its label `le`: `0.5`, `10.0`.
pub(crate) fn le(bound: f64) -> String {
    format!("{bound:?}")
}
