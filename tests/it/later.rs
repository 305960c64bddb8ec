//! Jobs that go later: at the time that was asked for, or once there was time to take them back.

use std::time::Duration;

use adapters::system::SystemClock;
use domain::{JobErrorCode, State};
use engine::ports::Clock as _;
use fakes::Fakes;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    stage::{DAY, MINUTE, Stage},
    support::{Client, GMAIL_SEND, Reply, Server, gmail},
};

fn in_seconds(seconds: i64) -> Timestamp {
    SystemClock.now() + SignedDuration::from_secs(seconds)
}

async fn execute(client: &Client, key: &str, send_at: &Value) -> Reply {
    let body = json!({ "actions": [gmail(key, "Hello")], "actor_id": "ana@example.com", "send_at": send_at });
    client.post("/ai/execute", &body).await
}

fn id(accepted: &Reply) -> String {
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    accepted.body["job_ids"][0].as_str().unwrap().to_owned()
}

fn time(value: &Value) -> Timestamp {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no time"))
}

#[tokio::test]
async fn a_job_goes_at_its_time_and_not_before() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    let then = in_seconds(2);
    let accepted = execute(&server, "later", &json!(then)).await;
    assert_eq!(accepted.body["jobs"][0]["waiting_for"], "time", "{}", accepted.body);
    let id = id(&accepted);
    let waits = server.get(&format!("/ai/jobs/{id}")).await.body;
    assert_eq!((&waits["status"], &waits["waiting_for"]), (&json!("pending"), &json!("time")), "{waits}");
    assert_eq!((time(&waits["waiting_until"]), time(&waits["send_at"])), (then, then));
    let list = server.get("/ai/jobs?waiting_for=time").await.body;
    assert_eq!(list["data"][0]["job_id"], id.as_str());
    assert_eq!(fakes.count("job:later"), 0);
    let done = server.ended(&id).await;
    assert_eq!(done["status"], "completed", "{done}");
    let late = time(&done["started_at"]).duration_since(then).as_millis();
    assert!((0..2_000).contains(&late), "{late} ms late");
    assert_eq!(fakes.count("job:later"), 1);
}

#[tokio::test]
async fn what_reaches_people_can_be_taken_back_for_as_long_as_the_operator_says() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[("UNDO_SECONDS", "2")]);
    let [sent, undone] = [server.execute(gmail("sent", "Hello")).await, server.execute(gmail("undone", "Hello")).await];
    let waits = server.get(&format!("/ai/jobs/{undone}")).await.body;
    assert_eq!(waits["waiting_for"], "time", "{waits}");
    let left = time(&waits["waiting_until"]).duration_since(time(&waits["created_at"]));
    assert_eq!((left.as_secs(), &waits["send_at"]), (2, &Value::Null), "{waits}");
    let cancelled = server.post(&format!("/ai/jobs/{undone}/cancel"), &json!({})).await;
    assert_eq!(cancelled.body["error"]["code"], "cancelled");
    let done = server.ended(&sent).await;
    assert!(time(&done["started_at"]) >= time(&waits["waiting_until"]) - SignedDuration::from_millis(500), "{done}");
    assert_eq!((fakes.count("job:sent"), fakes.count("job:undone")), (1, 0));
    // A retry can be taken back, too, and a longer wait that was asked for is not cut.
    let retried = server.post(&format!("/ai/jobs/{undone}/retry"), &json!({})).await;
    assert_eq!(retried.body["waiting_for"], "time", "{}", retried.body);
    let then = in_seconds(DAY);
    let far = execute(&server, "far", &json!(then)).await;
    assert_eq!(time(&far.body["jobs"][0]["waiting_until"]), then);
    assert_eq!(server.ended(&undone).await["status"], "completed");
}

#[tokio::test]
async fn a_time_is_of_rfc_3339_with_an_offset_and_within_90_days() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let text = |seconds: i64, format: &str| json!(in_seconds(seconds).strftime(format).to_string());
    let far = |seconds: i64| text(seconds, "%Y-%m-%dT%H:%M:%SZ");
    for (n, good) in [
        far(-30),
        far(0),
        far(DAY),
        far(90 * DAY - 30),
        text(DAY, "%Y-%m-%dt%H:%M:%Sz"),
        text(DAY, "%Y-%m-%dT%H:%M:%S.5Z"),
        text(DAY, "%Y-%m-%dT%H:%M:%S+02:00"),
        text(DAY, "%Y-%m-%dT%H:%M:%S-09:30"),
        text(DAY, "%Y-%m-%dT%H:%M:%S-00:00"),
        text(DAY, "%Y-%m-%dT23:59:60Z"),
        Value::Null,
    ]
    .into_iter()
    .enumerate()
    {
        let accepted = execute(&server, &format!("good-{n}"), &good).await;
        assert_eq!(accepted.status, 202, "{good}: {}", accepted.body);
    }
    let bad = [
        far(-90),
        far(-DAY),
        far(90 * DAY + 30),
        far(400 * DAY),
        text(DAY, "%Y-%m-%dT%H:%M:%S"),
        text(DAY, "%Y-%m-%d %H:%M:%SZ"),
        text(DAY, "%Y-%m-%dT%H:%MZ"),
        text(DAY, "%Y-%m-%dT%H:%M:%S+0200"),
        text(DAY, "%Y-%m-%dT%H:%M:%S+24:00"),
        text(DAY, "%Y-%m-%dT%H:%M:%S[Europe/Berlin]"),
        text(DAY, "%Y-%m-%dT25:00:00Z"),
        text(DAY, "%s"),
        json!("9999-12-31T23:59:59-23:59"),
        json!("0000-01-01T00:00:00Z"),
        json!("-009999-01-01T00:00:00Z"),
        json!("tomorrow at 9"),
        json!(""),
        json!(1_796_115_600),
        json!(true),
        json!(["2027-01-01T00:00:00Z"]),
        json!({}),
    ];
    for bad in bad {
        let refused = execute(&server, "bad", &bad).await;
        assert_eq!((refused.status, refused.code()), (422, &json!("invalid-request")), "{bad}: {}", refused.body);
        assert_eq!(refused.pointers(), ["/send_at"], "{bad}: {}", refused.body);
        // The same of one action of many: none of them is accepted.
        let mut one = gmail("bad-2", "Hello");
        one["send_at"] = bad.clone();
        let body = json!({ "actions": [gmail("bad-1", "Hello"), one], "actor_id": "ana@example.com" });
        let refused = server.post("/ai/execute", &body).await;
        assert_eq!((refused.status, refused.pointers()), (422, vec!["/actions/1/send_at"]), "{bad}");
    }
    let (jobs, _) = server.counts().await;
    assert_eq!(jobs, 11, "nothing that was refused made a job");
}

#[tokio::test]
async fn a_request_that_is_repeated_has_the_same_time() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let then = in_seconds(DAY);
    let first = execute(&server, "same", &json!(then)).await;
    let offset = then.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(2)));
    for again in [json!(then), json!(offset.strftime("%Y-%m-%dT%H:%M:%S.%N+02:00").to_string())] {
        let again = execute(&server, "same", &again).await;
        assert_eq!((again.status, &again.body["jobs"][0]["replayed"]), (202, &json!(true)), "{}", again.body);
        assert_eq!(id(&again), id(&first));
    }
    for other in [json!(then + SignedDuration::from_secs(1)), Value::Null] {
        let other = execute(&server, "same", &other).await;
        assert_eq!(other.code(), "idempotency-key-reused", "{}", other.body);
        assert_eq!(other.pointers(), ["/actions/0/client_request_id"]);
    }
    // Each action's own time, and the request's instead of it.
    let mut own = gmail("own", "Hello");
    own["send_at"] = json!(then);
    let body = json!({ "actions": [own, gmail("none", "Hello")], "actor_id": "ana@example.com" });
    let accepted = server.post("/ai/execute", &body).await;
    assert_eq!(time(&accepted.body["jobs"][0]["waiting_until"]), then);
    assert_eq!(accepted.body["jobs"][1]["waiting_for"], Value::Null);
    let mut own = gmail("own-2", "Hello");
    own["send_at"] = json!(then);
    let later = in_seconds(2 * DAY);
    let body = json!({ "actions": [own], "actor_id": "ana@example.com", "send_at": later });
    let accepted = server.post("/ai/execute", &body).await;
    assert_eq!(time(&accepted.body["jobs"][0]["waiting_until"]), later);
}

#[tokio::test]
async fn a_queue_holds_short_waits_and_the_sweep_finds_the_end_of_long_ones() {
    for seconds in [5, 14 * MINUTE, 15 * MINUTE + 1, 20 * MINUTE, 61 * MINUTE + 17, 40 * DAY, 90 * DAY] {
        let stage = Stage::new(&[]);
        let then = stage.at(seconds);
        let sent = stage.execute("sent", Some(then)).await.job_id;
        let cancelled = stage.execute("cancelled", Some(then)).await.job_id;
        let held_by_queue = stage.messages().await;
        assert_eq!(held_by_queue, if seconds <= 15 * MINUTE { 2 } else { 0 }, "{seconds} s");
        // Most of the time in one go: nothing happens then.
        let most = (seconds - 10 * MINUTE).max(0);
        stage.inside.clock.advance(Duration::from_secs(most.unsigned_abs()));
        stage.inside.engine.jobs.cancel(&stage.inside.caller, cancelled).await.unwrap();
        let left = seconds - most - 1;
        stage.pass_minutes(left / MINUTE).await;
        stage.pass(left % MINUTE).await;
        assert_eq!(stage.job(sent).await.state, State::Queued, "{seconds} s: not before its time");
        stage.pass(2).await;
        let done = stage.job(sent).await;
        assert_eq!(done.state, State::Completed, "{seconds} s: {done:?}");
        let late = done.started_at.unwrap().duration_since(then).as_secs();
        assert!((0..=1).contains(&late), "{seconds} s: {late} s late");
        stage.pass_minutes(10).await;
        assert_eq!(stage.job(cancelled).await.error.unwrap().code, JobErrorCode::Cancelled);
        assert_eq!(stage.job(sent).await, done, "once");
        assert_eq!(stage.messages().await, 0);
    }
}
