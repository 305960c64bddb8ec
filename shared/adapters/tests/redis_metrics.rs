//! The store of metric counts on real Redis servers, single and cluster, through outages, restarts and full memory.

use std::{sync::Arc, time::Duration};

use adapters::{
    redis::{RedisConnection, RedisMetrics},
    secret::Secret,
    system::SystemIds,
};
use contracts::{
    ManualClock,
    proxies::RedisProxy,
    servers::{RedisServer, free_port},
};
use telemetry::{Increment, MetricStore, NotAdded};

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// The timeout of a flush in production.
const SHORT: Duration = Duration::from_millis(100);

fn metrics(url: &str) -> Arc<RedisMetrics> {
    Arc::new(RedisMetrics::new(Arc::new(RedisConnection::new(url).unwrap()), "metrics", Arc::new(SystemIds)))
}

fn one(metric: &'static str) -> [Increment; 1] {
    [Increment { metric, field: "ok".to_owned(), by: 1 }]
}

async fn count(metrics: &RedisMetrics, metric: &'static str) -> u64 {
    metrics.read(&[metric]).await.unwrap()[0].first().map_or(0, |(_, count)| *count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_keeps_its_contract() {
    let single = RedisServer::start(false);
    contracts::metric_store(metrics(&single.url())).await;
    let [first, second] = RedisServer::start_two();
    for node in [&first, &second] {
        contracts::metric_store(metrics(&format!("{}?cluster=true", node.url()))).await;
        first.command("FLUSHALL");
        second.command("FLUSHALL");
    }
}

#[tokio::test]
async fn a_flush_and_a_scrape_are_one_round_trip_each_even_to_a_restarted_server() {
    let server = RedisServer::start(false);
    let proxy = RedisProxy::start(server.port());
    let metrics = metrics(&proxy.url());
    let increments: Vec<Increment> = ["a_total", "b_total"].into_iter().flat_map(one).collect();
    metrics.add(&increments, PATIENCE).await.unwrap();
    let trips = proxy.round_trips();
    assert_eq!(trips.len(), 1, "{trips:?}");
    assert!(trips[0].len() == 1 && trips[0][0].starts_with("EVAL orc:{metrics}:flush:"), "{trips:?}");
    metrics.read(&["a_total", "b_total"]).await.unwrap();
    assert_eq!(proxy.round_trips(), [["EVAL orc:{metrics}:a_total"]]);
    let keys = server.command("KEYS *");
    assert_eq!(keys.matches("orc:{metrics}:").count(), 3, "two hashes and the flush's key: {keys}");
}

#[tokio::test]
async fn an_unsent_flush_is_refused_and_an_unanswered_one_is_lost() {
    let nobody = metrics(&format!("redis://127.0.0.1:{}", free_port()));
    assert!(matches!(nobody.add(&one("a_total"), SHORT).await, Err(NotAdded::Refused(_))));
    nobody.read(&["a_total"]).await.unwrap_err();

    let mut server = RedisServer::start(false);
    let metrics = metrics(&server.url());
    metrics.add(&one("a_total"), PATIENCE).await.unwrap();
    server.command("CONFIG SET maxmemory 1");
    assert!(matches!(metrics.add(&one("a_total"), PATIENCE).await, Err(NotAdded::Refused(_))));
    server.command("CONFIG SET maxmemory 0");
    assert_eq!(count(&metrics, "a_total").await, 1, "a refused flush adds nothing");

    server.command("SET orc:{metrics}:broken_total text");
    let both: Vec<Increment> = ["broken_total", "a_total"].into_iter().flat_map(one).collect();
    assert!(matches!(metrics.add(&both, PATIENCE).await, Err(NotAdded::Lost(_))), "some counts were added");
    assert_eq!(count(&metrics, "a_total").await, 2);

    server.pause();
    assert!(matches!(metrics.add(&one("a_total"), SHORT).await, Err(NotAdded::Lost(_))));
    server.resume();
    assert_eq!(count(&metrics, "a_total").await, 3, "the lost flush arrived");

    // The flush finds the old connection dead and uses a new one.
    server.restart();
    metrics.add(&one("a_total"), PATIENCE).await.unwrap();
    assert_eq!(count(&metrics, "a_total").await, 1, "once, in a server without its former data");
}

#[tokio::test]
async fn a_connection_that_the_network_forgot_is_replaced() {
    let server = RedisServer::start(false);
    let proxy = RedisProxy::start(server.port());
    let clock = ManualClock::new();
    let connection = RedisConnection::with_secret(Secret::Given(proxy.url().into()), clock.clone());
    let metrics = RedisMetrics::new(Arc::new(connection), "metrics", Arc::new(SystemIds));
    metrics.add(&one("a_total"), PATIENCE).await.unwrap();

    // Forgotten while it was in use: one flush has no answer, and the next one has.
    proxy.forget();
    assert!(matches!(metrics.add(&one("a_total"), SHORT).await, Err(NotAdded::Lost(_))));
    metrics.add(&one("a_total"), PATIENCE).await.unwrap();
    assert_eq!(count(&metrics, "a_total").await, 2);

    // Forgotten while the process was frozen: nothing is lost.
    for idle in [61, 350, 86_400] {
        clock.advance(Duration::from_secs(idle));
        proxy.forget();
        let before = count(&metrics, "a_total").await;
        clock.advance(Duration::from_secs(idle));
        proxy.forget();
        metrics.add(&one("a_total"), PATIENCE).await.unwrap();
        assert_eq!(count(&metrics, "a_total").await, before + 1, "after {idle} s");
    }

    // A connection in use is kept.
    proxy.round_trips();
    for _ in 0..5 {
        clock.advance(Duration::from_mins(1));
        metrics.add(&one("a_total"), PATIENCE).await.unwrap();
    }
    assert_eq!(proxy.round_trips().len(), 5, "no new connection");
}
