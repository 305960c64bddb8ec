//! What may run: the deployment's allowlist, narrowed by workspace and key, and the rollout gate; when planning, when
//! accepting and when working. And the audit, which tells which of them decided.

use std::path::Path;

use contracts::servers::RedisServer;
use serde_json::{Value, json};

use crate::support::{Client, Reply, Server, gmail, reply, run, until};

const SCOPES: &str = "actions:preview,actions:execute,audit:read";

fn make_key(folder: &Path, workspace: &str, more: &[&str]) -> String {
    run(folder, &[], &[&["keys", "create", "--workspace", workspace, "--scopes", SCOPES], more].concat())
}

fn key_id(key: &str) -> &str {
    key.split('_').nth(1).expect("a key has an id")
}

fn outlook(key: &str) -> Value {
    let mut action = gmail(key, "Hello");
    action["provider"] = json!("microsoft");
    action["action"] = json!("outlook.send");
    action
}

async fn execute(client: &Client, action: Value) -> Reply {
    client.post("/ai/execute", &json!({ "actions": [action], "actor_id": "ana@example.com" })).await
}

/// What a caller is shown and given of an action: the catalogue, a plan, an acceptance, the code of a refusal.
async fn gates(client: &Client, provider: &str, action: Value) -> (bool, usize, u16, Value) {
    let catalogue = client.get("/actions").await.body;
    let id = action["action"].as_str().unwrap().to_owned();
    let listed = catalogue["data"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap();
    let prompt = format!("Send an {provider} mail to john@example.com saying hello");
    let plan = client.post("/ai/plan2", &json!({ "prompt": prompt })).await;
    assert_eq!(plan.status, 200, "{}", plan.body);
    let planned = plan.body["plan"]["actions"].as_array().unwrap().iter().filter(|one| one["action"] == id).count();
    let accepted = execute(client, action).await;
    (listed["allowed"] == true, planned, accepted.status, accepted.body["code"].clone())
}

#[tokio::test]
async fn an_empty_allowlist_allows_nothing_at_any_gate() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), &[("ALLOW_ACTIONS_DEFAULT", "")]);
    let shut = (false, 0, 403, json!("action-not-allowed"));
    assert_eq!(gates(&server, "gmail", gmail("a", "Hello")).await, shut);
    assert_eq!(gates(&server, "outlook", outlook("b")).await, shut);
    assert_eq!(server.counts().await, (0, 0));
    server.kill();

    // Accepted while it was allowed, and worked when it is not any more: the gate holds it until then.
    let redis = RedisServer::start(false);
    let url = redis.url();
    redis.command("SET flags:google:rollout_percent 100");
    let server = Server::start(folder.path(), &[("REDIS_URL", &url)]);
    redis.pause();
    let id = server.execute(gmail("c", "Hello")).await;
    drop(server);
    redis.resume();
    let server = Server::start(folder.path(), &[("ALLOW_ACTIONS_DEFAULT", "")]);
    let job = server.job_when(&id, "refused", |job| job["status"] == "error" || job["status"] == "completed").await;
    assert_eq!((&job["status"], &job["error"]["code"]), (&json!("error"), &json!("action-not-allowed")));
    assert_eq!(server.counts().await, (1, 0));
}

#[tokio::test]
async fn a_workspace_and_a_key_are_narrowed_beside_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (wide, other) = (make_key(folder, "acme", &[]), make_key(folder, "other", &[]));
    let narrow = make_key(folder, "acme", &["--allow", "outlook.send"]);
    let mut server = Server::start(folder, &[]);
    let open = (true, 1, 202, Value::Null);
    let shut = (false, 0, 403, json!("action-not-allowed"));
    assert_eq!(gates(&server.with_key(&narrow), "gmail", gmail("a", "Hello")).await, shut);
    assert_eq!(gates(&server.with_key(&narrow), "outlook", outlook("b")).await, open);
    assert_eq!(gates(&server.with_key(&wide), "gmail", gmail("c", "Hello")).await, open);

    // A failed job of the wide key is not the narrow one's to try again.
    run(folder, &[], &["rollout", "set", "google", "0"]);
    server.kill();
    let server = Server::start(folder, &[]);
    let denied = execute(&server.with_key(&wide), gmail("d", "Hello")).await;
    assert_eq!((denied.status, denied.code()), (403, &json!("rollout-denied")));
    assert_eq!(run(folder, &[], &["rollout", "get"]), "google\t0\tledger\nmicrosoft\t100\tenvironment");
    run(folder, &[], &["rollout", "set", "google", "100"]);
    drop(server);

    let server = Server::start(folder, &[]);
    assert_eq!(gates(&server.with_key(&wide), "outlook", outlook("w")).await, open);
    run(folder, &[], &["workspaces", "allow", "acme", "gmail.send"]);
    assert_eq!(run(folder, &[], &["workspaces", "show", "acme"]), "gmail.send");
    assert_eq!(gates(&server.with_key(&narrow), "outlook", outlook("e")).await, shut, "nothing is left of both");
    assert_eq!(gates(&server.with_key(&wide), "outlook", outlook("f")).await, shut);
    assert_eq!(gates(&server.with_key(&wide), "gmail", gmail("g", "Hello")).await, open);
    assert_eq!(gates(&server.with_key(&other), "outlook", outlook("h")).await, open, "another workspace is another");
    let unknown = crate::support::command(folder, &[]).args(["workspaces", "allow", "acme", "gmail.read"]).output();
    assert!(!unknown.unwrap().status.success(), "what the catalogue lacks is a mistake");
    run(folder, &[], &["workspaces", "reset", "acme"]);
    assert_eq!(run(folder, &[], &["workspaces", "show", "acme"]), "all");
    assert_eq!(gates(&server.with_key(&wide), "outlook", outlook("i")).await, open);
}

#[tokio::test]
async fn a_change_of_the_rollout_is_heard_within_seconds_where_there_is_redis() {
    let folder = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(false);
    let url = redis.url();
    let variables = [("REDIS_URL", url.as_str())];
    let server = Server::start(folder.path(), &variables);
    assert_eq!(execute(&server, gmail("a", "Hello")).await.status, 202);
    assert!(redis.command("GET flags:google:rollout_percent").ends_with("100"));
    run(folder.path(), &variables, &["rollout", "set", "google", "0"]);
    assert!(redis.command("GET flags:google:rollout_percent").ends_with('0'));
    let mut tried = 0;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        tried += 1;
        let reply = execute(&server, gmail(&format!("b{tried}"), "Hello")).await;
        if reply.status == 403 {
            assert_eq!(reply.code(), "rollout-denied");
            break;
        }
        assert!(std::time::Instant::now() < deadline, "the change is not heard");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    // The deployment's own audit tells of it, and no workspace's.
    let told = run(folder.path(), &[], &["audit"]);
    assert!(
        told.contains(r#""event":"rollout.changed","by":"command-line""#) && told.contains(r#""value":"0""#),
        "{told}"
    );
    let own = server.get("/audit?limit=100").await.body.to_string();
    assert!(!own.contains("rollout.changed"), "{own}");
}

#[tokio::test]
async fn the_audit_tells_who_asked_which_rule_decided_and_what_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (key, other) = (make_key(folder, "acme", &[]), make_key(folder, "other", &[]));
    let blind = run(folder, &[], &["keys", "create", "--workspace", "acme", "--scopes", "actions:preview"]);
    let server = Server::start(folder, &[("ALLOW_RECIPIENT_DOMAINS", "example.com")]);
    let (acme, other, blind) = (server.with_key(&key), server.with_key(&other), server.with_key(&blind));
    let prompt = "Send email to john@example.com saying thanks for the meeting";
    let plan = acme.post("/ai/plan2", &json!({ "prompt": prompt, "actor_id": "ana@example.com" })).await.body;
    let run_it = json!({ "plan_id": plan["plan"]["plan_id"] });
    let accepted = acme.post("/ai/execute", &run_it).await;
    let id = accepted.body["job_ids"][0].as_str().unwrap().to_owned();
    let job = acme.ended(&id).await;
    assert_eq!(acme.post("/ai/execute", &run_it).await.status, 202, "a replay does nothing, and is not told");
    let mut foreign = gmail("f", "Hello");
    foreign["params"]["to"] = json!("eve@evil.example");
    assert_eq!(execute(&acme, foreign).await.code(), "recipient-not-allowed");
    assert_eq!(execute(&acme, json!({ "action": "gmail.send" })).await.status, 422, "a mistake is no refusal");

    let audit = acme.get("/audit").await.body;
    let entries = audit["data"].as_array().unwrap();
    let told: Vec<&str> = entries.iter().map(|one| one["event"].as_str().unwrap()).collect();
    assert_eq!(
        told,
        ["execute.refused", "job.completed", "job.accepted", "plan.made", "key.created", "key.created"],
        "{audit}"
    );
    let [refused, completed, accepted, planned, ..] = &entries[..] else { panic!("{audit}") };
    assert_eq!(refused["code"], "recipient-not-allowed");
    assert_eq!(refused["rules"], json!(["recipients"]));
    assert_eq!(accepted["rules"], json!(["deployment", "key", "recipients", "rollout 100"]));
    assert_eq!((&accepted["by"], &accepted["key_id"]), (&json!("key"), &json!(key_id(&key))));
    let actor = domain::ActorHash::of(&"acme".parse().unwrap(), &"ana@example.com".parse().unwrap());
    assert_eq!(accepted["actor_sha256"], actor.as_str());
    assert_eq!((&completed["by"], &completed["job_id"]), (&json!("worker"), &json!(id)));
    assert_eq!(completed["content_sha256"], job["result"]["content_sha256"]);
    assert_eq!(completed["sha256"], accepted["sha256"]);
    assert_eq!(planned["sha256"], domain::sha256_hex(prompt.as_bytes()));
    assert_eq!(planned["plan_id"], plan["plan"]["plan_id"]);
    assert!(!audit.to_string().contains('@'), "{audit}");

    // It is paged like the jobs, is its workspace's alone, and wants its scope.
    let mut paged: Vec<Value> = Vec::new();
    let mut path = "/audit?limit=4".to_owned();
    loop {
        let page = acme.get(&path).await.body;
        paged.extend(page["data"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/audit?limit=4&cursor={cursor}");
    }
    assert_eq!(&paged, entries);
    let foreign = other.get("/audit").await.body;
    assert_eq!(foreign["data"].as_array().map(Vec::len), Some(1), "{foreign}");
    let lacking = blind.get("/audit").await;
    assert_eq!((lacking.status, lacking.code()), (403, &json!("forbidden-scope")));
    assert_eq!(reply(server.request("GET", "/audit")).await.status, 401);
    until("the printed audit is the same", || run(folder, &[], &["audit", "--workspace", "acme"]).lines().count() == 7)
        .await;
}
