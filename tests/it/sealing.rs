//! Keys that seal come and go: several open, the first seals, and what no key opens hides nothing else.

use std::path::Path;

use fakes::{Fakes, oauth::Consents};
use serde_json::{Value, json};

use crate::{
    oauth,
    support::{Client, Server, command, gmail},
};

const OLD: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const NEW: &str = "0202020202020202020202020202020202020202020202020202020202020202";

fn outlook(key: &str) -> Value {
    let mut action = gmail(key, "Hello");
    (action["provider"], action["action"]) = (json!("microsoft"), json!("outlook.send"));
    action
}

fn start(folder: &Path, fakes: &Fakes, keys: &str) -> Server {
    oauth::start(folder, fakes, &[("TOKEN_KEY", keys)])
}

async fn rows(client: &Client, path: &str) -> Vec<Value> {
    let listed = client.get(path).await;
    assert_eq!(listed.status, 200, "{path}: {}", listed.body);
    listed.body["data"].as_array().unwrap().clone()
}

fn is_unreadable(row: &Value) -> bool {
    row["unreadable"] == true
}

/// `orchestrator reseal`: whether it ended well, the counts of each purpose, and what it says on standard error.
fn reseal(folder: &Path, variables: &[(&str, &str)]) -> (bool, Vec<String>, String) {
    let output = command(folder, variables).arg("reseal").output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.success(), out.lines().skip(1).map(str::to_owned).collect(), err)
}

/// A connected account, a live job, two in the sandbox, and a plan: one text of each purpose but one.
async fn fill(server: &Server, fakes: &Fakes) -> Value {
    fakes.consents(Consents { address: "owner@contoso.com".to_owned(), expires_in_s: 3600, ..Consents::default() });
    assert_eq!(oauth::connect(server, "google", json!({})).await.status, 200);
    for action in [gmail("live", "Hello"), outlook("a"), outlook("b")] {
        let job = server.ended(&server.execute(action).await).await;
        assert_eq!(job["status"], "completed", "{job}");
    }
    let prompt = "Use Outlook to send an email to john@example.com saying thanks for the meeting";
    server.post("/ai/plan2", &json!({ "prompt": prompt })).await.body["plan"]["plan_id"].clone()
}

#[tokio::test]
async fn a_key_is_replaced_while_everything_stays_readable() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    let folder = folder.path();
    let server = start(folder, &fakes, OLD);
    let plan = fill(&server, &fakes).await;
    drop(server);

    // Under the new key alone nothing opens, and everything is listed.
    let server = start(folder, &fakes, NEW);
    let jobs = rows(&server, "/ai/jobs").await;
    assert!(jobs.len() == 3 && jobs.iter().all(is_unreadable), "{jobs:?}");
    assert!(jobs.iter().all(|job| job["status"] == "completed" && job["result"]["content_sha256"].is_string()));
    assert!(jobs.iter().all(|job| job["summary"].is_null() && job["result"]["from"].is_null()), "{jobs:?}");
    let one = server.get(&format!("/ai/jobs/{}", jobs[0]["job_id"].as_str().unwrap())).await;
    assert_eq!((one.status, &one.body), (200, &jobs[0]));
    let outbox = rows(&server, "/dev/outbox").await;
    assert!(outbox.len() == 2 && outbox.iter().all(is_unreadable), "{outbox:?}");
    let status = server.get("/oauth/google/status").await;
    assert_eq!((status.status, &status.body["mode"]), (200, &json!("needs_reauth")), "{}", status.body);
    assert!(status.body["problem"]["message"].as_str().unwrap().contains("cannot be read"), "{}", status.body);
    assert_eq!(server.get("/actions").await.status, 200);
    let refused =
        server.post("/ai/execute", &json!({ "actions": [gmail("x", "Hello")], "actor_id": "ana@example.com" })).await;
    assert_eq!((refused.status, refused.code()), (409, &json!("reauth-required")));
    // What is new is not hidden by what is old.
    let id = server.execute(outlook("c")).await;
    assert_eq!(server.ended(&id).await["summary"]["title"], "Hello");
    let unreadable = |rows: Vec<Value>| rows.iter().map(is_unreadable).collect::<Vec<_>>();
    assert_eq!(unreadable(rows(&server, "/ai/jobs").await), [false, true, true, true]);
    assert_eq!(unreadable(rows(&server, "/dev/outbox").await), [false, true, true]);
    drop(server);

    // Whoever forgets the old key is told, and nothing is harmed.
    let (ok, _, says) = reseal(folder, &[("TOKEN_KEY", NEW)]);
    assert!(!ok && says.contains("older key") && !says.contains(NEW), "{says}");

    let both = format!("{NEW},{OLD}");
    let server = start(folder, &fakes, &both);
    let all_open = async |server: &Server| {
        for path in ["/ai/jobs", "/dev/outbox"] {
            assert!(!rows(server, path).await.iter().any(is_unreadable), "{path}");
        }
        assert_eq!(server.get("/oauth/google/status").await.body["mode"], "live");
    };
    all_open(&server).await;
    // Beside the server, and again: there is nothing left to do.
    let (ok, counts, says) = reseal(folder, &[("TOKEN_KEY", &both)]);
    assert!(ok, "{says}");
    let counted = |again: [usize; 5], now: [usize; 5]| {
        let purposes = ["job-params", "plan", "outbox", "connection", "job-result"].into_iter().zip(again).zip(now);
        purposes.map(|((purpose, again), now)| format!("{purpose}\t{again}\t{now}\t0")).collect::<Vec<_>>()
    };
    assert_eq!(counts, counted([3, 1, 2, 1, 3], [4, 1, 3, 1, 4]));
    assert_eq!(reseal(folder, &[("TOKEN_KEY", &both)]).1, counted([0; 5], [4, 1, 3, 1, 4]));
    all_open(&server).await;
    drop(server);

    let server = start(folder, &fakes, NEW);
    all_open(&server).await;
    assert_eq!(server.post("/ai/execute", &json!({ "plan_id": plan })).await.status, 202, "the plan opens too");
    let job = server.ended(&server.execute(gmail("after", "Hello")).await).await;
    assert_eq!(job["result"]["from"], "owner@contoso.com", "and so do the account's tokens: {job}");
    drop(server);
    let server = start(folder, &fakes, OLD);
    assert!(rows(&server, "/ai/jobs").await.iter().all(is_unreadable), "the old key opens nothing more");
}

#[tokio::test]
async fn the_key_file_may_have_several_lines() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    server.ended(&server.execute(gmail("a", "Hello")).await).await;
    drop(server);
    let file = folder.path().join("key");
    let old = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{NEW}\n{old}")).unwrap();
    let (ok, counts, says) = reseal(folder.path(), &[]);
    assert_eq!(
        (ok, counts),
        (true, ["job-params", "outbox", "job-result"].map(|of| format!("{of}\t1\t1\t0")).to_vec()),
        "{says}"
    );
    std::fs::write(&file, NEW).unwrap();
    let server = Server::start(folder.path(), &[]);
    assert!(!rows(&server, "/dev/outbox").await.iter().any(is_unreadable));
}

#[tokio::test]
async fn a_row_that_was_changed_by_hand_hides_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let mut ids = Vec::new();
    for n in 0..8 {
        ids.push(server.execute(gmail(&format!("{n}"), "Hello")).await);
        server.ended(&ids[n]).await;
    }
    drop(server);
    let ledger = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
    let body = |id: &str, kind: &str| -> String {
        let query = "SELECT body FROM records WHERE partition = ?1 AND kind = ?2";
        ledger.query_row(query, [&format!("JOB#{id}"), kind], |row| row.get(0)).unwrap()
    };
    let set = |id: &str, kind: &str, body: &str| {
        let update = "UPDATE records SET body = ?3 WHERE partition = ?1 AND kind = ?2";
        assert_eq!(ledger.execute(update, [&format!("JOB#{id}"), kind, body]).unwrap(), 1);
    };
    // Two entries of the outbox change places, one is no sealed text at all, one is of another version.
    let (first, second) = (body(&ids[0], "OUTBOX"), body(&ids[1], "OUTBOX"));
    set(&ids[0], "OUTBOX", &second);
    set(&ids[1], "OUTBOX", &first);
    set(&ids[2], "OUTBOX", "");
    set(&ids[3], "OUTBOX", &first.replace("v1.", "v9."));
    // Of one job the params, of one the result; one record is no job.
    set(&ids[4], "CONTENTS", &body(&ids[5], "CONTENTS"));
    let job = body(&ids[5], "JOB");
    let sealed = job.split("\"sealed_result\":\"").nth(1).unwrap().split('"').next().unwrap();
    set(&ids[5], "JOB", &job.replace(sealed, &sealed.replace('v', "w")));
    set(&ids[6], "JOB", "{}");

    let server = Server::start(folder.path(), &[]);
    let told = |rows: &[Value]| {
        let id = |row: &Value| ids.iter().position(|id| row["job_id"] == **id).unwrap();
        rows.iter().map(|row| (id(row), is_unreadable(row))).collect::<Vec<_>>()
    };
    let outbox = rows(&server, "/dev/outbox").await;
    let expected = [(7, false), (6, false), (5, false), (4, false), (3, true), (2, true), (1, true), (0, true)];
    assert_eq!(told(&outbox), expected);
    assert!(outbox.iter().all(|row| row["written_at"].is_string() && row["recipients"].is_array()));
    let expected = [(7, false), (5, true), (4, true), (3, false), (2, false), (1, false), (0, false)];
    for limit in [1, 2, 3, 100] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = server.get(&format!("/ai/jobs?limit={limit}{cursor}")).await.body;
            seen.extend(page["data"].as_array().unwrap().clone());
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(told(&seen), expected, "in pages of {limit}");
    }
    assert!(server.log().contains("a sealed part is left out") && server.log().contains("a record is left out"));
}

#[cfg(feature = "aws")]
#[tokio::test]
async fn with_kms_there_is_nothing_to_seal_again() {
    let folder = tempfile::tempdir().unwrap();
    let (ok, counts, says) =
        reseal(folder.path(), &[("KMS_KEY_ID", "alias/orchestrator"), ("AWS_REGION", "us-east-1")]);
    assert!(!ok && counts.is_empty() && says.contains("KMS rotates"), "{says}");
}
