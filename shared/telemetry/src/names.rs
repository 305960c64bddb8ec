//! The metrics' names and help texts, in one place.

/// A metric with what `/metrics` says of it.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its HELP text.
    pub help: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts observations in buckets.
    Histogram,
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $constant:ident = $kind:ident $name:literal: $help:literal;)+) => {
        $($(#[$doc])* #[doc = $help] pub const $constant: &str = $name;)+

        /// Every metric.
        pub const ALL: &[Metric] = &[$(Metric { name: $name, help: $help, kind: Kind::$kind }),+];
    };
}

metrics! {
    PLANNER_REQUESTS = Counter "ai_planner_requests_total": "Plans asked for, by how it ended.";
    PLANNER_DURATION = Histogram "ai_planner_duration_seconds": "Time from a prompt to its plan, in seconds.";
    PLANNER_TOKENS = Counter "ai_planner_tokens_total": "Tokens of the model, by its own count.";
    BUDGET_REJECTIONS = Counter "ai_token_budget_rejections_total": "Plans refused because the token budget was spent.";
    JOBS = Counter "ai_jobs_total": "Jobs that came to a status.";
    JOB_DURATION = Histogram "ai_job_duration_seconds": "Time from a job's first claim to its end, in seconds.";
    JOB_QUEUE_WAIT = Histogram "ai_job_queue_wait_seconds": "Time from acceptance to the first claim, in seconds.";
    QUEUE_DEPTH = Gauge "ai_queue_depth": "Messages that wait in the queue.";
    QUEUE_OLDEST_AGE = Gauge "ai_queue_oldest_age_seconds": "Age of the oldest job that no worker has claimed, in seconds.";
    UNREADABLE_MESSAGES = Counter "ai_queue_unreadable_messages_total": "Messages that were not of ours, and were dropped.";
    IDEMPOTENCY = Counter "ai_idempotency_total": "Idempotency keys seen, by what they met.";
    PERMISSION_CHECKS = Counter "ai_permission_checks_total": "Checks whether an action may run.";
    ROLLOUT_DECISIONS = Counter "ai_rollout_decisions_total": "Decisions of the rollout gate.";
    PROVIDER_REQUESTS = Counter "ai_provider_requests_total": "Requests to providers, by how they ended.";
    HTTP_REQUESTS = Counter "ai_http_requests_total": "HTTP requests answered.";
    HTTP_REQUEST_DURATION = Histogram "ai_http_request_duration_seconds": "Time to answer an HTTP request, in seconds.";
}

/// The upper bounds of the histograms' buckets, in seconds: from a poll to a job that waited.
pub const BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 300.0, 3600.0, 86_400.0,
];
