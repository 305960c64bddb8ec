//! Jobs that go later, with Redis, DynamoDB and SQS: the queue goes by its own time, everything else by a clock that the
//! test moves.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use adapters::{
    aws::{DynamoLedger, Sdk, SqsQueue, settings},
    system::{SystemClock, SystemIds},
};
use aws_sdk_sqs::config::{Credentials, Region, SharedCredentialsProvider};
use contracts::{ManualClock, Ministack, seed, servers::RedisServer};
use domain::{ActorHash, Job, JobErrorCode, JobId, Scope, SendAt, State, WorkspaceId};
use engine::{
    Caller, Engine, Parts,
    execute::ExecuteRequest,
    limits::Ticket,
    ports::{Clock as _, LedgerPorts},
    work::Disposition,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

struct Stage {
    engine: Engine,
    parts: Parts,
    clock: Arc<ManualClock>,
    caller: Caller,
    _keep: (RedisServer, Arc<Ministack>, tempfile::TempDir),
}

impl Stage {
    async fn new() -> Self {
        let (redis, aws, folder) = (RedisServer::start(false), Ministack::shared(), tempfile::tempdir().unwrap());
        let credentials = Credentials::new("test", "test", None, None, "tests");
        let config = settings().endpoint_url(aws.url()).region(Region::new("us-east-1"));
        let sdk = Sdk::with(config.credentials_provider(SharedCredentialsProvider::new(credentials)).build());
        let queues = aws_sdk_sqs::Client::new(sdk.config().await);
        let queue =
            queues.create_queue().queue_name(format!("later-{}", seed())).send().await.unwrap().queue_url.unwrap();
        let ledger =
            DynamoLedger::new(sdk.clone(), format!("later-{}", seed()), Arc::new(SystemClock), Arc::new(SystemIds));
        ledger.create_table().await.unwrap();
        let (data, redis_url) = (folder.path().display().to_string(), format!("redis://127.0.0.1:{}", redis.port()));
        let variables = |name: &str| match name {
            "ORCHESTRATOR_DATA" => Some(data.clone()),
            "REDIS_URL" => Some(redis_url.clone()),
            _ => None,
        };
        let mut parts = app::parts(&app::Config::read(app::Runtime::Local, &variables).unwrap()).unwrap();
        parts.ledger = LedgerPorts::of(Arc::new(ledger));
        parts.queue = Arc::new(SqsQueue::new(sdk, queue, Arc::new(SystemClock), Arc::new(SystemIds)));
        let clock = ManualClock::at(SystemClock.now());
        parts.clock = clock.clone();
        let workspace: WorkspaceId = "local".parse().unwrap();
        let caller = Caller {
            key_id: None,
            bound_actor: None,
            default_actor: ActorHash::of(&workspace, &"local".parse().unwrap()),
            workspace,
            scopes: Scope::all(),
            allow: None,
            agent: false,
            draft_only: false,
            ticket: Ticket::default(),
        };
        Self { engine: Engine::new(parts.clone()), parts, clock, caller, _keep: (redis, aws, folder) }
    }

    async fn execute(&self, key: &str, send_at: Timestamp) -> JobId {
        let action = json!({ "action": "gmail.send", "client_request_id": key,
            "params": { "to": "ana@example.com", "subject": "Later", "text": "Hello" } });
        let request = ExecuteRequest {
            actions: Some(vec![serde_json::from_value(action).unwrap()]),
            actor_id: Some("ana".parse().unwrap()),
            send_at: Some(SendAt(send_at)),
            ..ExecuteRequest::default()
        };
        self.engine.executor.execute(&self.caller, request).await.unwrap()[0].job.job_id
    }

    async fn job(&self, id: JobId) -> Job {
        self.parts.ledger.jobs.job(&self.caller.workspace, id).await.unwrap().unwrap()
    }

    fn advance(&self, seconds: i64) {
        self.clock.advance(Duration::from_secs(seconds.unsigned_abs()));
    }

    /// Works what comes within this time of the queue's; says how many messages that were.
    async fn work(&self, seconds: u64) -> usize {
        let deliveries = self.parts.queue.receive(10, Duration::from_secs(seconds)).await.unwrap();
        for delivery in &deliveries {
            let deadline = self.clock.now() + SignedDuration::from_secs(45);
            assert_eq!(self.engine.worker.work(&delivery.body, deadline).await, Disposition::Acknowledge);
            self.parts.queue.acknowledge(&delivery.receipt).await.unwrap();
        }
        deliveries.len()
    }
}

#[tokio::test]
async fn the_queue_holds_a_short_wait() {
    let stage = Stage::new().await;
    let began = Instant::now();
    let then = stage.clock.now() + SignedDuration::from_secs(5);
    let id = stage.execute("short", then).await;
    assert_eq!(stage.engine.sweeper.sweep().await.unwrap(), 0, "it needs no sweep");
    stage.advance(5);
    assert_eq!(stage.work(20).await, 1);
    let took = began.elapsed().as_millis();
    assert!((4_500..15_000).contains(&took), "the message came after {took} ms");
    let job = stage.job(id).await;
    assert_eq!((job.state, job.started_at), (State::Completed, Some(then)));
}

#[tokio::test]
async fn the_sweep_queues_a_long_wait_shortly_before_its_end() {
    let stage = Stage::new().await;
    for seconds in [20 * 60, 40 * 24 * 3600] {
        let then = stage.clock.now() + SignedDuration::from_secs(seconds);
        let (sent, cancelled) = (
            stage.execute(&format!("sent-{seconds}"), then).await,
            stage.execute(&format!("no-{seconds}"), then).await,
        );
        assert_eq!(stage.parts.queue.depth().await.unwrap(), 0);
        stage.advance(seconds - 3 * 60);
        assert_eq!(stage.engine.sweeper.sweep().await.unwrap(), 0, "{seconds} s: three minutes before is too early");
        stage.engine.jobs.cancel(&stage.caller, cancelled).await.unwrap();
        stage.advance(3 * 60 - 2);
        assert_eq!(stage.engine.sweeper.sweep().await.unwrap(), 1, "{seconds} s");
        assert_eq!(stage.engine.sweeper.sweep().await.unwrap(), 0, "once");
        // A message that comes early, by this clock, sends nothing, and comes again.
        assert_eq!(stage.work(10).await, 1);
        assert_eq!(stage.job(sent).await.state, State::Queued);
        stage.advance(2);
        let began = Instant::now();
        while stage.job(sent).await.state != State::Completed {
            stage.work(5).await;
            assert!(began.elapsed() < Duration::from_secs(15), "{seconds} s: the message did not come");
        }
        assert_eq!(stage.job(sent).await.started_at, Some(then));
        stage.advance(10 * 60);
        assert_eq!((stage.engine.sweeper.sweep().await.unwrap(), stage.work(1).await), (0, 0), "once");
        assert_eq!(stage.job(cancelled).await.error.unwrap().code, JobErrorCode::Cancelled);
    }
}
