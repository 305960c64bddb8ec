//! Held jobs: until a person approves them, nothing of them reaches a provider.

use fakes::Fakes;
use serde_json::{Value, json};

use crate::support::{Client, GMAIL_SEND, Reply, Server, gmail};

const ALL: [(&str, &str); 1] = [("REQUIRE_APPROVAL", "all")];

async fn decide(client: &Client, job: &Value, verb: &str) -> Reply {
    let (id, hash) = (job["job_id"].as_str().unwrap(), &job["payload_sha256"]);
    client.post(&format!("/ai/jobs/{id}/{verb}"), &json!({ "payload_sha256": hash })).await
}

async fn act(client: &Client, id: &str, verb: &str) -> Reply {
    client.post(&format!("/ai/jobs/{id}/{verb}"), &json!({})).await
}

async fn job(client: &Client, id: &str) -> Value {
    client.get(&format!("/ai/jobs/{id}")).await.body
}

async fn listed(client: &Client, what: &str) -> Vec<String> {
    let list = client.get(&format!("/ai/jobs?waiting_for={what}&limit=100")).await.body;
    list["data"].as_array().unwrap().iter().map(|job| job["job_id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_held_job_goes_once_it_is_approved_and_no_byte_of_it_before() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &ALL);
    let reply = server
        .post("/ai/execute", &json!({ "actions": [gmail("held", "Hello")], "actor_id": "ana@example.com" }))
        .await;
    assert_eq!((reply.status, &reply.body["jobs"][0]["waiting_for"]), (202, &json!("approval")), "{}", reply.body);
    let id = reply.body["job_ids"][0].as_str().unwrap();
    let held = job(&server, id).await;
    assert_eq!((&held["status"], &held["waiting_for"]), (&json!("pending"), &json!("approval")), "{held}");
    assert_eq!((&held["because"], held["attempts"].as_u64()), (&json!(["all"]), Some(0)));
    assert!(held["waiting_until"].as_str() > held["created_at"].as_str(), "{held}");
    assert_eq!(held["summary"]["title"], "Hello");
    assert_eq!(listed(&server, "approval").await, [id]);
    assert!(listed(&server, "time").await.is_empty());
    assert_eq!(fakes.operations().len(), 0);

    let approved = decide(&server, &held, "approve").await;
    assert_eq!(approved.status, 200, "{}", approved.body);
    let done = server.ended(id).await;
    assert_eq!((&done["status"], &done["because"]), (&json!("completed"), &json!(["all"])), "{done}");
    assert_eq!(done["payload_sha256"], held["payload_sha256"], "approving changes nothing");
    assert_eq!(fakes.count("job:held"), 1);
    for verb in ["approve", "reject"] {
        let again = decide(&server, &held, verb).await;
        assert_eq!((again.status, again.code()), (409, &json!("not-held")), "{verb}");
    }
    assert_eq!(fakes.count("job:held"), 1);
    assert!(listed(&server, "approval").await.is_empty());
}

#[tokio::test]
async fn a_rejected_a_cancelled_job_sends_nothing_and_its_retry_is_held_again() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &ALL);
    for (verb, code) in [("reject", "approval-rejected"), ("cancel", "cancelled")] {
        let before = fakes.operations().len();
        let id = server.execute(gmail(verb, "Hello")).await;
        let ended = act(&server, &id, verb).await;
        assert_eq!((ended.status, &ended.body["error"]["code"]), (200, &json!(code)), "{}", ended.body);
        assert_eq!((&ended.body["status"], &ended.body["waiting_for"]), (&json!("error"), &json!(null)));
        assert_eq!(job(&server, &id).await, ended.body);
        assert_eq!(decide(&server, &ended.body, "approve").await.code(), "not-held", "{verb}");

        let retried = act(&server, &id, "retry").await;
        assert_eq!((retried.status, &retried.body["waiting_for"]), (200, &json!("approval")), "{}", retried.body);
        assert_eq!(job(&server, &id).await, retried.body, "no poll shows the end of before");
        assert_eq!(fakes.operations().len(), before);
        assert_eq!(decide(&server, &retried.body, "approve").await.status, 200);
        assert_eq!(server.ended(&id).await["status"], "completed");
        assert_eq!(fakes.count(&format!("job:{verb}")), 1);
    }
}

#[tokio::test]
async fn a_decision_names_the_hash_of_the_job_that_was_shown() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &ALL);
    let held = job(&server, &server.execute(gmail("hash", "Hello")).await).await;
    let path = |verb: &str| format!("/ai/jobs/{}/{verb}", held["job_id"].as_str().unwrap());
    let other = job(&server, &server.execute(gmail("other", "Hello")).await).await["payload_sha256"].clone();
    let upper = held["payload_sha256"].as_str().unwrap().to_uppercase();
    for wrong in [other, json!(""), json!(upper), json!("0".repeat(64))] {
        for verb in ["approve", "reject"] {
            let refused = server.post(&path(verb), &json!({ "payload_sha256": wrong })).await;
            assert_eq!((refused.status, refused.code()), (409, &json!("approval-mismatch")), "{verb} {wrong}");
        }
    }
    for wrong in
        [json!({}), json!({ "payload_sha256": null }), json!({ "payload_sha256": 1 }), json!({ "approve": true })]
    {
        assert_eq!(server.post(&path("approve"), &wrong).await.status, 422, "{wrong}");
    }
    assert_eq!(job(&server, held["job_id"].as_str().unwrap()).await, held, "none of it decided anything");
}
