//! The Redis adapters against the contract of their ports on real servers, single and cluster, and
//! through what servers go through: emptied, restarted, hanging, gone.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use adapters::{
    redis::{RedisBudget, RedisCache, RedisConnection, RedisQueue},
    secret::Secret,
    system::{SystemClock, SystemIds},
};
use contracts::{
    proxies::RedisProxy,
    sample_job, seed,
    servers::{RedisServer, free_port},
};
use domain::{Job, JobId};
use engine::ports::{
    BUDGET_WINDOW, Budget, CacheHealth, Claims, Clock, JobCache, Queue, QueuedMessage, Reservation, Reserved,
};
use jiff::Timestamp;
use uuid::Uuid;

/// Longer than any test takes.
const LONG: Duration = Duration::from_mins(10);

fn connect(url: &str) -> Arc<RedisConnection> {
    Arc::new(RedisConnection::new(url).unwrap())
}

fn cache(url: &str) -> Arc<RedisCache> {
    Arc::new(RedisCache::new(connect(url)))
}

fn queue(url: &str, visibility: Duration) -> Arc<RedisQueue> {
    Arc::new(RedisQueue::new(connect(url), "jobs", visibility, Arc::new(SystemClock), Arc::new(SystemIds)))
}

fn budget(url: &str, name: &str, window: Duration) -> Arc<RedisBudget> {
    Arc::new(RedisBudget::new(connect(url), name, window))
}

/// The n-th reservation of a workspace, of a limit of 100.
fn tokens(n: u128, tokens: u64) -> Reservation {
    let (id, workspace) = (Uuid::from_u128(n), "local".parse().unwrap());
    Reservation { id, workspace, model: "a-model".to_owned(), tokens, limit: 100 }
}

fn cluster_url(server: &RedisServer) -> String {
    format!("{}?cluster=true", server.url())
}

fn jobs(count: usize) -> Vec<Job> {
    let workspace = "local".parse().unwrap();
    (0..count).map(|n| sample_job(&workspace, &format!("key {n}"), SystemClock.now())).collect()
}

fn ids(jobs: &[Job]) -> Vec<JobId> {
    jobs.iter().map(|job| job.job_id).collect()
}

fn messages(count: usize) -> Vec<QueuedMessage> {
    let message =
        |n| QueuedMessage { body: format!("message {n}"), workspace: "local".parse().unwrap(), delay: Duration::ZERO };
    (0..count).map(message).collect()
}

mod single {
    use super::*;

    fn single() -> (Arc<RedisCache>, Timestamp, Arc<RedisServer>) {
        let server = RedisServer::shared(false);
        (cache(&server.url()), SystemClock.now(), server)
    }

    contracts::cache_tests!(single());
}

mod cluster {
    use super::*;

    fn cluster() -> (Arc<RedisCache>, Timestamp, Arc<RedisServer>) {
        let server = RedisServer::shared(true);
        (cache(&cluster_url(&server)), SystemClock.now(), server)
    }

    contracts::cache_tests!(cluster());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_budget_keeps_its_contract() {
    let (single, cluster) = (RedisServer::start(false), RedisServer::start(true));
    for url in [single.url(), cluster_url(&cluster)] {
        contracts::budget(budget(&url, &seed().to_string(), BUDGET_WINDOW), seed()).await;
    }
    let over_time = |url: &str| {
        let window = Duration::from_secs(2);
        let budget = budget(url, "over-time", window);
        contracts::budget_over_time(budget, Arc::new(SystemClock), window, seed(), tokio::time::sleep)
    };
    tokio::join!(over_time(&single.url()), over_time(&cluster_url(&cluster)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_was_lost_is_told_once_and_what_is_kept_expires() {
    let server = RedisServer::start(false);
    let budget = budget(&server.url(), "budget", BUDGET_WINDOW);
    let granted = |window_was_lost| Reserved::Granted { window_was_lost };
    assert_eq!(budget.reserve(&tokens(1, 60)).await.unwrap(), granted(false), "an empty server is no loss");
    budget.hold("a-model", Duration::from_secs(50)).await.unwrap();
    for part in ["window", "asked", "held:a-model"] {
        let left = server.command(&format!("TTL orc:{{budget}}:{part}"));
        assert!((45..=130).contains(&left.trim_start_matches(':').parse::<u32>().unwrap()), "{part}: {left}");
    }
    assert_eq!(server.command("FLUSHALL"), "+OK");
    budget.settle(Uuid::from_u128(1), 10).await.unwrap();
    assert_eq!(budget.reserve(&tokens(2, 100)).await.unwrap(), granted(true));
    assert!(matches!(budget.reserve(&tokens(3, 1)).await.unwrap(), Reserved::Exhausted { left: 0, .. }));
    budget.settle(Uuid::from_u128(2), 10).await.unwrap();
    assert_eq!(budget.reserve(&tokens(3, 90)).await.unwrap(), granted(false));

    let gone = self::budget(&format!("redis://127.0.0.1:{}", free_port()), "budget", BUDGET_WINDOW);
    assert!(gone.reserve(&tokens(1, 1)).await.is_err() && gone.settle(Uuid::nil(), 1).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_keeps_its_contract() {
    let server = RedisServer::start(false);
    contracts::queue(queue(&server.url(), LONG), seed()).await;
    let second = Duration::from_secs(1);
    contracts::queue_over_time(queue(&server.url(), second), second, seed(), tokio::time::sleep).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_keeps_its_contract_on_a_cluster() {
    let server = RedisServer::start(true);
    contracts::queue(queue(&cluster_url(&server), LONG), seed()).await;
    let second = Duration::from_secs(1);
    contracts::queue_over_time(queue(&cluster_url(&server), second), second, seed(), tokio::time::sleep).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_two_is_served_from_either_node_and_names_the_flag_that_it_needs() {
    let nodes = RedisServer::start_two();
    let unflagged = cache(&nodes[0].url()).put_jobs(&jobs(10)).await.unwrap_err().to_string();
    assert!(unflagged.contains("add ?cluster=true to REDIS_URL"), "{unflagged}");
    for node in &nodes {
        let url = cluster_url(node);
        let cache = cache(&url);
        // Ten jobs belong to both nodes.
        cache.put_jobs(&jobs(10)).await.unwrap();
        for job in jobs(10) {
            assert!(cache.cached_job(&job.workspace_id, job.job_id, None).await.unwrap().0.is_some());
        }
        contracts::claims::give_each_key_to_one_claim(cache.clone(), SystemClock.now(), seed()).await;
        contracts::job_cache::keeps_the_latest_version(cache, SystemClock.now(), seed()).await;
        contracts::queue(queue(&url, LONG), seed()).await;
    }
    cache(&cluster_url(&nodes[0])).put_jobs(&jobs(40)).await.unwrap();
    let size = |node: &RedisServer| node.command("DBSIZE").trim_start_matches(':').parse::<usize>().unwrap();
    assert!(nodes.iter().all(|node| size(node) > 5), "the keys are spread over both");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_expires() {
    let server = RedisServer::start(false);
    let cache = cache(&server.url());
    let job = jobs(1).remove(0);
    let (claim, cached) = (format!("{{{}}}:claim", job.job_id), format!("{{{}#{}}}:job", job.workspace_id, job.job_id));
    let kept_for = |key: &str| {
        let answer = server.command(&format!("TTL orc:{key}"));
        answer.trim_start_matches(':').parse::<i64>().unwrap()
    };
    cache.claim_keys(&ids(std::slice::from_ref(&job)), None).await.unwrap();
    assert!((890..=900).contains(&kept_for(&claim)), "a claim holds 15 minutes");
    cache.put_jobs(std::slice::from_ref(&job)).await.unwrap();
    assert!((20..=30).contains(&kept_for(&cached)), "a version that goes out of date unnoticed is soon forgotten");
    cache.put_jobs(&[job.cancelled(SystemClock.now()).unwrap()]).await.unwrap();
    assert!((890..=900).contains(&kept_for(&cached)));
    let hash = server.command(&format!("HMGET orc:{cached} revision status"));
    assert_eq!(hash, "*2\r\n$1\r\n2\r\n$5\r\nerror");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_emptied_begins_anew() {
    let server = RedisServer::start(false);
    let (cache, queue) = (cache(&server.url()), queue(&server.url(), LONG));
    let jobs = jobs(3);
    assert_eq!(cache.claim_keys(&ids(&jobs), None).await.unwrap().0, [true; 3]);
    queue.send(&messages(1)).await.unwrap();
    let held = queue.receive(1, Duration::ZERO).await.unwrap().remove(0);
    assert_eq!(server.command("FLUSHALL"), "+OK");
    assert_eq!(server.command("SCRIPT FLUSH"), "+OK");
    cache.put_jobs(&jobs).await.unwrap();
    assert_eq!(cache.cached_job(&jobs[2].workspace_id, jobs[2].job_id, None).await.unwrap().0.as_ref(), Some(&jobs[2]));
    assert_eq!(cache.claim_keys(&ids(&jobs), None).await.unwrap().0, [true; 3]);
    queue.acknowledge(&held.receipt).await.unwrap();
    assert!(queue.receive(1, Duration::ZERO).await.unwrap().is_empty(), "the ledger knows what was lost");
    queue.send(&messages(1)).await.unwrap();
    assert_eq!(queue.receive(1, Duration::ZERO).await.unwrap()[0].body, "message 0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_restarted_is_found_by_the_first_command() {
    for cluster in [false, true] {
        let mut server = RedisServer::start(cluster);
        let url = if cluster { cluster_url(&server) } else { server.url() };
        let (cache, queue) = (cache(&url), queue(&url, LONG));
        let jobs = jobs(3);
        cache.put_jobs(&jobs).await.unwrap();
        queue.send(&messages(1)).await.unwrap();
        server.restart();
        assert_eq!(
            cache.cached_job(&jobs[0].workspace_id, jobs[0].job_id, None).await.unwrap().0,
            None,
            "it came back empty"
        );
        queue.send(&messages(2)).await.unwrap();
        server.restart();
        assert_eq!(cache.claim_keys(&ids(&jobs), None).await.unwrap().0, [true; 3]);
        assert_eq!(queue.depth().await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_an_error_in_time_and_works_when_it_goes_on() {
    for cluster in [false, true] {
        let server = RedisServer::start(cluster);
        let url = if cluster { cluster_url(&server) } else { server.url() };
        let (cache, queue) = (cache(&url), queue(&url, LONG));
        let jobs = jobs(2);
        cache.put_jobs(&jobs).await.unwrap();
        queue.depth().await.unwrap();
        let (claims, messages) = (ids(&jobs), messages(1));
        server.pause();
        let begun = Instant::now();
        let answers = tokio::join!(
            cache.claim_keys(&claims, None),
            cache.cached_job(&jobs[0].workspace_id, jobs[0].job_id, None),
            queue.receive(1, Duration::from_secs(20)),
            queue.send(&messages),
        );
        let took = begun.elapsed();
        assert!(answers.0.is_err() && answers.1.is_err() && answers.2.is_err() && answers.3.is_err());
        assert!(took < Duration::from_millis(3500), "an answer in three seconds: {took:?}");
        server.resume();
        cache.ping().await.unwrap();
        assert_eq!(
            cache.cached_job(&jobs[0].workspace_id, jobs[0].job_id, None).await.unwrap().0.as_ref(),
            Some(&jobs[0])
        );
        queue.send(&messages).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_connects_before_the_first_command_and_no_error_tells_the_password() {
    let closed = cache(&format!("redis://user:s3cret@127.0.0.1:{}", free_port()));
    let refused = closed.ping().await.unwrap_err().to_string();
    assert!(refused.contains("refused") && !refused.contains("s3cret"), "{refused}");

    let server = RedisServer::start(false);
    server.command("CONFIG SET requirepass other");
    for (login, fault) in [("", "NOAUTH"), (":s3cret@", "authentication failed")] {
        let cache = cache(&format!("redis://{login}127.0.0.1:{}", server.port()));
        let refused = cache.ping().await.unwrap_err().to_string();
        assert!(refused.contains(fault) && !refused.contains("s3cret"), "{refused}");
    }
    cache(&format!("redis://:other@127.0.0.1:{}/3", server.port())).ping().await.unwrap();

    for url in [
        "",
        "redis",
        "http://127.0.0.1",
        "redis://",
        "redis://u:s3cret@h:port",
        "redis://u:s3cret@h/x",
        "redis+unix:///x",
    ] {
        let invalid = RedisConnection::new(url).err().unwrap().to_string();
        assert!(!invalid.contains("s3cret"), "{invalid}");
    }
    let kept = |url: &str| {
        RedisCache::new(Arc::new(RedisConnection::with_secret(Secret::Given(url.into()), Arc::new(SystemClock))))
    };
    kept(&format!("redis://:other@127.0.0.1:{}", server.port())).ping().await.unwrap();
    let invalid = kept("redis://u:s3cret@h:port").ping().await.unwrap_err().to_string();
    assert!(!invalid.contains("s3cret"), "{invalid}");
    for url in ["redis://u:s3cret@redis.example.com", "redis://203.0.113.7:6379/1", "redis://[2001:db8::1]"] {
        let refused = kept(url).ping().await.unwrap_err().to_string();
        assert!(refused.contains("without TLS") && !refused.contains("s3cret"), "{url}: {refused}");
    }
    let tls = cache("rediss://127.0.0.1:1").ping().await.unwrap_err().to_string();
    assert!(tls.contains("refused"), "it needs no provider of the process: {tls}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_messages_of_a_worker_that_died_come_again() {
    let server = RedisServer::start(false);
    let second = Duration::from_secs(1);
    let dead = queue(&server.url(), second);
    dead.send(&messages(3)).await.unwrap();
    let held = dead.receive(2, Duration::ZERO).await.unwrap();
    assert_eq!(held.len(), 2);
    drop(dead);

    let other = queue(&server.url(), second);
    assert_eq!(other.receive(10, Duration::ZERO).await.unwrap().len(), 1, "what is held does not come");
    let begun = Instant::now();
    let mut again = Vec::new();
    while again.len() < 2 {
        let deliveries = other.receive(10, Duration::from_secs(10)).await.unwrap();
        assert!(!deliveries.is_empty(), "they come");
        again.extend(deliveries.into_iter().filter(|delivery| held.iter().any(|held| held.body == delivery.body)));
    }
    assert!(begun.elapsed() > Duration::from_millis(500), "not before their time");
    assert!(again.iter().all(|delivery| delivery.receives == 2), "{again:?}");
    // The first delivery was overtaken: its acknowledgement takes nothing from who holds the message now.
    other.acknowledge(&held[0].receipt).await.unwrap();
    for receipt in ["", ".", "no receipt", "x.y", &"x".repeat(10_000)] {
        other.acknowledge(receipt).await.unwrap();
    }
    assert_eq!(server.command("HLEN orc:{jobs}:messages"), ":3");
    for delivery in again {
        other.acknowledge(&delivery.receipt).await.unwrap();
    }
    assert_eq!(server.command("HLEN orc:{jobs}:messages"), ":1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_acknowledgement_counts_until_the_message_has_come_again() {
    let server = RedisServer::start(false);
    let queue = queue(&server.url(), Duration::ZERO);
    queue.send(&messages(2)).await.unwrap();
    let late = queue.receive(1, Duration::ZERO).await.unwrap().remove(0);
    // The other message brings this one back to the list, unseen.
    let other = queue.receive(1, Duration::ZERO).await.unwrap().remove(0);
    assert_eq!((late.body.as_str(), other.body.as_str()), ("message 0", "message 1"));
    queue.acknowledge(&late.receipt).await.unwrap();
    queue.acknowledge(&other.receipt).await.unwrap();
    assert_eq!(server.command("KEYS *"), "*0", "nothing is left of either");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_workers_hold_a_message_at_once() {
    let server = RedisServer::start(false);
    let workers: Vec<_> = (0..4).map(|_| queue(&server.url(), LONG)).collect();
    // Equal texts are messages of their own.
    let twice = [messages(100), messages(100)].concat();
    workers[0].send(&twice).await.unwrap();
    assert_eq!(workers[1].depth().await.unwrap(), 200);
    let work = workers.into_iter().map(|worker| {
        tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                let deliveries = worker.receive(3, Duration::ZERO).await.unwrap();
                if deliveries.is_empty() {
                    return held;
                }
                held.extend(deliveries);
            }
        })
    });
    let mut held = Vec::new();
    for worker in work.collect::<Vec<_>>() {
        held.extend(worker.await.unwrap());
    }
    let receipts: BTreeSet<_> = held.iter().map(|delivery| &delivery.receipt).collect();
    assert_eq!((held.len(), receipts.len()), (200, 200));
    assert!(held.iter().all(|delivery| delivery.receives == 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_operation_is_one_round_trip() {
    let server = RedisServer::start(false);
    let proxy = RedisProxy::start(server.port());
    let url = proxy.url();
    let trips = || proxy.round_trips().len();
    let (cache, queue) = (cache(&url), queue(&url, LONG));
    let jobs = jobs(10);
    cache.ping().await.unwrap();
    assert_eq!(trips(), 1, "the first command of a connection");
    cache.claim_keys(&ids(&jobs), None).await.unwrap();
    assert_eq!(trips(), 1, "ten claims");
    cache.put_jobs(&jobs).await.unwrap();
    assert_eq!(trips(), 2, "the server learns the script");
    cache.put_jobs(&jobs).await.unwrap();
    assert_eq!(trips(), 1, "ten jobs");
    assert!(cache.cached_job(&jobs[9].workspace_id, jobs[9].job_id, None).await.unwrap().0.is_some());
    assert_eq!(trips(), 1, "a job");
    let budget = budget(&url, "budget", BUDGET_WINDOW);
    for n in 0..2 {
        budget.reserve(&tokens(n, 1)).await.unwrap();
        budget.settle(Uuid::from_u128(n), 1).await.unwrap();
        // The first round taught the server the scripts, on a connection of its own.
        let made = trips();
        assert!(n == 0 || made == 2, "tokens reserved, and settled: {made}");
    }
    queue.send(&messages(10)).await.unwrap();
    let warm = queue.receive(1, Duration::ZERO).await.unwrap();
    queue.acknowledge(&warm[0].receipt).await.unwrap();
    queue.depth().await.unwrap();
    trips();
    queue.send(&messages(10)).await.unwrap();
    assert_eq!(trips(), 1, "ten messages sent");
    let deliveries = queue.receive(10, Duration::ZERO).await.unwrap();
    assert_eq!((deliveries.len(), trips()), (10, 1), "ten messages received");
    queue.acknowledge(&deliveries[0].receipt).await.unwrap();
    assert_eq!(trips(), 1, "an acknowledgement");
    queue.depth().await.unwrap();
    assert_eq!(trips(), 1, "the depth");
}

#[tokio::test]
async fn a_server_whose_certificate_is_of_a_given_authority_is_reached_with_tls() {
    let (_server, url, authority) = RedisServer::start_tls();
    let (_, _, another) = RedisServer::start_tls();
    for url in [url.clone(), format!("{url}?cluster=true")] {
        let with = |roots: Vec<u8>| RedisCache::new(Arc::new(RedisConnection::new(&url).unwrap().with_roots(roots)));
        with(authority.clone()).ping().await.unwrap();
        with([another.clone(), authority.clone()].concat()).ping().await.unwrap();
        for stranger in [Vec::new(), another.clone()] {
            with(stranger).ping().await.unwrap_err();
        }
    }
}
