//! What metrics cost the CPU, with every series that there can be: a flush at the end of a request, and a scrape.
//!
//! `cargo run --release -p adapters --example metrics_cost` (needs redis-server; Linux, for its count of CPU time)

use std::{future::ready, sync::Arc, time::Duration};

use adapters::{
    embedded::SystemIds,
    redis::{RedisConnection, RedisMetrics},
};
use contracts::servers::RedisServer;
use telemetry::{
    Format, Gauges, Metrics, Vocabulary,
    record::{
        Action, Decision, Idempotency, JobCount, Method, PlannerStatus, Provider, Route, Status, record_ai_planner,
        record_http_request, record_idempotency, record_job, record_job_duration, record_permission_check,
        record_queue_wait, record_rollout_decision,
    },
};

const TIMES: u32 = 200;
const ACTIONS: [(Provider, &str); 2] = [(Provider::Google, "gmail.send"), (Provider::Microsoft, "outlook.send")];
/// As many as the router's table has, and as long.
const ROUTES: [&str; 24] = [
    "/ai/jobs/{job_id}/a",
    "/ai/jobs/{job_id}/b",
    "/ai/jobs/{job_id}/c",
    "/ai/jobs/{job_id}/d",
    "/ai/jobs/{job_id}/e",
    "/ai/jobs/{job_id}/f",
    "/ai/jobs/{job_id}/g",
    "/ai/jobs/{job_id}/h",
    "/ai/jobs/{job_id}/i",
    "/ai/jobs/{job_id}/j",
    "/ai/jobs/{job_id}/k",
    "/ai/jobs/{job_id}/l",
    "/ai/jobs/{job_id}/m",
    "/ai/jobs/{job_id}/n",
    "/ai/jobs/{job_id}/o",
    "/ai/jobs/{job_id}/p",
    "/ai/jobs/{job_id}/q",
    "/ai/jobs/{job_id}/r",
    "/ai/jobs/{job_id}/s",
    "/ai/jobs/{job_id}/t",
    "/ai/jobs/{job_id}/u",
    "/ai/jobs/{job_id}/v",
    "/ai/jobs/{job_id}/w",
    "/ai/jobs/{job_id}/x",
];

/// The CPU time of this thread, which does everything.
fn cpu() -> Duration {
    // Which makes the kernel count up to now.
    std::thread::yield_now();
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let nanoseconds = stat.split(' ').next().and_then(|time| time.parse().ok());
    Duration::from_nanos(nanoseconds.expect("the first number is nanoseconds"))
}

/// Every route with every status, and refused with every method that it does not have; each in every bucket.
fn record_everything() {
    let durations = [0, 2, 4, 9, 20, 40, 90, 200, 400, 900, 2_000, 4_000, 9_000, 20_000, 40_000];
    for duration in durations.map(Duration::from_millis) {
        for route in ROUTES.into_iter().map(Some).chain([None]).map(Route::matched) {
            for status in Status::ALL {
                record_http_request(route, Method::Post, *status, duration);
            }
            for method in Method::ALL {
                record_http_request(route, *method, Status::MethodNotAllowed, duration);
            }
        }
        for (provider, name) in ACTIONS {
            record_job_duration(provider, Action::named(name), duration);
            record_queue_wait(provider, Action::named(name), duration);
        }
        for status in PlannerStatus::ALL {
            record_ai_planner(*status, duration);
        }
    }
}

/// What an execution of ten actions counts.
fn record_request() {
    for _ in 0..10 {
        record_permission_check(Decision::Allow);
        record_idempotency(Idempotency::New);
        record_job(Provider::Google, Action::named(ACTIONS[0].1), JobCount::Enqueued);
    }
    record_rollout_decision(Provider::Google, Decision::Allow);
    record_http_request(Route::matched(Some(ROUTES[0])), Method::Post, Status::Accepted, Duration::from_millis(7));
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let server = RedisServer::start(false);
    let connection = RedisConnection::new(&server.url()).expect("a URL");
    let store = RedisMetrics::new(Arc::new(connection), "metrics", Arc::new(SystemIds));
    let metrics = Metrics::install(Vocabulary { actions: ACTIONS.to_vec(), routes: ROUTES.to_vec() });
    let metrics = metrics.with_store(Arc::new(store)).patient_for(Duration::from_secs(30));
    record_everything();
    metrics.flush().await;
    let gauges = Gauges { queue_depth: Some(0), queue_oldest_age: Some(Duration::ZERO) };
    let scrape = || metrics.scrape(Format::OpenMetrics, ready(gauges));
    let text = scrape().await;
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    println!("{samples} samples, {} KiB", text.len() / 1024);

    let began = cpu();
    for _ in 0..TIMES {
        record_request();
    }
    println!("recording a request: {:?}", cpu().saturating_sub(began) / TIMES);
    metrics.flush().await;
    let began = cpu();
    for _ in 0..TIMES {
        record_request();
        metrics.flush().await;
    }
    println!("recording and flushing a request: {:?}", cpu().saturating_sub(began) / TIMES);
    let began = cpu();
    for _ in 0..TIMES {
        scrape().await;
    }
    println!("scrape: {:?}", cpu().saturating_sub(began) / TIMES);
}
