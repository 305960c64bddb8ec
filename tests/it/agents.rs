//! Agents' keys: their jobs are held, whatever the deployment says, and they decide about none.

use std::path::Path;

use fakes::Fakes;
use serde_json::{Value, json};

use crate::support::{Client, GMAIL_COMPOSE, Reply, Server, gmail, reply, run};

const SCOPES: &str = "actions:preview,actions:execute,audit:read";

fn make_key(folder: &Path, scopes: &str, more: &[&str]) -> String {
    run(folder, &[], &[&["keys", "create", "--workspace", "local", "--scopes", scopes], more].concat())
}

async fn decide(client: &Client, job: &Value, verb: &str) -> Reply {
    let path = format!("/ai/jobs/{}/{verb}", job["job_id"].as_str().unwrap());
    client.post(&path, &json!({ "payload_sha256": job["payload_sha256"] })).await
}

async fn job(client: &Client, id: &str) -> Value {
    client.get(&format!("/ai/jobs/{id}")).await.body
}

#[tokio::test]
async fn an_agents_job_is_held_whatever_it_does_and_the_agent_cannot_decide() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    let agent = make_key(folder.path(), SCOPES, &["--agent"]);
    let drafts = make_key(folder.path(), SCOPES, &["--agent", "--draft-only"]);
    let person = make_key(folder.path(), "actions:preview,actions:execute,actions:approve,audit:read", &[]);
    // Whoever writes into the ledger does not make an agent approve either.
    let file = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
    let wider = r#"UPDATE records SET body = replace(body, '"audit:read"', '"audit:read","actions:approve"')
        WHERE kind = 'KEY' AND body LIKE '%"agent":true%'"#;
    assert_eq!(file.execute(wider, []).unwrap(), 2);
    drop(file);
    let server = Server::start_live(folder.path(), &fakes, GMAIL_COMPOSE, &[]);
    let [agent, drafts, person] = [agent, drafts, person].map(|key| server.with_key(&key));

    let direct = agent.execute(gmail("direct", "Hello")).await;
    let plan = agent.post("/ai/plan2", &json!({ "prompt": "Send email to john@example.com saying hello" })).await.body;
    let planned = agent.post("/ai/execute", &json!({ "plan_id": plan["plan"]["plan_id"] })).await.body;
    let planned = planned["job_ids"][0].as_str().unwrap().to_owned();
    let draft = drafts.execute(gmail("draft", "Hello")).await;
    for id in [&direct, &planned, &draft] {
        let held = job(&agent, id).await;
        assert_eq!((&held["waiting_for"], &held["because"]), (&json!("approval"), &json!(["agent"])), "{held}");
        for (who, client) in [("agent", &agent), ("draft-only agent", &drafts)] {
            for verb in ["approve", "reject"] {
                let refused = decide(client, &held, verb).await;
                assert_eq!((refused.status, refused.code()), (403, &json!("forbidden-scope")), "{who} {verb}");
            }
        }
        assert_eq!(job(&agent, id).await, held);
    }
    // A cancelled job of an agent is held again, whoever retries it.
    let path = |verb: &str| format!("/ai/jobs/{planned}/{verb}");
    assert_eq!(agent.post(&path("cancel"), &json!({})).await.status, 200);
    for client in [&agent, &person] {
        let retried = client.post(&path("retry"), &json!({})).await;
        assert_eq!((retried.status, &retried.body["waiting_for"]), (200, &json!("approval")), "{}", retried.body);
        assert_eq!(retried.body["because"], json!(["agent"]));
        assert_eq!(agent.post(&path("cancel"), &json!({})).await.status, 200);
    }
    assert_eq!(fakes.operations().len(), 0, "nothing of it reaches the provider");

    assert_eq!(decide(&person, &job(&person, &direct).await, "approve").await.status, 200);
    assert_eq!(person.ended(&direct).await["status"], "completed");
    assert_eq!(decide(&person, &job(&person, &draft).await, "approve").await.status, 200);
    let left = person.ended(&draft).await;
    assert_eq!(
        (&left["effect"], &left["result"]["done"]),
        (&json!("draft"), &json!("Left among the drafts.")),
        "{left}"
    );
    assert_eq!((fakes.count("job:direct"), fakes.count("job:draft"), fakes.deliveries().len()), (1, 0, 1));
    // A person's own job is not held.
    assert_eq!(person.ended(&person.execute(gmail("own", "Hello")).await).await["because"], json!([]));
}

#[tokio::test]
async fn no_page_that_is_only_looked_at_decides() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[("REQUIRE_APPROVAL", "all")]);
    let held = job(&server, &server.execute(gmail("held", "Hello")).await).await;
    let id = held["job_id"].as_str().unwrap();
    for verb in ["approve", "reject", "cancel", "retry"] {
        for method in ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"] {
            let hash = held["payload_sha256"].as_str().unwrap();
            for path in [format!("/ai/jobs/{id}/{verb}"), format!("/ai/jobs/{id}/{verb}?payload_sha256={hash}")] {
                let status = reply(server.request(method, &path)).await.status;
                assert!(status >= 400 || method == "OPTIONS", "{method} {path}: {status}");
                assert_eq!(job(&server, id).await, held, "{method} {path}");
            }
        }
    }
}
