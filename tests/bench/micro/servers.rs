//! The parts that ask a real Redis: the scripts beside a bare command of the same client, one after the other and
//! with 32 on their way; and what metrics cost with every series that there can be.

use std::{
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use adapters::{
    redis::{RedisBudget, RedisCache, RedisConnection, RedisMetrics},
    system::SystemIds,
};
use contracts::servers::RedisServer;
use criterion::{Bencher, Criterion};
use domain::Provider;
use engine::ports::{
    BUDGET_WINDOW, Budget as _, CacheHealth as _, RateLimit, RateLimits as _, Reservation, Reserved, RolloutCache as _,
};
use futures_util::future::join_all;
use telemetry::{
    Gauges, Metrics, Vocabulary,
    labels::{Decision, Idempotency, JobCount, PlannerStatus},
    names,
};
use tokio::runtime::{self, Runtime};
use uuid::Uuid;

const ACTIONS: [(&str, &str); 2] = [("google", "gmail.send"), ("microsoft", "outlook.send")];
const STATUSES: [&str; 21] = [
    "200", "202", "204", "302", "303", "307", "400", "401", "403", "404", "405", "409", "413", "415", "422", "429",
    "500", "502", "503", "504", "other",
];

/// Everything here, on a Redis of its own.
pub fn time(criterion: &mut Criterion) {
    let server = RedisServer::start(false);
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let connection = Arc::new(RedisConnection::new(&server.url()).expect("a URL"));
    scripts(criterion, &runtime, &connection);
    metrics(criterion, &runtime, &connection);
}

fn scripts(criterion: &mut Criterion, runtime: &Runtime, connection: &Arc<RedisConnection>) {
    let cache = RedisCache::new(Arc::clone(connection));
    let budget = RedisBudget::new(Arc::clone(connection), "budget", BUDGET_WINDOW);
    let limit = RateLimit {
        key: "aB3dE6gH9jK2".parse().expect("an id"),
        per_key: u32::MAX,
        workspace: "local".parse().expect("an id"),
        per_workspace: u32::MAX,
    };
    let reservations = AtomicU64::new(1);
    let ping = async || cache.ping().await.expect("it answers");
    let set = async || cache.put_rollout_percent(Provider::Google, 50).await.expect("it answers");
    let count = async || assert_eq!(cache.count(&limit).await.expect("it answers"), engine::ports::Decision::Allowed);
    let spend = async || {
        let id = Uuid::from_u128(reservations.fetch_add(1, Ordering::Relaxed).into());
        let (workspace, model) = (limit.workspace.clone(), "a-model".to_owned());
        let reservation = Reservation { id, workspace, model, tokens: 1000, limit: 1 << 50 };
        let reserved = budget.reserve(&reservation).await.expect("it answers");
        assert!(matches!(reserved, Reserved::Granted { .. }), "{reserved:?}");
        budget.settle(id, 900).await.expect("it answers");
    };
    for side_by_side in [1, 32] {
        let name = |what: &str| format!("redis, {side_by_side} at a time: {what}");
        criterion.bench_function(&name("PING"), |bencher| repeat(bencher, runtime, side_by_side, ping));
        criterion.bench_function(&name("SET"), |bencher| repeat(bencher, runtime, side_by_side, set));
        criterion.bench_function(&name("count a request"), |bencher| repeat(bencher, runtime, side_by_side, count));
        criterion.bench_function(&name("reserve and settle"), |bencher| repeat(bencher, runtime, side_by_side, spend));
    }
}

/// Times something of which so many are on their way.
fn repeat(bencher: &mut Bencher<'_>, runtime: &Runtime, side_by_side: u32, work: impl AsyncFn()) {
    bencher.iter_custom(|times| {
        runtime.block_on(async {
            // A fraction of a round would be a whole one.
            let rounds = times.div_ceil(side_by_side.into());
            let began = Instant::now();
            for _ in 0..rounds {
                join_all((0..side_by_side).map(|_| work())).await;
            }
            let number = |times: u64| f64::from(u32::try_from(times).expect("criterion asks for fewer"));
            began.elapsed().mul_f64(number(times) / number(rounds * u64::from(side_by_side)))
        })
    });
}

fn metrics(criterion: &mut Criterion, runtime: &Runtime, connection: &Arc<RedisConnection>) {
    let store = RedisMetrics::new(Arc::clone(connection), "metrics", &SystemIds);
    let routes: Vec<&'static str> = web::routes().into_keys().collect();
    let metrics = Metrics::install(Vocabulary::new(ACTIONS, routes.iter().copied()));
    let metrics = metrics.with_store(Arc::new(store), Duration::from_secs(30));
    record_everything(&routes);
    runtime.block_on(metrics.flush());
    let scrape = async || {
        let gauges = Gauges { queue_depth: Some(0), queue_oldest_age: Some(Duration::ZERO), ..Gauges::default() };
        metrics.scrape(ready(gauges)).await
    };
    let text = runtime.block_on(scrape());
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    println!("a scrape has {samples} samples, {} KiB", text.len() / 1024);

    criterion.bench_function("metrics: record an execution of ten", |bencher| bencher.iter(|| record_request(&routes)));
    let flush = async || {
        record_request(&routes);
        metrics.flush().await;
    };
    criterion.bench_function("metrics: record and flush it", |bencher| repeat(bencher, runtime, 1, flush));
    let scrape = async || drop(scrape().await);
    criterion.bench_function("metrics: scrape all series", |bencher| repeat(bencher, runtime, 1, scrape));
}

/// Every route with every status, and refused with every method that it does not have; each in every bucket.
fn record_everything(routes: &[&'static str]) {
    let durations = [0, 2, 4, 9, 20, 40, 90, 200, 400, 900, 2_000, 4_000, 9_000, 20_000, 40_000];
    for duration in durations.map(Duration::from_millis) {
        for route in routes.iter().copied().chain(["other"]) {
            for status in STATUSES {
                http_request(&[route, "POST", status], duration);
            }
            for method in ["GET", "POST", "DELETE", "HEAD", "OPTIONS", "other"] {
                http_request(&[route, method, "405"], duration);
            }
        }
        for (provider, name) in ACTIONS {
            names::JOB_DURATION.observe(&[provider, name], duration);
            names::JOB_QUEUE_WAIT.observe(&[provider, name], duration);
        }
        for status in [
            PlannerStatus::Ok,
            PlannerStatus::NoAction,
            PlannerStatus::Questions,
            PlannerStatus::Refused,
            PlannerStatus::Invalid,
            PlannerStatus::Budget,
            PlannerStatus::Error,
        ] {
            names::PLANNER_REQUESTS.count(&[status.into()]);
            names::PLANNER_DURATION.observe(&[status.into()], duration);
        }
    }
}

fn http_request(values: &[&str], duration: Duration) {
    names::HTTP_REQUESTS.count(values);
    names::HTTP_REQUEST_DURATION.observe(values, duration);
}

/// What an execution of ten actions counts.
fn record_request(routes: &[&'static str]) {
    let (provider, action) = ACTIONS[0];
    for _ in 0..10 {
        names::PERMISSION_CHECKS.count(&[Decision::Allow.into()]);
        names::IDEMPOTENCY.count(&[Idempotency::New.into()]);
        names::JOBS.count(&[provider, action, JobCount::Enqueued.into()]);
    }
    names::ROLLOUT_DECISIONS.count(&[provider, Decision::Allow.into()]);
    http_request(&[routes[0], "POST", "202"], Duration::from_millis(7));
}
