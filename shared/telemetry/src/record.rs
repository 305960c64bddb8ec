//! One function a metric. Labels are closed enums of this module, or names that the caller takes
//! from a closed set of its own (`&'static str`): no workspace, actor, address, path or id.

use std::time::Duration;

use metrics::{counter, histogram};

use crate::names;

macro_rules! labels {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
            pub enum $name { $($(#[$vdoc])* #[doc = concat!("`", $text, "`")] $variant),+ }

            impl $name {
                /// Every value.
                pub const ALL: &'static [Self] = &[$(Self::$variant),+];

                /// The label's text.
                pub const fn as_str(self) -> &'static str {
                    match self { $(Self::$variant => $text),+ }
                }
            }
        )+
    };
}

labels! {
    /// How planning ended.
    PlannerStatus { Ok = "ok", NoAction = "no_action", Questions = "questions", Refused = "refused", Invalid = "invalid", Budget = "budget", Error = "error" }
    /// What a job came to.
    JobCount { Enqueued = "enqueued", Completed = "completed", Error = "error", Unknown = "unknown" }
    /// What an idempotency key met.
    Idempotency { New = "new", Replayed = "replayed", Conflict = "conflict" }
    /// Yes or no.
    Decision { Allow = "allow", Deny = "deny" }
    /// What was asked of a provider.
    Operation { Prepare = "prepare", Send = "send" }
    /// What came of it.
    ProviderOutcome {
        Ok = "ok", Rejected = "rejected", Unauthorized = "unauthorized", Forbidden = "forbidden",
        RateLimited = "rate_limited", NotReached = "not_reached", DraftGone = "draft_gone", MaybeSent = "maybe_sent",
    }
}

/// A plan was asked for and ended so, after this long.
pub fn record_ai_planner(status: PlannerStatus, duration: Duration) {
    counter!(names::PLANNER_REQUESTS, "status" => status.as_str()).increment(1);
    histogram!(names::PLANNER_DURATION, "status" => status.as_str()).record(duration.as_secs_f64());
}

/// The model counted these tokens.
pub fn record_ai_tokens(input: u64, output: u64) {
    counter!(names::PLANNER_TOKENS, "direction" => "input").increment(input);
    counter!(names::PLANNER_TOKENS, "direction" => "output").increment(output);
}

/// A plan was refused for want of budget.
pub fn record_budget_rejection() {
    counter!(names::BUDGET_REJECTIONS).increment(1);
}

/// A job came to a status.
pub fn record_job(provider: &'static str, action: &'static str, status: JobCount) {
    counter!(names::JOBS, "provider" => provider, "action" => action, "status" => status.as_str()).increment(1);
}

/// A job ended this long after its first claim.
pub fn record_job_duration(provider: &'static str, action: &'static str, duration: Duration) {
    histogram!(names::JOB_DURATION, "provider" => provider, "action" => action).record(duration.as_secs_f64());
}

/// A job waited this long for its first claim.
pub fn record_queue_wait(provider: &'static str, action: &'static str, wait: Duration) {
    histogram!(names::JOB_QUEUE_WAIT, "provider" => provider, "action" => action).record(wait.as_secs_f64());
}

/// An idempotency key met this.
pub fn record_idempotency(outcome: Idempotency) {
    counter!(names::IDEMPOTENCY, "outcome" => outcome.as_str()).increment(1);
}

/// It was asked whether an action may run.
pub fn record_permission_check(decision: Decision) {
    counter!(names::PERMISSION_CHECKS, "decision" => decision.as_str()).increment(1);
}

/// The rollout gate decided.
pub fn record_rollout_decision(provider: &'static str, decision: Decision) {
    counter!(names::ROLLOUT_DECISIONS, "provider" => provider, "decision" => decision.as_str()).increment(1);
}

/// A message of the queue was not one of ours, and was dropped.
pub fn record_unreadable_message() {
    counter!(names::UNREADABLE_MESSAGES).increment(1);
}

/// A provider was asked for something.
pub fn record_provider_request(provider: &'static str, operation: Operation, outcome: ProviderOutcome) {
    counter!(
        names::PROVIDER_REQUESTS,
        "provider" => provider, "operation" => operation.as_str(), "outcome" => outcome.as_str()
    )
    .increment(1);
}

/// An HTTP request was answered. `route` is a pattern of the router's table, or `other`.
pub fn record_http_request(route: &'static str, method: &'static str, status: u16, duration: Duration) {
    let status = status.to_string();
    counter!(names::HTTP_REQUESTS, "route" => route, "method" => method, "status" => status.clone()).increment(1);
    histogram!(names::HTTP_REQUEST_DURATION, "route" => route, "method" => method, "status" => status)
        .record(duration.as_secs_f64());
}

/// Sets the gauges that are read at scrape time.
pub fn set_queue(depth: u64, oldest_age: Duration) {
    #[expect(clippy::cast_precision_loss, reason = "a queue of 2^53 messages does not exist")]
    metrics::gauge!(names::QUEUE_DEPTH).set(depth as f64);
    metrics::gauge!(names::QUEUE_OLDEST_AGE).set(oldest_age.as_secs_f64());
}

/// Every series whose labels are known from the start, at zero, so that a rate exists from the first scrape.
pub(crate) fn touch_all() {
    for status in PlannerStatus::ALL {
        counter!(names::PLANNER_REQUESTS, "status" => status.as_str()).absolute(0);
    }
    record_ai_tokens(0, 0);
    counter!(names::BUDGET_REJECTIONS).absolute(0);
    counter!(names::UNREADABLE_MESSAGES).absolute(0);
    for outcome in Idempotency::ALL {
        counter!(names::IDEMPOTENCY, "outcome" => outcome.as_str()).absolute(0);
    }
    for decision in Decision::ALL {
        counter!(names::PERMISSION_CHECKS, "decision" => decision.as_str()).absolute(0);
    }
    set_queue(0, Duration::ZERO);
}
