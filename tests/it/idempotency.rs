//! One client_request_id is one job: under any concurrency, in any spelling, and across restarts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Client, Reply, Server, gmail, reply};

fn request(actions: &[Value]) -> Value {
    json!({ "actions": actions, "actor_id": "ana@example.com" })
}

fn replayed(reply: &Reply) -> Vec<bool> {
    let jobs = reply.body["jobs"].as_array().map_or(&[][..], Vec::as_slice);
    jobs.iter().filter_map(|job| job["replayed"].as_bool()).collect()
}

async fn raw(client: &Client, text: &str, key: Option<&str>) -> Reply {
    let request = client.request("POST", "/ai/execute").header("content-type", "application/json");
    let request = if let Some(key) = key { request.header("idempotency-key", key) } else { request };
    reply(request.body(text.to_owned())).await
}

#[tokio::test]
async fn sixty_four_at_once_are_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let asked: Vec<_> = (0..64)
        .map(|_| {
            let client = server.client();
            tokio::spawn(async move { client.post("/ai/execute", &request(&[gmail("once", "Hello")])).await })
        })
        .collect();
    let (mut ids, mut first) = (BTreeSet::new(), 0);
    for reply in asked {
        let reply = reply.await.unwrap();
        assert_eq!(reply.status, 202, "{}", reply.body);
        ids.insert(reply.body["job_ids"][0].as_str().unwrap().to_owned());
        first += usize::from(replayed(&reply) == [false]);
    }
    assert_eq!((ids.len(), first), (1, 1));
    assert_eq!(server.ended(ids.first().unwrap()).await["status"], "completed");
    assert_eq!(server.counts().await, (1, 1));
}

#[tokio::test]
async fn many_at_once_with_keys_in_common_are_as_many_jobs_as_keys() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    // Request i names the keys i to i + 4 of twelve, so that each key is in five requests, in different places.
    let asked: Vec<_> = (0..36)
        .map(|i| {
            let client = server.client();
            let actions: Vec<Value> = (i..i + 5).map(|key| gmail(&format!("k{}", key % 12), "Hello")).collect();
            tokio::spawn(async move { client.post("/ai/execute", &request(&actions)).await })
        })
        .collect();
    let (mut ids, mut first) = (BTreeSet::new(), 0);
    for (i, reply) in asked.into_iter().enumerate() {
        let reply = reply.await.unwrap();
        assert_eq!(reply.status, 202, "{}", reply.body);
        for (place, job) in reply.body["jobs"].as_array().unwrap().iter().enumerate() {
            assert_eq!(job["client_request_id"], format!("k{}", (i + place) % 12));
            assert_eq!(job["job_id"], reply.body["job_ids"][place]);
            ids.insert(job["job_id"].to_string());
        }
        first += replayed(&reply).iter().filter(|replayed| !**replayed).count();
    }
    assert_eq!((ids.len(), first), (12, 12));
    for id in ids {
        server.ended(id.trim_matches('"')).await;
    }
    assert_eq!(server.counts().await, (12, 12));
}

#[tokio::test]
async fn another_payload_under_a_used_key_is_refused_even_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[]);
    let id = server.execute(gmail("used", "Hello")).await;
    server.ended(&id).await;
    for restarted in [false, true] {
        if restarted {
            server.kill();
            server = Server::start(folder.path(), &[]);
        }
        let again = server.post("/ai/execute", &request(&[gmail("used", "Hello")])).await;
        assert_eq!((&again.body["job_ids"][0], replayed(&again)), (&json!(id), vec![true]));
        assert_eq!(again.body["jobs"][0]["status"], "completed");
        for change in [
            json!({ "to": "eve@example.com" }),
            json!({ "subject": "Bye" }),
            json!({ "text": "job:other" }),
            json!({ "html": "<p>Hello</p>" }),
            json!({ "cc": "eve@example.com" }),
            json!({ "reply_to": "eve@example.com" }),
            json!({ "to": "John <john@example.com>" }),
        ] {
            let mut action = gmail("used", "Hello");
            action["params"].as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            refused_as_reused(&server, &action).await;
        }
        let mut outlook = gmail("used", "Hello");
        (outlook["provider"], outlook["action"]) = (json!("microsoft"), json!("outlook.send"));
        refused_as_reused(&server, &outlook).await;
        assert_eq!(server.counts().await, (1, 1));
    }
}

async fn refused_as_reused(server: &Server, action: &Value) {
    let refusal = server.post("/ai/execute", &request(&[gmail("fresh", "Hello"), action.clone()])).await;
    assert_eq!((refusal.status, refusal.code()), (422, &json!("idempotency-key-reused")), "{action}");
    assert_eq!(refusal.pointers(), ["/actions/1/client_request_id"]);
}

#[tokio::test]
async fn spelling_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let id = server.execute(gmail("spelling", "Grüße")).await;
    for text in [
        // Another order of keys, other white space, no provider.
        r#" { "actor_id" : "ana@example.com" , "actions" : [ { "client_request_id":"spelling", "params":{ "text":"job:spelling",
            "subject":"Grüße", "to":"john@example.com" }, "action":"gmail.send" } ] } "#,
        // A list of one, null for what is not given, escapes.
        r#"{"actions":[{"provider":"google","action":"gmail.send","params":{"to":["john@example.com"],"cc":null,"html":null,
            "subject":"Gr\u00fc\u00dfe","text":"job:spelling"},"client_request_id":"spell\u0069ng"}],"actor_id":"ana@example.com"}"#,
        // The workspace named; spaces and brackets around the address.
        r#"{"workspace_id":"local","actor_id":"ana@example.com","actions":[{"action":"gmail.send","params":{"to":" <john@example.com> ",
            "subject":"Grüße","text":"job:spelling"},"client_request_id":"spelling"}]}"#,
    ] {
        let again = raw(&server, text, None).await;
        assert_eq!(again.status, 202, "{text}: {}", again.body);
        assert_eq!((&again.body["job_ids"][0], replayed(&again)), (&json!(id), vec![true]), "{text}");
    }
    server.ended(&id).await;
    assert_eq!(server.counts().await, (1, 1));
}

#[tokio::test]
async fn a_header_makes_keys_by_the_place_in_the_list() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let nameless = |subject: &str| {
        let mut action = gmail("x", subject);
        action.as_object_mut().unwrap().shift_remove("client_request_id");
        action
    };
    let text = request(&[nameless("one"), gmail("own", "two"), nameless("one")]).to_string();
    let first = raw(&server, &text, Some("batch")).await;
    assert_eq!((first.status, replayed(&first)), (202, vec![false; 3]), "{}", first.body);
    let again = raw(&server, &text, Some("batch")).await;
    assert_eq!((&again.body["job_ids"], replayed(&again)), (&first.body["job_ids"], vec![true; 3]));
    assert_eq!(first.body["jobs"][1]["client_request_id"], "own");
    let ids: BTreeSet<String> = first.body["job_ids"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert_eq!(ids.len(), 3, "the same mail in two places is two mails");
    let other = raw(&server, &request(&[nameless("one")]).to_string(), Some("other batch")).await;
    assert_eq!((other.status, replayed(&other)), (202, vec![false]));
    let changed = raw(&server, &request(&[nameless("another")]).to_string(), Some("batch")).await;
    assert_eq!((changed.status, changed.code()), (422, &json!("idempotency-key-reused")));
    let none = raw(&server, &text, None).await;
    assert_eq!((none.status, none.code()), (422, &json!("idempotency-key-missing")));
    assert_eq!(none.pointers(), ["/actions/0/client_request_id", "/actions/2/client_request_id"]);
    assert_eq!(server.counts().await.0, 4);
}

#[tokio::test]
async fn the_same_key_twice_in_a_request_is_one_job() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let twice =
        server.post("/ai/execute", &request(&[gmail("a", "Hello"), gmail("b", "Hello"), gmail("a", "Hello")])).await;
    let ids = &twice.body["job_ids"];
    assert_eq!((twice.status, replayed(&twice)), (202, vec![false, false, true]), "{}", twice.body);
    assert!(ids[0] == ids[2] && ids[0] != ids[1]);
    for id in ids.as_array().unwrap() {
        server.ended(id.as_str().unwrap()).await;
    }
    assert_eq!(server.counts().await, (2, 2));
}

#[tokio::test]
async fn one_bad_action_of_three_and_none_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let variables = [("ALLOW_ACTIONS_DEFAULT", "gmail.send"), ("ALLOW_RECIPIENT_DOMAINS", "example.com")];
    let server = Server::start(folder.path(), &variables);
    let mut denied = gmail("b", "Hello");
    (denied["provider"], denied["action"]) = (json!("microsoft"), json!("outlook.send"));
    let mut stranger = gmail("b", "Hello");
    stranger["params"]["bcc"] = json!(["ana@example.com", "eve@contoso.com"]);
    let mut unknown = gmail("b", "Hello");
    unknown["action"] = json!("gmail.delete");
    let mut invalid = gmail("b", "Hello");
    invalid["params"]["to"] = json!("nobody");
    for (bad, status, code, pointer) in [
        (denied, 403, "action-not-allowed", "/actions/1/action"),
        (stranger, 403, "recipient-not-allowed", "/actions/1/params/bcc/1"),
        (unknown, 422, "unknown-action", "/actions/1/action"),
        (invalid, 422, "invalid-params", "/actions/1/params/to"),
        (gmail("a", "Bye"), 422, "idempotency-key-reused", "/actions/1/client_request_id"),
    ] {
        let refusal = server.post("/ai/execute", &request(&[gmail("a", "Hello"), bad, gmail("c", "Hello")])).await;
        assert_eq!((refusal.status, refusal.code()), (status, &json!(code)), "{}", refusal.body);
        assert_eq!(refusal.pointers(), [pointer]);
        assert_eq!(server.counts().await, (0, 0));
    }
    // The refused request has not used up its keys.
    let accepted = server.post("/ai/execute", &request(&[gmail("a", "Bye"), gmail("c", "Bye")])).await;
    assert_eq!((accepted.status, replayed(&accepted)), (202, vec![false; 2]), "{}", accepted.body);
}
