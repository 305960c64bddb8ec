//! What one request costs, counted on the wire: the table of docs/evidence/calls.md. The program has a
//! real Redis, and DynamoDB and SQS on loopback; proxies in front of them write down what it asks.
//!
//! A worker's receives wait in the proxy until the test lets one through, so that a request is alone
//! while it is counted, and so is the work.

use std::{
    fmt::Write,
    path::Path,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::Duration,
};

use contracts::{
    Ministack,
    proxies::{AwsProxy, Reaction, RedisProxy},
    servers::RedisServer,
};
use fakes::{Fakes, Provider, Token, model::FakeModel};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{GMAIL_COMPOSE, GMAIL_SEND, Reply, Server, command, gmail, reply, until};

/// How long a held receive lasts, unless one is let through: a long poll of an empty queue, only shorter.
const HOLD: Duration = Duration::from_secs(1);
const TABLE: &str = "ledger";
const NONE: Cost = Cost { settings: 0, gate: 0, flush: 0, redis: 0, dynamodb: 0, sqs: 0 };
/// What every request and every job costs: its flush.
const ONE: Cost = Cost { flush: 1, ..NONE };

/// The servers behind the program.
struct World {
    redis: RedisServer,
    aws: Arc<Ministack>,
    queue: String,
    folder: TempDir,
}

/// The program, with what it asks of the servers.
struct Program {
    server: Server,
    redis: RedisProxy,
    /// How many receives may pass.
    receives: Arc<(Mutex<usize>, Condvar)>,
    /// The other calls.
    calls: Arc<Mutex<Vec<String>>>,
}

/// Round trips and calls; apart, what a process asks every 5 s at most of Redis, the rollout's percent, and every
/// 10 s of the ledger, the settings of a workspace; and the flushes of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    settings: usize,
    gate: usize,
    flush: usize,
    redis: usize,
    dynamodb: usize,
    sqs: usize,
}

impl World {
    async fn start() -> Self {
        let (redis, aws, folder) = (RedisServer::start(false), Ministack::shared(), tempfile::tempdir().unwrap());
        let attributes = json!({ "VisibilityTimeout": "60" });
        let call = adapters::http::client(adapters::http::ClientOptions::PROVIDER).post(aws.url());
        let call = call.header("x-amz-target", "AmazonSQS.CreateQueue").header("x-amz-date", "20270101T000000Z");
        let body = json!({ "QueueName": "calls", "Attributes": attributes }).to_string();
        let made = reply(call.header("content-type", "application/x-amz-json-1.0").body(body)).await;
        let queue = made.body["QueueUrl"].as_str().unwrap_or_else(|| panic!("no queue: {made:?}")).to_owned();
        let world = Self { redis, aws, queue, folder };
        let endpoint = world.aws.url();
        let mut create = command(world.folder.path(), &world.variables("redis://127.0.0.1:1", &endpoint));
        let made = create.arg("create-table").output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        world.know_the_rollout();
        world
    }

    /// Redis holds the gate's percents from now on.
    fn know_the_rollout(&self) {
        for provider in ["google", "microsoft"] {
            assert_eq!(self.redis.command(&format!("SET flags:{provider}:rollout_percent 100")), "+OK");
        }
    }

    fn variables<'a>(&'a self, redis: &'a str, aws: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![
            ("REDIS_URL", redis),
            ("QUEUE_URL", &self.queue),
            ("LEDGER_TABLE", TABLE),
            ("AWS_ENDPOINT_URL", aws),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]
    }

    fn program(&self, more: &[(&str, &str)]) -> Program {
        let program = self.start_program(more);
        assert_eq!(program.cost("start"), Cost { dynamodb: 1, ..NONE }, "it looks whether there are API keys");
        program
    }

    fn program_with_keys(&self) -> Program {
        let program = self.start_program(&[]);
        assert_eq!(program.cost("start"), Cost { settings: 1, dynamodb: 1, ..NONE }, "there is one, and it reads it");
        program
    }

    fn start_program(&self, more: &[(&str, &str)]) -> Program {
        let redis = RedisProxy::start(self.redis.port());
        let receives = Arc::new((Mutex::new(0), Condvar::new()));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let aws = AwsProxy::start(self.aws.address(), {
            let (receives, calls) = (Arc::clone(&receives), Arc::clone(&calls));
            move |call, body| {
                if call == "ReceiveMessage" {
                    // While a job is in hand, the worker asks for fewer than all that a test waits for.
                    let for_all = body["MaxNumberOfMessages"] == 10;
                    return if may_pass(&receives, for_all) {
                        Reaction::Forward
                    } else {
                        Reaction::Answer(200, json!({}))
                    };
                }
                // A look at a workspace's settings, which a process takes every 10 s; the same of keys, which a worker
                // takes for each job, too; the day of a key's use; and the count of open jobs, every 15 s.
                let key = ["Key", "Item"].iter().find_map(|name| body[*name]["pk"]["S"].as_str()).unwrap_or_default();
                let apart = key.starts_with("WORKSPACE#") || key.starts_with("USED#");
                if apart || (key.starts_with("KEY#") && call == "GetItem") || body["Select"] == "COUNT" {
                    calls.lock().unwrap().push("settings".to_owned());
                    return Reaction::Forward;
                }
                // The audit's heads, which are logged once an hour.
                let of_heads = |key: &Value| key["pk"]["S"].as_str().is_some_and(|key| key.starts_with("CHAIN#"));
                let listed = body["ExpressionAttributeValues"][":pk"]["S"] == "CHAINS";
                let keys =
                    body["RequestItems"].as_object().and_then(|tables| tables.values().next()?["Keys"].as_array());
                if listed || keys.is_some_and(|keys| keys.iter().all(of_heads)) {
                    return Reaction::Forward;
                }
                let index = body["IndexName"].as_str().map(|index| format!(" {index}")).unwrap_or_default();
                // A scrape looks for the job that waits longest, and the sweeper for those that were due before a time.
                let before =
                    body["ExpressionAttributeValues"][":before"]["N"].as_str().and_then(|before| before.parse().ok());
                let is_scrape =
                    before == Some(jiff::Timestamp::MAX.as_microsecond()) && body["ScanIndexForward"] == true;
                let index = if is_scrape { format!("{index} by a scrape") } else { index };
                calls.lock().unwrap().push(format!("{call}{index}"));
                Reaction::Forward
            }
        });
        let (redis_url, aws_url) = (redis.url(), aws.url());
        let variables = [self.variables(&redis_url, &aws_url), more.to_vec()].concat();
        let server = Server::start(Path::new(self.folder.path()), &variables);
        Program { server, redis, receives, calls }
    }
}

fn may_pass((passes, changed): &(Mutex<usize>, Condvar), for_all: bool) -> bool {
    let passes = passes.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut passes, _) = changed.wait_timeout_while(passes, HOLD, |passes| !for_all || *passes == 0).unwrap();
    let may = for_all && *passes > 0;
    *passes -= usize::from(may);
    may
}

impl Program {
    /// What was asked since this was called last. The sweeper's looks, one a minute, are left out.
    fn cost(&self, what: &str) -> Cost {
        let trips = self.redis.round_trips();
        let calls = std::mem::take(&mut *self.calls.lock().unwrap());
        let calls: Vec<_> = calls.into_iter().filter(|call| call != "Query open_jobs").collect();
        let (settings, calls): (Vec<_>, Vec<_>) = calls.into_iter().partition(|call| call == "settings");
        let (sqs, dynamodb): (Vec<_>, Vec<_>) = calls.into_iter().partition(|call| is_sqs(call));
        let (gate, redis): (Vec<_>, Vec<_>) =
            trips.into_iter().partition(|trip| trip.iter().all(|command| command.starts_with("GET flags:")));
        let (flush, redis): (Vec<_>, Vec<_>) = redis.into_iter().partition(|trip| {
            trip.iter().all(|command| command.contains("orc:{metrics:") && command.contains(":batch:"))
        });
        let is_heads_lock =
            |trip: &Vec<String>| trip.iter().all(|command| command.starts_with("SET orc:{audit-heads}"));
        let redis: Vec<_> = redis.into_iter().filter(|trip| !is_heads_lock(trip)).collect();
        let trips: String = redis.iter().fold(String::new(), |mut line, trip| {
            let first = trip.first().map_or("", |command| without_id(command));
            let _ = write!(line, "{first}*{} ", trip.len());
            line
        });
        println!(
            "{what}: settings {} gate {} flush {} redis {} {trips} dynamodb {dynamodb:?} sqs {sqs:?}",
            settings.len(),
            gate.len(),
            flush.len(),
            redis.len()
        );
        Cost {
            settings: settings.len(),
            gate: gate.len(),
            flush: flush.len(),
            redis: redis.len(),
            dynamodb: dynamodb.len(),
            sqs: sqs.len(),
        }
    }

    /// The same, where the gate may or may not have been asked: once at most.
    fn warm_cost(&self, what: &str) -> Cost {
        let cost = self.cost(what);
        // Jobs side by side may ask side by side.
        assert!(cost.gate <= 10 && cost.settings <= 10, "{cost:?}");
        Cost { settings: 0, gate: 0, ..cost }
    }

    async fn execute(&self, body: &Value) -> Reply {
        let reply = self.server.post("/ai/execute", body).await;
        assert_eq!(reply.status, 202, "{}", reply.body);
        reply
    }

    /// Lets one receive through; returns when so many messages are acknowledged.
    async fn work(&self, messages: usize) {
        *self.receives.0.lock().unwrap() += 1;
        self.receives.1.notify_all();
        let acknowledged = |call: &&String| *call == "DeleteMessage";
        until("the jobs are not worked", || self.calls.lock().unwrap().iter().filter(acknowledged).count() == messages)
            .await;
        assert_eq!(*self.receives.0.lock().unwrap(), 0, "it was one receive");
    }
}

fn is_sqs(call: &str) -> bool {
    ["SendMessageBatch", "DeleteMessage", "GetQueueAttributes"].contains(&call)
}

/// A command with its key's last part only.
fn without_id(command: &str) -> &str {
    command.rsplit_once(':').map_or(command, |(_, part)| part)
}

fn request(actions: &[Value]) -> Value {
    json!({ "actions": actions, "actor_id": "ana@example.com" })
}

fn ten(name: &str) -> Value {
    request(&(0..10).map(|n| gmail(&format!("{name}-{n}"), "Hello")).collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_and_jobs_cost_what_is_written_down() {
    let world = World::start().await;
    requests(&world).await;

    let fakes = Fakes::start().await.unwrap();
    let (sends, scope) = (["gmail.messages.send"], GMAIL_SEND);
    live(&world, &fakes, scope, &sends, Cost { redis: 2, dynamodb: 5, sqs: 1, ..ONE }).await;
    let (sends, scope) = (["gmail.drafts.create", "gmail.drafts.send"], GMAIL_COMPOSE);
    live(&world, &fakes, scope, &sends, Cost { redis: 2, dynamodb: 6, sqs: 1, ..ONE }).await;

    planned_by_a_model(&world).await;
    first_request(&world).await;
    with_a_key(&world).await;
}

/// A plan by a model, whose tokens are reserved before and settled after it is asked.
async fn planned_by_a_model(world: &World) {
    let model = FakeModel::new("sk-test");
    let url = model.serve().await;
    let program = world.program(&[("OPENAI_BASE_URL", &url), ("OPENAI_API_KEY", "sk-test")]);
    let prompt = json!({ "prompt": "Send email to john@example.com saying thanks for the meeting" });
    // The server learns the scripts.
    assert_eq!(program.server.post("/ai/plan2", &prompt).await.status, 200);
    program.cost("warm up");
    assert_eq!(program.server.post("/ai/plan2", &prompt).await.status, 200);
    assert_eq!(program.cost("plan2 by a model"), Cost { redis: 2, dynamodb: 4, ..ONE });
    assert_eq!(model.requests().len(), 2);
}

async fn requests(world: &World) {
    let program = world.program(&[]);
    // The servers learn the scripts, and the process the gate.
    program.execute(&request(&[gmail("warm", "Hello")])).await;
    program.work(1).await;
    program.cost("warm up");

    let reply = program.execute(&ten("a")).await;
    let cost = Cost { redis: 2, dynamodb: 2, sqs: 1, ..ONE };
    assert_eq!(program.warm_cost("execute of ten"), cost);

    let id = reply.body["job_ids"][9].as_str().unwrap();
    let path = format!("/ai/jobs/{id}");
    assert_eq!(program.server.get(&path).await.body["status"], "pending");
    assert_eq!(program.cost("poll, cached"), Cost { redis: 1, ..ONE });
    assert_eq!(world.redis.command(&format!("DEL orc:{{local#{id}}}:job")), ":1");
    assert_eq!(program.server.get(&path).await.body["status"], "pending");
    assert_eq!(program.cost("poll, not cached"), Cost { redis: 2, dynamodb: 1, ..ONE });
    assert_eq!(program.server.get(&format!("{path}?wait=1")).await.body["status"], "pending");
    let cost = program.cost("wait of a second");
    assert!(cost.redis <= 7 && Cost { redis: 0, ..cost } == ONE, "a look after 0, 25, 75, 175, 375, 775, 1000 ms");

    program.execute(&ten("a")).await;
    assert_eq!(program.warm_cost("execute, replayed"), Cost { redis: 1, dynamodb: 1, ..ONE });
    program.work(10).await;
    // Until the gate has answered the first of them, others may ask it too.
    let cost = program.cost("ten jobs side by side");
    assert_eq!((cost.dynamodb, cost.sqs), (50, 10));
    assert!((1..=10).contains(&cost.flush), "one may bring what several have counted: {cost:?}");
    assert!(cost.redis <= 20, "what is under way at once may look like one: {cost:?}");

    program.execute(&request(&[gmail("b", "Hello")])).await;
    assert_eq!(program.warm_cost("execute of one"), Cost { redis: 2, dynamodb: 2, sqs: 1, ..ONE });
    program.work(1).await;
    assert_eq!(program.warm_cost("job, sandbox"), Cost { redis: 2, dynamodb: 5, sqs: 1, ..ONE });

    let long = "x".repeat(90 * 1024);
    let mut large = ten("large");
    large["actions"].as_array_mut().unwrap().iter_mut().for_each(|action| action["params"]["text"] = json!(long));
    program.execute(&large).await;
    let cost = Cost { redis: 2, dynamodb: 2, sqs: 1, ..ONE };
    assert_eq!(program.warm_cost("execute of ten, 90 KiB each"), cost);
    program.work(10).await;
    assert_eq!(program.cost("ten jobs of 90 KiB").dynamodb, 50);

    let prompt = json!({ "prompt": "Send email to john@example.com saying thanks for the meeting" });
    let plan = program.server.post("/ai/plan2", &prompt).await.body;
    assert_eq!(program.warm_cost("plan2"), Cost { dynamodb: 4, ..ONE });
    program.execute(&json!({ "plan_id": plan["plan"]["plan_id"], "actor_id": "ana@example.com" })).await;
    let cost = Cost { redis: 2, dynamodb: 3, sqs: 1, ..ONE };
    assert_eq!(program.warm_cost("execute of a plan"), cost);
    program.work(1).await;
    program.cost("its job");

    assert_eq!(program.server.get("/metrics").await.status, 200);
    assert_eq!(program.cost("scrape"), Cost { redis: 1, dynamodb: 17, sqs: 1, ..ONE });
    assert_eq!(program.server.counts().await, (23, 23), "every job has left its mail");
}

/// A job that goes to Gmail, with the requests that are made there.
async fn live(world: &World, fakes: &Fakes, scope: &str, sends: &[&str], cost: Cost) {
    fakes.reset();
    fakes.add_token(Token::new(Provider::Google, "t-google", &[scope]));
    let url = fakes.gmail_url();
    let program = world.program(&[
        ("GMAIL_BASE_URL", &url),
        ("GOOGLE_ACCESS_TOKEN", "t-google"),
        ("GOOGLE_ACCESS_TOKEN_SCOPES", scope),
    ]);
    program.execute(&request(&[gmail(sends[0], "Hello")])).await;
    assert_eq!(program.warm_cost("execute of one"), Cost { redis: 2, dynamodb: 2, sqs: 1, ..ONE });
    program.work(1).await;
    assert_eq!(program.warm_cost(&format!("job, {sends:?}")), cost);
    assert_eq!((fakes.operations().as_slice(), fakes.deliveries().len()), (sends, 1));
}

/// With a key a request is counted in its first call to the cache: it costs no round trip more.
async fn with_a_key(world: &World) {
    let endpoint = world.aws.url();
    let scopes = "actions:preview,actions:execute";
    let mut create = command(world.folder.path(), &world.variables("redis://127.0.0.1:1", &endpoint));
    let made = create.args(["keys", "create", "--workspace", "acme", "--scopes", scopes]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let key = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let mut program = world.program_with_keys();
    program.server.use_key(&key);
    program.execute(&request(&[gmail("warm", "Hello")])).await;
    program.work(1).await;
    program.cost("warm up");
    let reply = program.execute(&ten("keyed")).await;
    assert_eq!(program.warm_cost("execute of ten, with a key"), Cost { redis: 2, dynamodb: 2, sqs: 1, ..ONE });
    let path = format!("/ai/jobs/{}", reply.body["job_ids"][9].as_str().unwrap());
    assert_eq!(program.server.get(&path).await.body["status"], "pending");
    assert_eq!(program.warm_cost("poll, cached, with a key"), Cost { redis: 1, ..ONE });
    let prompt = json!({ "prompt": "Send email to john@example.com saying thanks for the meeting" });
    assert_eq!(program.server.post("/ai/plan2", &prompt).await.status, 200);
    // One call more than without a key: the same went out before.
    assert_eq!(program.warm_cost("plan2, with a key"), Cost { redis: 1, dynamodb: 5, ..ONE });
    assert_eq!(program.server.get("/ai/jobs").await.status, 200);
    assert_eq!(program.warm_cost("list, with a key"), Cost { redis: 1, dynamodb: 2, ..ONE });
    program.cost("before the jobs");
    program.work(10).await;
    let cost = program.cost("ten jobs side by side, with a key");
    assert_eq!((cost.dynamodb, cost.sqs), (50, 10));
    assert!((10..=20).contains(&cost.settings), "the key for each, and the workspace's settings: {cost:?}");
}

/// The most that a request costs: the first of a process, on a Redis that knows neither the gate's
/// percents nor the scripts, with both providers.
async fn first_request(world: &World) {
    let program = world.program(&[]);
    for command in ["DEL flags:google:rollout_percent flags:microsoft:rollout_percent", "SCRIPT FLUSH"] {
        world.redis.command(command);
    }
    let mut both = ten("first");
    both["actions"][9]["provider"] = json!("microsoft");
    both["actions"][9]["action"] = json!("outlook.send");
    program.execute(&both).await;
    assert_eq!(program.cost("first request"), Cost { settings: 1, gate: 2, flush: 1, redis: 5, dynamodb: 4, sqs: 1 });
    program.work(10).await;
    world.know_the_rollout();
}
