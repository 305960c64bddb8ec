//! `/metrics`: the counts of the whole deployment, in a format that other tools read, even after hostile requests.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::Instant,
};

use contracts::{proxies::RedisProxy, servers::RedisServer};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Client, Server, gmail, reply, until};

async fn scrape(client: &Client, accept: &str) -> (String, String) {
    let answer = reply(client.request("GET", "/metrics").header("accept", accept)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    (answer.header("content-type").to_owned(), answer.body.as_str().expect("text").to_owned())
}

/// A sample's value.
fn value<'t>(text: &'t str, series: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

/// The names and labels of all samples.
fn series(text: &str) -> BTreeSet<String> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').expect("a name and a value").0.to_owned()).collect()
}

/// Runs a program with this input; returns whether it succeeded, and its output.
fn reads(program: &mut Command, text: &str) -> (bool, String) {
    let started = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut reader = started.expect("scripts/test installs what this needs");
    reader.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("it reads");
    let output = reader.wait_with_output().expect("it ends");
    let says = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&says).into_owned())
}

/// Asserts that promtool and Python's parser accept a server's text, whatever the `Accept` header.
async fn is_valid(client: &Client) {
    let (kind, text) = scrape(client, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5").await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    let (content, says) = reads(Command::new("promtool").args(["check", "metrics"]), &text);
    assert!(content && says.trim().is_empty(), "{says}\n{text}");
    let parse = "import sys\nfrom prometheus_client.parser import text_string_to_metric_families as read\n\
                 print(len(list(read(sys.stdin.read()))))";
    let (content, says) = reads(Command::new("python3").args(["-c", parse]), &text);
    assert!(content, "{says}\n{text}");
    assert_eq!(says.trim().parse().ok(), Some(telemetry::names::ALL.len()), "every metric is listed");
}

#[tokio::test]
async fn two_instances_are_one_deployment_and_redis_gone_is_no_error() {
    let mut redis = RedisServer::start(false);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let url = redis.url();
    let [first, second] = folders.each_ref().map(|folder| Server::start(folder.path(), &[("REDIS_URL", &url)]));
    for (server, key) in [(&first, "a"), (&second, "b")] {
        let job = server.execute(gmail(key, "Hello")).await;
        assert_eq!(server.ended(&job).await["status"], "completed");
    }
    // A job is flushed after its end was written.
    let completed = "ai_jobs_total{provider=\"google\",action=\"gmail.send\",status=\"completed\"}";
    let mut text = String::new();
    for _ in 0..200 {
        text = scrape(&first, "").await.1;
        if value(&text, completed) == Some("2") {
            break;
        }
    }
    let lost = "ai_metrics_flush_total{outcome=\"lost\"}";
    if value(&text, lost) == Some("0") {
        assert_eq!(value(&text, completed), Some("2"), "{text}");
        let accepted = "ai_http_requests_total{route=\"/ai/execute\",method=\"POST\",status=\"202\"}";
        assert_eq!((value(&text, accepted), value(&text, "ai_metrics_store_up")), (Some("2"), Some("1")), "{text}");
        assert_eq!(value(&scrape(&second, "").await.1, completed), Some("2"), "whoever is asked");
    }
    assert_eq!(value(&text, "ai_queue_oldest_age_seconds"), Some("0"));
    is_valid(&first).await;

    redis.kill();
    let text = scrape(&first, "").await.1;
    assert_eq!((value(&text, "ai_metrics_store_up"), value(&text, "ai_queue_depth")), (Some("0"), Some("0")), "{text}");
    assert!(!text.contains("\nai_jobs_total{") && text.contains("# TYPE ai_jobs_total counter\n"), "{text}");
    is_valid(&first).await;
    let before = first.get("/healthz").await;
    assert_eq!(before.status, 200, "nobody has to wait for it");

    redis.restart();
    assert_eq!(first.get("/healthz").await.status, 200);
    let text = scrape(&first, "").await.1;
    if value(&text, lost) == Some("0") {
        let answered = value(&text, "ai_http_requests_total{route=\"/healthz\",method=\"GET\",status=\"200\"}");
        assert_eq!(answered, Some("2"), "what Redis refused was kept: {text}");
    }
}

#[tokio::test]
async fn after_redis_went_silent_the_next_request_but_one_is_at_full_speed_and_no_count_is_lost() {
    let redis = RedisServer::start(false);
    let proxy = RedisProxy::start(redis.port());
    let folder = tempfile::tempdir().unwrap();
    let url = proxy.url();
    let server = Server::start(folder.path(), &[("REDIS_URL", &url)]);
    let answered = async || {
        let began = Instant::now();
        assert_eq!(server.get("/healthz").await.status, 200);
        began.elapsed()
    };
    answered().await;
    let mut asked = 1;
    for _ in 0..3 {
        proxy.forget();
        let first = answered().await;
        assert!(first >= telemetry::FLUSH_TIMEOUT, "it waits for the connection that died: {first:?}");
        let second = answered().await;
        assert!(second < telemetry::FLUSH_TIMEOUT, "{second:?}");
        asked += 2;
        let text = scrape(&server, "").await.1;
        let counted = value(&text, "ai_http_requests_total{route=\"/healthz\",method=\"GET\",status=\"200\"}");
        assert_eq!(counted, Some(&*asked.to_string()), "{text}");
    }
}

#[tokio::test]
async fn counts_can_be_log_lines_for_cloudwatch_and_then_none_goes_to_redis() {
    let redis = RedisServer::start(false);
    let folder = tempfile::tempdir().unwrap();
    let url = redis.url();
    let variables =
        [("REDIS_URL", url.as_str()), ("EMF", "true"), ("EMF_NAMESPACE", "acme/mail"), ("LOG_FORMAT", "json")];
    let server = Server::start(folder.path(), &variables);
    let job = server.execute(gmail("emf", "Hello")).await;
    assert_eq!(server.ended(&job).await["status"], "completed");
    until("the end is not counted", || server.output().contains("\"status\":\"completed\"")).await;
    let output = server.output();
    let told: String = output.lines().filter(|line| line.starts_with('{')).flat_map(|line| [line, "\n"]).collect();
    // The schema of the specification, as AWS publishes it.
    let check = "import json, jsonschema, sys\n\
                 schema = json.load(open(sys.argv[1]))\n\
                 jsonschema.Draft7Validator.check_schema(schema)\n\
                 for line in sys.stdin:\n\
                 \x20   line = json.loads(line)\n\
                 \x20   jsonschema.validate(line, schema)\n\
                 \x20   for directive in line['_aws']['CloudWatchMetrics']:\n\
                 \x20       targets = [name for names in directive['Dimensions'] for name in names]\n\
                 \x20       assert all(isinstance(line[name], str) and 0 < len(line[name]) <= 1024 for name in targets), line\n\
                 \x20       for metric in directive['Metrics']:\n\
                 \x20           value = line[metric['Name']]\n\
                 \x20           values = value if isinstance(value, list) else [value]\n\
                 \x20           assert 0 < len(values) <= 100 and all(type(value) in (int, float) for value in values), line";
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/emf.schema.json");
    let (valid, says) = reads(Command::new("python3").args(["-c", check, schema]), &told);
    assert!(valid, "{says}\n{told}");
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let has = |status: &str| lines.iter().any(|line| line["ai_jobs_total"] == 1 && line["status"] == status);
    assert!(has("enqueued") && has("completed"), "{told}");
    assert!(lines.iter().all(|line| line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "acme/mail"), "{told}");
    assert!(!redis.command("KEYS *").contains("metrics"), "nothing is flushed to Redis");

    let text = scrape(&server, "").await.1;
    assert!(!text.contains("\nai_jobs_total{") && !text.contains("\nai_metrics_store_up "), "{text}");
    assert_eq!(value(&text, "ai_queue_depth"), Some("0"), "{text}");
    is_valid(&server).await;
}

#[tokio::test]
async fn a_scrape_is_compressed_for_whoever_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let address = server.url.trim_start_matches("http://").to_owned();
    let raw = |header: &str| {
        let mut connection = TcpStream::connect(&address).unwrap();
        write!(connection, "GET /metrics HTTP/1.1\r\nHost: {address}\r\n{header}Connection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        (String::from_utf8_lossy(&answer[..end]).to_lowercase(), answer[end..].to_vec())
    };
    // From the second on, it tells of the one before.
    raw("");
    let (head, plain) = raw("");
    assert!(head.contains("vary: accept-encoding") && !head.contains("content-encoding"), "{head}");
    for header in ["Accept-Encoding: gzip\r\n", "Accept-Encoding: br, deflate;q=0.5, gzip;q=0.3\r\n"] {
        let (head, packed) = raw(header);
        assert!(head.contains("content-encoding: gzip") && packed.len() * 4 < plain.len(), "{head}");
        let unpack = "import gzip, sys\nsys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";
        let mut python =
            Command::new("python3").args(["-c", unpack]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let python = python.as_mut().expect("scripts/test needs Python");
        python.stdin.take().unwrap().write_all(&packed).unwrap();
        let mut text = String::new();
        python.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(python.wait().unwrap().success());
        assert_eq!(series(&text), series(&String::from_utf8_lossy(&plain)), "it is the same text");
    }
    assert!(!raw("Accept-Encoding: gzip;q=0, br\r\n").0.contains("content-encoding"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_hostile_names_make_no_series() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    // One of each kind, so that what is left to make new series is the names.
    hostile(&server.client(), 0..40).await;
    let before = series(&scrape(&server, "").await.1);
    let (each, at_once) = (10_000 / 8, 8);
    let mut tasks = JoinSet::new();
    for part in 0..at_once {
        let client = server.client();
        tasks.spawn(async move { hostile(&client, 40 + part * each..40 + (part + 1) * each).await });
    }
    tasks.join_all().await;
    let text = scrape(&server, "").await.1;
    let mut after = series(&text);
    after.retain(|series| !series.contains("route=\"/metrics\""));
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{new:?}");
    assert!(!text.contains("evil"), "no name is told");
    assert_eq!(value(&text, "ai_http_requests_total{route=\"other\",method=\"other\",status=\"404\"}"), Some("2008"));
}

/// Requests whose names are of nobody's choosing.
async fn hostile(client: &Client, numbers: std::ops::Range<usize>) {
    for n in numbers {
        let name = format!("evil-{n}\"}} 1\n# ü{{x=\"\\{n}");
        let mut action = gmail("hostile", "Hello");
        let execute = |action: &serde_json::Value, actor: &str, workspace: Option<&str>| {
            let body = json!({ "actions": [action], "actor_id": actor, "workspace_id": workspace });
            client.request("POST", "/ai/execute").json(&body)
        };
        let (request, status) = match n % 5 {
            0 => (execute(&action, "ana@example.com", Some(&name)), 403),
            1 => (execute(&action, &name, None), 422),
            2 => {
                action["action"] = json!(format!("evil.{n}"));
                (execute(&action, "ana@example.com", None), 422)
            }
            3 => (client.request("GET", &format!("/evil/{n}/%22%7D%0A{{job_id}}?{n}")), 404),
            _ => (client.request(&format!("EVIL{n}"), &format!("/evil/{n}")), 404),
        };
        let answer = reply(request.header("traceparent", format!("evil-{n}"))).await;
        assert_eq!(answer.status, status, "{n}: {}", answer.body);
    }
}
