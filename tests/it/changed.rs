//! Contents that somebody changes in the ledger behind the program's back, with its own key, are not sent.

use std::{path::Path, time::Duration};

use adapters::{system::SystemClock, vault::LocalVault};
use engine::ports::{Clock as _, Purpose, Vault};
use fakes::{Fakes, Fault};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{Client, GMAIL_COMPOSE, GMAIL_SEND, Server, gmail, run};

const KEY: &str = "0303030303030303030303030303030303030303030303030303030303030303";

/// Seals other params in the place of a job's.
async fn change(folder: &Path, job_id: &str, params: &Value) {
    let vault: Box<dyn Vault> = Box::new(LocalVault::from_text(KEY).unwrap());
    let sealed = vault.seal_json(&"local".parse().unwrap(), Purpose::JobParams, job_id, params).await.unwrap();
    let file = rusqlite::Connection::open(folder.join("ledger.db")).unwrap();
    file.busy_timeout(Duration::from_secs(10)).unwrap();
    let update = "UPDATE records SET body = ?2 WHERE partition = ?1 AND kind = 'CONTENTS'";
    assert_eq!(file.execute(update, [&format!("JOB#{job_id}"), &sealed.0]).unwrap(), 1);
}

/// Ways to change a mail, small ones too.
fn changes() -> Vec<(&'static str, Value)> {
    let mail = || gmail("x", "Hello")["params"].clone();
    let with = |name: &str, value: Value| {
        let mut params = mail();
        params[name] = value;
        params
    };
    vec![
        ("another recipient", with("to", json!("eve@example.com"))),
        ("one more recipient", with("to", json!(["john@example.com", "eve@example.com"]))),
        ("a hidden recipient", with("bcc", json!("eve@example.com"))),
        ("a reply address", with("reply_to", json!("eve@example.com"))),
        ("a subject", with("subject", json!("Hello!"))),
        ("a text", with("text", json!("job:x "))),
        ("HTML beside the text", with("html", json!("<p>Hi</p>"))),
        ("the case of a letter", with("to", json!("John@example.com"))),
    ]
}

async fn decide(client: &Client, job: &Value) {
    let path = format!("/ai/jobs/{}/approve", job["job_id"].as_str().unwrap());
    let decided = client.post(&path, &json!({ "payload_sha256": job["payload_sha256"] })).await;
    assert_eq!(decided.status, 200, "{}", decided.body);
}

#[tokio::test]
async fn what_was_changed_after_it_was_accepted_or_approved_is_not_sent_and_says_so() {
    for (how, scope) in
        [("queued", GMAIL_SEND), ("held", GMAIL_COMPOSE), ("later", GMAIL_COMPOSE), ("draft", GMAIL_COMPOSE)]
    {
        let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
        let approval = if how == "held" { "all" } else { "none" };
        let variables = [("TOKEN_KEY", KEY), ("REQUIRE_APPROVAL", approval), ("LIMIT_OPEN_JOBS", "1000")];
        let server = Server::start_live(folder.path(), &fakes, scope, &variables);
        if how == "draft" {
            run(folder.path(), &[("TOKEN_KEY", KEY)], &["workspaces", "draft-only", "local"]);
        }
        let send_at = (how == "later").then(|| SystemClock.now() + SignedDuration::from_secs(4));
        if how == "queued" || how == "draft" {
            // The first is refused, and all wait for the account.
            fakes.script(Fault::TooManyRequests { retry_after_s: Some(4) });
        }
        let mut ids = Vec::new();
        for (place, _) in (0..).zip(changes()) {
            let mut action = gmail("x", "Hello");
            action["client_request_id"] = json!(format!("{how}-{place}"));
            let body = json!({ "actions": [action], "actor_id": "ana@example.com", "send_at": send_at });
            let accepted = server.post("/ai/execute", &body).await;
            assert_eq!(accepted.status, 202, "{}", accepted.body);
            let id = accepted.body["job_ids"][0].as_str().unwrap().to_owned();
            server.job_when(&id, "waiting", |job| job["waiting_for"].is_string()).await;
            ids.push(id);
        }
        let before = fakes.operations().len();
        for (id, (_, params)) in ids.iter().zip(changes()) {
            let shown = server.get(&format!("/ai/jobs/{id}")).await.body;
            change(folder.path(), id, &params).await;
            if how == "held" {
                decide(&server, &shown).await;
            }
        }
        for (id, (what, _)) in ids.iter().zip(changes()) {
            let job = server.ended(id).await;
            let error = (&job["status"], &job["error"]["code"], &job["error"]["retriable"]);
            assert_eq!(error, (&json!("error"), &json!("payload-changed"), &json!(false)), "{how}, {what}: {job}");
            assert!(job["error"]["message"].as_str().unwrap().contains("changed"), "{job}");
        }
        assert_eq!(fakes.operations().len(), before, "{how}: nothing of them reaches the provider");
        assert_eq!(fakes.deliveries().len(), 0, "{how}");
    }
}
