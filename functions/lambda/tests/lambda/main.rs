//! The real program behind a Lambda Runtime API on loopback, in each of its roles.

mod runtime_api;

use std::{sync::Arc, time::Duration};

use adapters::{
    aws::{DynamoLedger, Sdk, SqsQueue, settings},
    system::{SystemClock, SystemIds},
};
use aws_sdk_sqs::config::{Credentials, Region, SharedCredentialsProvider};
use contracts::{Ministack, servers::RedisServer};
use domain::Scope;
use engine::{
    keys::{NewKey, create_key},
    ports::{Ids, Queue},
};
use serde_json::{Value, json};

use crate::runtime_api::{Function, run};

const TOKEN_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Variables that name servers where nobody is.
fn nowhere() -> Vec<(&'static str, String)> {
    let dead = "http://127.0.0.1:1";
    vec![
        ("REDIS_URL", "redis://127.0.0.1:1".to_owned()),
        ("QUEUE_URL", format!("{dead}/queue")),
        ("LEDGER_TABLE", "ledger".to_owned()),
        ("TOKEN_KEY", TOKEN_KEY.to_owned()),
        ("AWS_ENDPOINT_URL", dead.to_owned()),
    ]
}

/// An HTTP API's event of version 2.0.
fn request(method: &str, stage: &str, path: &str, key: Option<&str>, body: Option<&Value>) -> Value {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let path = if stage == "$default" { path.to_owned() } else { format!("/{stage}{path}") };
    let mut headers = json!({ "host": "api.example.com", "content-type": "application/json" });
    if let Some(key) = key {
        headers["authorization"] = format!("Bearer {key}").into();
    }
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": headers,
        "requestContext": {
            "accountId": "000000000000", "apiId": "api", "stage": stage, "routeKey": "$default", "requestId": "r",
            "domainName": "api.example.com", "domainPrefix": "api", "time": "01/Jan/2027:00:00:00 +0000",
            "timeEpoch": 1_798_761_600_000_i64,
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "it" }
        },
        "body": body.map(Value::to_string), "isBase64Encoded": false
    })
}

/// Asks a function by HTTP: the status, and the body as JSON where it is.
async fn ask(function: &mut Function, event: Value) -> (u64, Value) {
    let answer = function.invoke(event).await.unwrap();
    let body = answer["body"].as_str().unwrap_or_default();
    (answer["statusCode"].as_u64().unwrap(), serde_json::from_str(body).unwrap_or_else(|_| body.into()))
}

/// An event of SQS's with messages whose ids are these.
fn messages(bodies: &[(&str, &str)]) -> Value {
    let records = bodies.iter().map(|(id, body)| {
        json!({
            "messageId": id, "receiptHandle": "r", "body": body, "attributes": {}, "messageAttributes": {},
            "md5OfBody": "", "eventSource": "aws:sqs", "awsRegion": "us-east-1",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:jobs"
        })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

fn failures(answer: &Value) -> Vec<&str> {
    let failures = answer["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap()).collect()
}

#[test]
fn all_that_is_wrong_is_said_in_one_line_without_a_secret() {
    let wrong = [
        ("OPENAI_API_KEY", "sk-s3cret"),
        ("GOOGLE_ACCESS_TOKEN", "ya29.s3cret"),
        ("TOKEN_KEY", "s3cret"),
        ("REDIS_URL", "http://:s3cret@redis.example.com"),
        ("MICROSOFT_CLIENT_ID", "client"),
        ("MICROSOFT_CLIENT_SECRET", "arn:aws:s3:::s3cret"),
        ("FLAGS_GOOGLE_ROLLOUT_PERCENT", "many"),
        ("ENABLE_DEV_UI", "yes"),
    ];
    let output = run("execute", &wrong.map(|(name, value)| (name, value.to_owned())));
    assert!(!output.status.success());
    let text = String::from_utf8(output.stderr).unwrap();
    let line: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}, of: {text}"));
    assert_eq!(line["level"], "ERROR");
    assert!(line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
    for name in [
        "QUEUE_URL",
        "LEDGER_TABLE",
        "GOOGLE_ACCESS_TOKEN",
        "TOKEN_KEY",
        "REDIS_URL",
        "PUBLIC_URL",
        "FLAGS_GOOGLE_ROLLOUT_PERCENT",
        "ENABLE_DEV_UI",
    ] {
        assert!(line["error"].as_str().is_some_and(|error| error.contains(name)), "{name} is missing in: {line}");
    }
    assert!(!text.contains("s3cret") && output.stdout.is_empty(), "{text}");
}

#[test]
fn a_handler_that_is_not_there_is_said() {
    for handler in ["", "planner", "Plan2", "bootstrap", "dead_letters"] {
        let output = run(handler, &nowhere());
        let line: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert!(!output.status.success());
        assert_eq!(line["error"], format!("there is no handler {handler:?}"));
    }
}

#[tokio::test]
async fn every_function_of_the_api_has_a_handler() {
    for handler in ["plan2", "execute", "jobs", "connect", "mcp", "metrics"] {
        let mut function = Function::start(handler, &nowhere()).await;
        let (status, body) = ask(&mut function, request("GET", "$default", "/nothing", None, None)).await;
        assert_eq!((status, &body["code"]), (404, &json!("not-found")), "{handler}");
    }
}

#[tokio::test]
async fn each_function_serves_its_rows_and_always_wants_a_key() {
    let mut execute = Function::start("execute", &nowhere()).await;
    let (status, body) = ask(&mut execute, request("GET", "$default", "/healthz", None, None)).await;
    assert_eq!((status, &body["code"]), (404, &json!("not-found")), "it is another function's");
    // Nobody is reached for it, and nothing has a row for the page.
    let (status, body) = ask(&mut execute, request("POST", "$default", "/ai/execute", None, Some(&json!({})))).await;
    assert_eq!((status, &body["code"]), (401, &json!("unauthenticated")));
    assert_eq!(body["correlation_id"], "request-2", "the invocation's own id");

    let mut metrics = Function::start("metrics", &nowhere()).await;
    for stage in ["$default", "prod"] {
        let (status, body) = ask(&mut metrics, request("GET", stage, "/healthz", None, None)).await;
        assert_eq!((status, body), (200, json!({ "status": "ok" })), "{stage}");
    }
    let (status, _) = ask(&mut metrics, request("GET", "$default", "/metrics", None, None)).await;
    assert_eq!(status, 401);
    // What no route of the API takes comes here.
    for (path, status, code) in [("/ai/plan2", 405, "method-not-allowed"), ("/ai/plan3", 404, "not-found")] {
        let (answered, body) = ask(&mut metrics, request("GET", "$default", path, None, None)).await;
        assert_eq!((answered, &body["code"]), (status, &json!(code)), "{path}");
    }
    let page = request("GET", "$default", "/dev/action-runner.html", None, None);
    assert_eq!(ask(&mut metrics, page.clone()).await.0, 404);
    let mut variables = nowhere();
    variables.push(("ENABLE_DEV_UI", "true".to_owned()));
    assert_eq!(ask(&mut Function::start("metrics", &variables).await, page).await.0, 200);
}

#[tokio::test]
async fn a_request_belongs_to_the_trace_of_x_ray_unless_it_brings_its_own() {
    let mut variables = nowhere();
    variables.push(("RUST_LOG", "web=debug".to_owned()));
    let mut metrics = Function::start("metrics", &variables).await;
    let own = "4bf92f3577b34da6a3ce929d0e0e4736";
    let xray = "58406520a006649127e371903a2de979";
    for (traceparent, trace) in
        [(None, xray), (Some(format!("00-{own}-00f067aa0ba902b7-01")), own), (Some("00-garbage".to_owned()), xray)]
    {
        let before = metrics.log().lines().count();
        let mut event = request("GET", "$default", "/healthz", None, None);
        if let Some(traceparent) = traceparent {
            event["headers"]["traceparent"] = traceparent.into();
        }
        assert_eq!(ask(&mut metrics, event).await.0, 200);
        let answered = |log: &str| log.lines().skip(before).find(|line| line.contains("answered")).map(str::to_owned);
        let line = loop {
            match answered(&metrics.log()) {
                Some(line) => break line,
                None => tokio::task::yield_now().await,
            }
        };
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["trace.id"], trace, "{line}");
        assert_eq!(line["xray.id"], "1-58406520-a006649127e371903a2de979", "{line}");
    }
}

/// Real servers, with a key, and the functions' variables for them.
struct World {
    _redis: RedisServer,
    _aws: Arc<Ministack>,
    queue: SqsQueue,
    key: String,
    variables: Vec<(&'static str, String)>,
}

impl World {
    async fn start() -> Self {
        let (redis, aws) = (RedisServer::start(false), Ministack::shared());
        let credentials = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "tests"));
        let config = settings().endpoint_url(aws.url()).region(Region::new("us-east-1"));
        let sdk = Sdk::with(config.credentials_provider(credentials).build());
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(SystemIds));
        let name = format!("it-{}", ids.uuid());
        let ledger = DynamoLedger::new(Arc::clone(&sdk), &name, clock.clone(), ids.clone());
        ledger.create_table().await.unwrap();
        let scopes = Scope::all();
        let new = NewKey {
            workspace: "acme".parse().unwrap(),
            scopes,
            actor: None,
            allow: None,
            lifetime: None,
            name: None,
            agent: false,
            draft_only: false,
        };
        let key = create_key(&ledger, &*clock, &*ids, new).await.unwrap();
        let made = aws_sdk_sqs::Client::new(sdk.config().await).create_queue().queue_name(&name).send().await.unwrap();
        let url = made.queue_url.unwrap();
        let variables = vec![
            ("REDIS_URL", redis.url()),
            ("QUEUE_URL", url.clone()),
            ("LEDGER_TABLE", name),
            ("TOKEN_KEY", TOKEN_KEY.to_owned()),
            ("AWS_ENDPOINT_URL", aws.url()),
            ("PROVIDER_MODE", "sandbox".to_owned()),
            ("ALLOW_ACTIONS_DEFAULT", "gmail.send".to_owned()),
            ("FLAGS_GOOGLE_ROLLOUT_PERCENT", "100".to_owned()),
        ];
        let queue = SqsQueue::new(sdk, url, clock, ids);
        Self { _redis: redis, _aws: aws, queue, key: key.reveal().clone(), variables }
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        request(method, "$default", path, Some(&self.key), body)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_goes_from_execute_by_way_of_the_queue_to_its_end() {
    let world = World::start().await;
    let [mut execute, mut jobs, mut worker, mut dead_letters, mut sweep] = [
        Function::start("execute", &world.variables).await,
        Function::start("jobs", &world.variables).await,
        Function::start("worker", &world.variables).await,
        Function::start("dead-letters", &world.variables).await,
        Function::start("sweep", &world.variables).await,
    ];
    let action = |id: &str| {
        json!({
            "provider": "google", "action": "gmail.send", "client_request_id": id,
            "params": { "to": "ana@example.com", "subject": "Hello", "text": "Good morning" }
        })
    };
    let body = json!({ "actor_id": "user@example.com", "actions": [action("1"), action("2")] });
    let (status, accepted) = ask(&mut execute, world.request("POST", "/ai/execute", Some(&body))).await;
    assert_eq!(status, 202, "{accepted}");
    let ids: Vec<&str> = accepted["job_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();

    let mut sent = Vec::new();
    while sent.len() < 2 {
        let more = world.queue.receive(10, Duration::from_secs(20)).await.unwrap();
        assert!(!more.is_empty(), "the queue has a message for each job");
        sent.extend(more.into_iter().map(|delivery| delivery.body));
    }
    let (first, second) = sent.iter().map(String::as_str).partition::<Vec<_>, _>(|body| body.contains(ids[0]));

    // One that is known to nobody is nobody's failure; one of a later version waits; the others do not suffer from it.
    let later = r#"{"version":"2","jobs":[]}"#;
    let batch = messages(&[("later", later), ("garbage", "?"), ("job", first[0])]);
    assert_eq!(failures(&worker.invoke(batch).await.unwrap()), ["later"]);
    let (status, job) = ask(&mut jobs, world.request("GET", &format!("/ai/jobs/{}", ids[0]), None)).await;
    assert_eq!((status, &job["status"]), (200, &json!("completed")), "{job}");
    let (_, outbox) = ask(&mut jobs, world.request("GET", "/dev/outbox", None)).await;
    assert_eq!(outbox["data"].as_array().map(Vec::len), Some(1), "{outbox}");

    let batch = messages(&[("later", later), ("garbage", "?"), ("job", second[0])]);
    assert_eq!(failures(&dead_letters.invoke(batch).await.unwrap()), ["later"]);
    let path = format!("/ai/jobs/{}", ids[1]);
    let (_, job) = ask(&mut jobs, world.request("GET", &path, None)).await;
    assert_eq!(job["status"], "pending", "no worker ever had it: {job}");
    let again = world.queue.receive(1, Duration::from_secs(20)).await.unwrap();
    assert!(again[0].body.contains(ids[1]), "it is queued again: {}", again[0].body);
    assert_eq!(failures(&worker.invoke(messages(&[("again", again[0].body.as_str())])).await.unwrap()), [""; 0]);
    let (_, job) = ask(&mut jobs, world.request("GET", &path, None)).await;
    assert_eq!(job["status"], "completed", "{job}");

    assert_eq!(sweep.invoke(json!({ "source": "aws.events" })).await, Ok(Value::Null));
}

#[tokio::test]
async fn an_invocation_that_cannot_reach_the_ledger_fails_by_the_problems_code() {
    for (handler, event) in [("sweep", json!({})), ("admin", json!({ "command": "rollout get" }))] {
        let mut function = Function::start(handler, &nowhere()).await;
        let failure = function.invoke(event).await.unwrap_err();
        assert_eq!(failure["errorType"], "store-unavailable", "{handler}: {failure}");
        assert!(failure["errorMessage"].as_str().unwrap().contains("the ledger failed"), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_needs_nothing_but_the_right_to_invoke() {
    let world = World::start().await;
    let mut admin = Function::start("admin", &world.variables).await;
    let mut jobs = Function::start("jobs", &world.variables).await;
    let create = json!({
        "command": "keys create", "workspace": "globex", "scopes": ["actions:preview"], "name": "backend",
        "replace_unused": true
    });
    let made = admin.invoke(create.clone()).await.unwrap();
    let lost = made["result"]["key"].as_str().unwrap().to_owned();
    assert!(made["ok"] == true && made["notes"] == json!(["This key expires in 90 days."]), "{made}");

    // The answer did not arrive, so the operator, or AWS's command line by itself, asks again.
    let again = admin.invoke(create.clone()).await.unwrap();
    let key = again["result"]["key"].as_str().unwrap().to_owned();
    assert!(again["notes"][1].as_str().unwrap().contains(lost.split('_').nth(1).unwrap()), "{again}");
    let look = |key: &str| request("GET", "$default", "/ai/jobs", Some(key), None);
    assert_eq!(ask(&mut jobs, look(&lost)).await.0, 401, "the first key is revoked");
    assert_eq!(ask(&mut jobs, look(&key)).await.0, 200);

    // A key in use stays.
    let third = admin.invoke(create).await.unwrap();
    assert_eq!(third["notes"].as_array().unwrap().len(), 1, "{third}");
    assert_eq!(ask(&mut jobs, look(&key)).await.0, 200);
    let keys = admin.invoke(json!({ "command": "keys list" })).await.unwrap();
    let rows = keys["result"].as_array().unwrap();
    let of_globex: Vec<&Value> = rows.iter().filter(|row| row["workspace"] == "globex").collect();
    assert_eq!(of_globex.iter().filter(|row| row["revoked_at"].is_null()).count(), 2, "{keys}");
    assert!(!keys.to_string().contains(key.split('_').next_back().unwrap()), "no list has a secret");

    let id = key.split('_').nth(1).unwrap();
    let revoked = admin.invoke(json!({ "command": "keys revoke", "id": id })).await.unwrap();
    assert_eq!(revoked, json!({ "ok": true, "result": { "done": format!("{id} is revoked") }, "notes": [] }));
    assert_eq!(ask(&mut jobs, look(&key)).await.0, 401, "at once: Redis was told");

    let set = json!({ "command": "rollout set", "provider": "google", "percent": 25 });
    let row = json!([{ "provider": "google", "percent": 25, "source": "ledger" }]);
    assert_eq!(admin.invoke(set).await.unwrap()["result"], row);
    let allow = json!({ "command": "workspaces allow", "workspace": "globex", "actions": ["gmail.send"] });
    assert_eq!(admin.invoke(allow).await.unwrap()["result"], json!({ "allow": "gmail.send" }));
    let verified = admin.invoke(json!({ "command": "audit verify" })).await.unwrap();
    assert!(verified["ok"] == true && verified["result"][2]["workspace"] == "globex", "{verified}");
}

#[tokio::test]
async fn what_an_operator_got_wrong_is_an_answer_that_says_what_to_change() {
    let mut admin = Function::start("admin", &nowhere()).await;
    for (event, code, pointer) in [
        (json!(null), "invalid-request", Some("")),
        (json!({ "Records": [] }), "invalid-request", Some("/command")),
        (json!({ "command": "keys make" }), "invalid-request", Some("/command")),
        (json!({ "command": "keys create", "workspace": "acme", "scopes": [] }), "invalid-request", Some("/scopes")),
        (
            json!({ "command": "keys create", "workspace": "acme", "scopes": ["everything"] }),
            "invalid-request",
            Some("/scopes/0"),
        ),
        (
            json!({ "command": "keys create", "workspace": "acme", "scopes": ["metrics:read"], "replace_unused": true }),
            "invalid-request",
            Some("/name"),
        ),
        (
            json!({ "command": "keys create", "workspace": "acme", "scopes": ["metrics:read"], "allow": ["gmail.none"] }),
            "unknown-action",
            Some("/allow/0"),
        ),
        (
            json!({ "command": "rollout set", "provider": "google", "percent": 101 }),
            "invalid-request",
            Some("/percent"),
        ),
        (json!({ "command": "reseal" }), "store-unavailable", None),
    ] {
        match (admin.invoke(event.clone()).await, pointer) {
            (Ok(answer), Some(pointer)) => {
                assert_eq!((&answer["ok"], &answer["error"]["code"]), (&json!(false), &json!(code)), "{event}");
                assert_eq!(answer["error"]["errors"][0]["pointer"], pointer, "{event}: {answer}");
                assert!(answer["error"]["detail"].as_str().unwrap().len() > 10, "{answer}");
            }
            // It is not the operator's mistake that the ledger is not there.
            (Err(failure), None) => assert_eq!(failure["errorType"], code, "{event}"),
            (answer, _) => panic!("{event}: {answer:?}"),
        }
    }
}
