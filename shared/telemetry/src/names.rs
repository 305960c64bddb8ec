//! The metrics' names, help texts, labels and buckets, in one place.

/// A metric with what `/metrics` says of it.
#[derive(Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its HELP text.
    pub help: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// The names of its labels, in the order in which their values are kept.
    pub labels: &'static [&'static str],
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only rises; summed over all instances.
    Counter,
    /// Rises and falls; read when somebody asks.
    Gauge,
    /// Counts observations in buckets of these upper bounds, in seconds; summed over all instances.
    Histogram(&'static [f64]),
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $constant:ident = $kind:expr, $name:literal [$($label:literal),*]: $help:literal;)+) => {
        $($(#[$doc])* #[doc = $help] pub const $constant: &str = $name;)+

        /// Every metric.
        pub static ALL: &[Metric] =
            &[$(Metric { name: $name, help: $help, kind: $kind, labels: &[$($label),*] }),+];
    };
}

metrics! {
    PLANNER_REQUESTS = Kind::Counter, "ai_planner_requests_total" ["status"]: "Plans asked for, by how it ended.";
    PLANNER_DURATION = Kind::Histogram(BUCKETS), "ai_planner_duration_seconds" ["status"]: "Time from a prompt to its plan, in seconds.";
    PLANNER_TOKENS = Kind::Counter, "ai_planner_tokens_total" ["direction"]: "Tokens of the model, by its own count.";
    BUDGET_REJECTIONS = Kind::Counter, "ai_token_budget_rejections_total" []: "Plans refused because the token budget was spent.";
    JOBS = Kind::Counter, "ai_jobs_total" ["provider", "action", "status"]: "Jobs that came to a status.";
    JOB_DURATION = Kind::Histogram(BUCKETS), "ai_job_duration_seconds" ["provider", "action"]: "Time from a job's first claim to its end, in seconds.";
    JOB_QUEUE_WAIT = Kind::Histogram(BUCKETS), "ai_job_queue_wait_seconds" ["provider", "action"]: "Time from acceptance, or a retry, to the first claim, in seconds.";
    QUEUE_DEPTH = Kind::Gauge, "ai_queue_depth" []: "Messages that wait in the queue.";
    QUEUE_OLDEST_AGE = Kind::Gauge, "ai_queue_oldest_age_seconds" []: "Age of the oldest job that no worker has claimed, in seconds.";
    UNREADABLE_MESSAGES = Kind::Counter, "ai_queue_unreadable_messages_total" []: "Messages that were not of ours, and were dropped.";
    IDEMPOTENCY = Kind::Counter, "ai_idempotency_total" ["outcome"]: "Idempotency keys seen, by what they met.";
    PERMISSION_CHECKS = Kind::Counter, "ai_permission_checks_total" ["decision"]: "Checks whether an action may run.";
    ROLLOUT_DECISIONS = Kind::Counter, "ai_rollout_decisions_total" ["provider", "decision"]: "Decisions of the rollout gate.";
    PROVIDER_REQUESTS = Kind::Counter, "ai_provider_requests_total" ["provider", "operation", "outcome"]: "Requests to providers, by how they ended.";
    HTTP_REQUESTS = Kind::Counter, "ai_http_requests_total" ["route", "method", "status"]: "HTTP requests answered.";
    HTTP_REQUEST_DURATION = Kind::Histogram(ANSWER_BUCKETS), "ai_http_request_duration_seconds" ["route", "method", "status"]: "Time to answer an HTTP request, in seconds.";
    FLUSHES = Kind::Counter, "ai_metrics_flush_total" ["outcome"]: "Flushes of counts to the shared store; what a lost one held is not counted.";
    STORE_UP = Kind::Gauge, "ai_metrics_store_up" []: "Whether the store of all counts answers; while it does not, they are left out.";
}

/// From a poll to a job that waited for a day.
pub const BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 300.0, 3600.0, 86_400.0,
];

/// No answer takes longer than the longest of these: an HTTP API on AWS waits 30 s.
pub const ANSWER_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0];

impl Metric {
    /// The metric of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|metric| metric.name == name)
    }

    /// The upper bounds of its buckets; none but for a histogram.
    pub const fn bounds(&self) -> &'static [f64] {
        match self.kind {
            Kind::Histogram(bounds) => bounds,
            Kind::Counter | Kind::Gauge => &[],
        }
    }
}

/// A bucket's upper bound as the label `le` has it, in OpenMetrics' canonical form: `0.5`, `10.0`.
pub(crate) fn le(bound: f64) -> String {
    format!("{bound:?}")
}
