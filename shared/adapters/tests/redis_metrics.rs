//! The store of metric counts on real Redis servers, single and cluster, through outages, restarts and full memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use adapters::{
    redis::{RedisConnection, RedisMetrics},
    secret::Secret,
    system::SystemIds,
};
use contracts::{
    ManualClock, metric_sums,
    proxies::RedisProxy,
    servers::{RedisServer, free_port},
};
use telemetry::{Batch, Increment, MetricStore, Metrics, NotAdded, Vocabulary, labels::Idempotency, names};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// The timeout of a flush in production.
const SHORT: Duration = Duration::from_millis(100);

fn metrics(url: &str) -> Arc<RedisMetrics> {
    Arc::new(RedisMetrics::new(Arc::new(RedisConnection::new(url).unwrap()), "metrics", &SystemIds))
}

/// A batch that adds one to each of these.
fn batch(number: u64, metrics: &[&'static str]) -> Batch {
    let one = |metric: &&'static str| Increment { metric, field: "ok".to_owned(), by: 1 };
    Batch { number, increments: metrics.iter().map(one).collect() }
}

fn a(number: u64) -> Batch {
    batch(number, &["a_total"])
}

async fn count(metrics: &RedisMetrics, metric: &'static str) -> u64 {
    metric_sums(metrics, &[metric]).await[0].get("ok").copied().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_keeps_its_contract() {
    let single = RedisServer::start(false);
    contracts::metric_store(|| metrics(&single.url())).await;
    let [first, second] = RedisServer::start_two();
    for node in [&first, &second] {
        let url = format!("{}?cluster=true", node.url());
        contracts::metric_store(|| metrics(&url)).await;
        first.command("FLUSHALL");
        second.command("FLUSHALL");
    }
}

#[tokio::test]
async fn a_flush_and_a_scrape_are_one_round_trip_each_even_to_a_restarted_server() {
    let server = RedisServer::start(false);
    let proxy = RedisProxy::start(server.port());
    let metrics = metrics(&proxy.url());
    metrics.add(&batch(1, &["a_total", "b_total"]), PATIENCE).await.unwrap();
    let trips = proxy.round_trips();
    assert_eq!(trips.len(), 1, "{trips:?}");
    assert!(trips[0].len() == 1 && trips[0][0].starts_with("EVAL orc:{metrics:"), "{trips:?}");
    metrics.read(&["a_total", "b_total"]).await.unwrap();
    let trips = proxy.round_trips();
    assert_eq!(trips.len(), 1, "all slots at once: {trips:?}");
    let keys = server.command("KEYS *");
    assert_eq!(keys.matches("orc:{metrics:").count(), 3, "two hashes and the batch's number: {keys}");
}

#[tokio::test]
async fn instances_are_spread_over_slots_and_each_stays_in_its_own() {
    let server = RedisServer::start(false);
    let url = server.url();
    for _ in 0..64 {
        let instance = metrics(&url);
        for number in 1..=3 {
            instance.add(&a(number), PATIENCE).await.unwrap();
        }
    }
    let keys = server.command("KEYS *:a_total");
    let slots = keys.matches("orc:{metrics:").count();
    assert!((8..=16).contains(&slots), "64 instances are in {slots} slots: {keys}");
    assert_eq!(server.command("KEYS *:batch:*").matches("orc:{metrics:").count(), 64, "one number an instance");
    assert_eq!(count(&metrics(&url), "a_total").await, 64 * 3);

    // What a version without slots writes counts too.
    server.command("HINCRBY orc:{metrics}:a_total ok 5");
    assert_eq!(count(&metrics(&url), "a_total").await, 64 * 3 + 5);
}

#[tokio::test]
async fn an_unsent_flush_is_refused_and_an_unanswered_one_is_added_once() {
    let nobody = metrics(&format!("redis://127.0.0.1:{}", free_port()));
    assert!(matches!(nobody.add(&a(1), SHORT).await, Err(NotAdded::Refused(_))));
    nobody.read(&["a_total"]).await.unwrap_err();

    let mut server = RedisServer::start(false);
    let metrics = metrics(&server.url());
    metrics.add(&a(1), PATIENCE).await.unwrap();
    server.command("CONFIG SET maxmemory 1");
    assert!(matches!(metrics.add(&a(2), PATIENCE).await, Err(NotAdded::Refused(_))));
    server.command("CONFIG SET maxmemory 0");
    assert_eq!(count(&metrics, "a_total").await, 1, "a refused flush adds nothing");

    let hash = server.command("KEYS *:a_total");
    let hash = hash.split_whitespace().find(|word| word.starts_with("orc:")).expect("it is there");
    server.command(&format!("SET {} text", hash.replace("a_total", "broken_total")));
    let both = batch(2, &["broken_total", "a_total"]);
    assert!(matches!(metrics.add(&both, PATIENCE).await, Err(NotAdded::Lost(_))), "some counts were added");
    assert_eq!(count(&metrics, "a_total").await, 2);
    metrics.add(&both, PATIENCE).await.expect("what cannot be added does not hold up what comes after it");
    assert_eq!(count(&metrics, "a_total").await, 2);

    server.pause();
    assert!(matches!(metrics.add(&a(3), SHORT).await, Err(NotAdded::Lost(_))));
    server.resume();
    metrics.add(&a(3), PATIENCE).await.unwrap();
    assert_eq!(count(&metrics, "a_total").await, 3, "the lost flush arrived, and is not added again");

    // The flush finds the old connection dead and uses a new one.
    server.restart();
    metrics.add(&a(4), PATIENCE).await.unwrap();
    assert_eq!(count(&metrics, "a_total").await, 1, "once, in a server without its former data");
}

#[tokio::test]
async fn a_connection_that_the_network_forgot_is_replaced() {
    let server = RedisServer::start(false);
    let proxy = RedisProxy::start(server.port());
    let clock = ManualClock::new();
    let connection = RedisConnection::with_secret(Secret::Given(proxy.url().into()), clock.clone());
    let metrics = RedisMetrics::new(Arc::new(connection), "metrics", &SystemIds);
    metrics.add(&a(1), PATIENCE).await.unwrap();

    // Forgotten while it was in use: one flush has no answer, and the next one has.
    proxy.forget();
    assert!(matches!(metrics.add(&a(2), SHORT).await, Err(NotAdded::Lost(_))));
    metrics.add(&a(2), SHORT).await.unwrap();
    assert_eq!(count(&metrics, "a_total").await, 2);

    // Forgotten while the process was frozen: nothing is lost.
    for (number, idle) in (3..).zip([61, 350, 86_400]) {
        clock.advance(Duration::from_secs(idle));
        proxy.forget();
        let before = count(&metrics, "a_total").await;
        clock.advance(Duration::from_secs(idle));
        proxy.forget();
        metrics.add(&a(number), PATIENCE).await.unwrap();
        assert_eq!(count(&metrics, "a_total").await, before + 1, "after {idle} s");
    }

    // A connection in use is kept.
    proxy.round_trips();
    for number in 10..15 {
        clock.advance(Duration::from_mins(1));
        metrics.add(&a(number), PATIENCE).await.unwrap();
    }
    assert_eq!(proxy.round_trips().len(), 5, "no new connection");
}

#[tokio::test]
async fn after_a_silent_death_of_the_connection_one_flush_is_late_and_no_count_is_lost() {
    let server = RedisServer::start(false);
    let proxy = RedisProxy::start(server.port());
    let store = metrics(&proxy.url());
    let counts = Metrics::install(Vocabulary::default()).with_store(store.clone(), SHORT);
    let mut counted = 0;
    let mut flush = async || {
        names::IDEMPOTENCY.count(&[Idempotency::New.into()]);
        counted += 1;
        let began = Instant::now();
        counts.flush().await;
        (began.elapsed(), counted)
    };
    flush().await;
    for _ in 0..5 {
        proxy.forget();
        let (first, _) = flush().await;
        assert!(first >= SHORT, "its answer never came");
        let (second, counted) = flush().await;
        assert!(second < SHORT, "{second:?}");
        let sums = metric_sums(&*store, &[names::IDEMPOTENCY.name, names::FLUSHES.name]).await;
        assert_eq!(sums[0]["new"], counted, "{sums:?}");
    }
    let sums = metric_sums(&*store, &[names::FLUSHES.name]).await;
    assert_eq!((sums[0]["lost"], sums[0].get("refused")), (5, None), "{sums:?}");
}
