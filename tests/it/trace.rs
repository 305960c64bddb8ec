//! One trace from the plan through the queue to the worker's log lines, and secrets that no line contains.

use std::collections::BTreeMap;

use contracts::servers::RedisServer;
use serde_json::{Value, json};

use crate::support::{Server, reply, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// The log's lines, each of which must be a JSON object.
fn lines(log: &str) -> Vec<Value> {
    let line = |line: &str| {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        let level = parsed["level"].as_str().expect("a level");
        assert!(["DEBUG", "INFO", "WARN", "ERROR"].contains(&level), "{line}");
        parsed["timestamp"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok()).expect("RFC 3339");
        parsed
    };
    log.lines().map(line).collect()
}

#[tokio::test]
async fn a_trace_goes_from_the_plan_through_the_queue_to_the_worker() {
    let redis = RedisServer::start(false);
    let folder = tempfile::tempdir().unwrap();
    let url = redis.url();
    let filter = "info,web=debug";
    let variables = [("REDIS_URL", url.as_str()), ("QUEUE_URL", "redis"), ("LOG_FORMAT", "json"), ("RUST_LOG", filter)];
    let server = Server::start(folder.path(), &variables);
    let prompt =
        json!({ "prompt": "Send email to secret.john@example.com saying thanks for the confidential meeting" });
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let plan = reply(server.request("POST", "/ai/plan2").json(&prompt).header("traceparent", &traceparent)).await;
    assert_eq!(plan.status, 200, "{}", plan.body);
    // The execution names no trace: it is the plan's.
    let executed = server.post("/ai/execute", &json!({ "plan_id": plan.body["plan"]["plan_id"] })).await;
    assert_eq!(executed.status, 202, "{}", executed.body);
    let job = executed.body["job_ids"][0].as_str().unwrap();
    assert_eq!(server.ended(job).await["status"], "completed");
    until("the job's end is not logged", || server.log().contains("the job ended")).await;

    let log = server.into_log();
    let of_trace: Vec<Value> = lines(&log).into_iter().filter(|line| line["trace.id"] == TRACE).collect();
    let mut by_message: BTreeMap<&str, &Value> = BTreeMap::new();
    for line in &of_trace {
        by_message.insert(line["message"].as_str().unwrap_or_default(), line);
    }
    let request_of = |message: &str| by_message[message]["correlation.id"].as_str().expect("a request's id").to_owned();
    assert_eq!(by_message["planned"]["plan.id"], plan.body["plan"]["plan_id"]);
    assert_eq!(request_of("planned"), plan.header("x-correlation-id"));
    assert_eq!(by_message["a job was accepted"]["job.id"], job);
    assert_eq!(request_of("a job was accepted"), executed.header("x-correlation-id"));
    assert_eq!(by_message["the job ended"]["job.id"], job);
    for secret in ["secret.john", "example.com", "confidential", "thanks"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}

#[tokio::test]
async fn what_is_no_traceparent_begins_a_trace_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[("LOG_FORMAT", "json"), ("RUST_LOG", "web=debug")]);
    let garbage = ["", "evil", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-é"];
    for traceparent in garbage {
        let answer = reply(server.request("GET", "/actions").header("traceparent", traceparent.as_bytes())).await;
        assert_eq!(answer.status, 200);
    }
    until("not every answer is logged", || server.log().matches("answered").count() == garbage.len()).await;
    let log = server.into_log();
    let mut traces: Vec<String> =
        lines(&log).iter().map(|line| line["trace.id"].as_str().expect("a trace").to_owned()).collect();
    assert!(traces.iter().all(|trace| trace.len() == 32 && trace.bytes().any(|digit| digit != b'0')), "{traces:?}");
    traces.sort();
    traces.dedup();
    assert_eq!(traces.len(), garbage.len(), "each its own");
    assert!(!log.contains("evil"), "{log}");
}
