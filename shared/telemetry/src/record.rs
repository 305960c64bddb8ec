//! One function a metric: the only way to record one. Labels are [closed sets](crate::labels).

use std::time::Duration;

use metrics::{counter, histogram};

pub use crate::labels::{
    Action, Decision, Idempotency, JobCount, Method, Operation, PlannerStatus, Provider, ProviderOutcome, Route, Status,
};
use crate::{
    labels::{Direction, FlushOutcome, Vocabulary},
    names,
};

/// A plan was asked for and ended so, after this long.
pub fn record_ai_planner(status: PlannerStatus, duration: Duration) {
    planner(status).increment(1);
    planner_duration(status).record(duration.as_secs_f64());
}

fn planner(status: PlannerStatus) -> metrics::Counter {
    counter!(names::PLANNER_REQUESTS, "status" => status.as_str())
}

fn planner_duration(status: PlannerStatus) -> metrics::Histogram {
    histogram!(names::PLANNER_DURATION, "status" => status.as_str())
}

/// The model counted these tokens.
pub fn record_ai_tokens(input: u64, output: u64) {
    tokens(Direction::Input).increment(input);
    tokens(Direction::Output).increment(output);
}

fn tokens(direction: Direction) -> metrics::Counter {
    counter!(names::PLANNER_TOKENS, "direction" => direction.as_str())
}

/// A plan was refused for want of budget.
pub fn record_budget_rejection() {
    counter!(names::BUDGET_REJECTIONS).increment(1);
}

/// A job came to a status.
pub fn record_job(provider: Provider, action: Action, status: JobCount) {
    job(provider, action, status).increment(1);
}

fn job(provider: Provider, action: Action, status: JobCount) -> metrics::Counter {
    counter!(
        names::JOBS,
        "provider" => provider.as_str(), "action" => action.as_str(), "status" => status.as_str()
    )
}

/// A job ended this long after its first claim.
pub fn record_job_duration(provider: Provider, action: Action, duration: Duration) {
    job_time(names::JOB_DURATION, provider, action).record(duration.as_secs_f64());
}

/// A job waited this long for its first claim.
pub fn record_queue_wait(provider: Provider, action: Action, wait: Duration) {
    job_time(names::JOB_QUEUE_WAIT, provider, action).record(wait.as_secs_f64());
}

fn job_time(name: &'static str, provider: Provider, action: Action) -> metrics::Histogram {
    histogram!(name, "provider" => provider.as_str(), "action" => action.as_str())
}

/// An idempotency key met this.
pub fn record_idempotency(outcome: Idempotency) {
    idempotency(outcome).increment(1);
}

fn idempotency(outcome: Idempotency) -> metrics::Counter {
    counter!(names::IDEMPOTENCY, "outcome" => outcome.as_str())
}

/// It was asked whether an action may run.
pub fn record_permission_check(decision: Decision) {
    permission_check(decision).increment(1);
}

fn permission_check(decision: Decision) -> metrics::Counter {
    counter!(names::PERMISSION_CHECKS, "decision" => decision.as_str())
}

/// The rollout gate decided.
pub fn record_rollout_decision(provider: Provider, decision: Decision) {
    rollout_decision(provider, decision).increment(1);
}

fn rollout_decision(provider: Provider, decision: Decision) -> metrics::Counter {
    counter!(names::ROLLOUT_DECISIONS, "provider" => provider.as_str(), "decision" => decision.as_str())
}

/// A message of the queue was not one of ours, and was dropped.
pub fn record_unreadable_message() {
    counter!(names::UNREADABLE_MESSAGES).increment(1);
}

/// A provider was asked for something.
pub fn record_provider_request(provider: Provider, operation: Operation, outcome: ProviderOutcome) {
    provider_request(provider, operation, outcome).increment(1);
}

fn provider_request(provider: Provider, operation: Operation, outcome: ProviderOutcome) -> metrics::Counter {
    counter!(
        names::PROVIDER_REQUESTS,
        "provider" => provider.as_str(), "operation" => operation.as_str(), "outcome" => outcome.as_str()
    )
}

/// An HTTP request was answered.
pub fn record_http_request(route: Route, method: Method, status: Status, duration: Duration) {
    let labels = [("route", route.as_str()), ("method", method.as_str()), ("status", status.as_str())];
    counter!(names::HTTP_REQUESTS, &labels).increment(1);
    histogram!(names::HTTP_REQUEST_DURATION, &labels).record(duration.as_secs_f64());
}

/// A flush to the shared store did not go well.
pub(crate) fn record_flush(outcome: FlushOutcome) {
    flush(outcome).increment(1);
}

fn flush(outcome: FlushOutcome) -> metrics::Counter {
    counter!(names::FLUSHES, "outcome" => outcome.as_str())
}

/// Every series whose labels are known from the start, so that it is there at zero and a rate exists from
/// the first scrape. Of HTTP requests, which statuses a route answers with is known only when it does.
pub(crate) fn touch_all(vocabulary: &Vocabulary) {
    drop(counter!(names::BUDGET_REJECTIONS));
    drop(counter!(names::UNREADABLE_MESSAGES));
    for status in PlannerStatus::ALL {
        drop((planner(*status), planner_duration(*status)));
    }
    for direction in Direction::ALL {
        drop(tokens(*direction));
    }
    for outcome in Idempotency::ALL {
        drop(idempotency(*outcome));
    }
    for outcome in FlushOutcome::ALL {
        drop(flush(*outcome));
    }
    for decision in Decision::ALL {
        drop(permission_check(*decision));
        for provider in Provider::ALL {
            drop(rollout_decision(*provider, *decision));
        }
    }
    for (provider, name) in &vocabulary.actions {
        let action = Action::named(name);
        for status in JobCount::ALL {
            drop(job(*provider, action, *status));
        }
        drop((job_time(names::JOB_DURATION, *provider, action), job_time(names::JOB_QUEUE_WAIT, *provider, action)));
    }
    for provider in Provider::ALL {
        for operation in Operation::ALL {
            for outcome in ProviderOutcome::ALL {
                drop(provider_request(*provider, *operation, *outcome));
            }
        }
    }
}
