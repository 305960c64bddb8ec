//! Two tenants, and two actors of one tenant, and every route of the OpenAPI document with every verb: a key of one never
//! sees, changes or infers anything of the other's. A route that this test does not know fails it.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};

use crate::support::{Client, Reply, Server, gmail, reply, run};

const SCOPES: &str = "actions:preview,actions:execute,actions:approve,accounts:read,connections:write,webhooks:write,metrics:read,audit:read";
const VERBS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"];
/// What only the first tenant knows of.
const SECRETS: [&str; 4] = ["secret-subject", "secret-text", "secret-person", "secret-key"];
/// What stands for an id that names nothing.
const NOBODY: &str = "018f4e7e-7d4c-8a3b-8a52-0b7d2c9d3f10";

fn make_key(folder: &Path, workspace: &str, more: &[&str]) -> String {
    run(folder, &[], &[&["keys", "create", "--workspace", workspace, "--scopes", SCOPES], more].concat())
}

/// What the first tenant has.
struct Owned {
    jobs: Vec<String>,
    plan: String,
    webhook: String,
}

/// An answer without what differs between any two.
fn essence(reply: &Reply) -> (u16, String, String) {
    let mut body = reply.body.clone();
    for place in ["", "/result/structuredContent"] {
        if let Some(fields) = body.pointer_mut(place).and_then(Value::as_object_mut) {
            fields.remove("correlation_id");
        }
    }
    (reply.status, reply.header("content-type").to_owned(), body.to_string())
}

/// What to send to a route, with an id in it; none for a route that takes no body. Panics for a route that is new.
fn body(verb: &str, route: &str, owned: &str) -> Vec<Option<Value>> {
    let action = gmail("probe", "Hello");
    match (verb, route) {
        ("POST", "/ai/plan2") => vec![
            Some(json!({ "prompt": "Send email to john@example.com saying hi" })),
            Some(json!({ "prompt": "Send email to john@example.com saying hi", "workspace_id": "a" })),
        ],
        ("POST", "/ai/execute") => vec![
            Some(json!({ "plan_id": owned })),
            Some(json!({ "plan_id": owned, "workspace_id": "a" })),
            Some(json!({ "actions": [action], "actor_id": "ana@example.com", "workspace_id": "a" })),
        ],
        ("POST", "/ai/plans/{plan_id}/resolve") => vec![Some(json!({ "answers": [] })), Some(json!({}))],
        ("POST", "/actions/preview") => vec![Some(action)],
        ("POST", "/ai/jobs/{job_id}/resolve") => {
            vec![Some(json!({ "outcome": "sent" })), Some(json!({ "outcome": "not_sent" }))]
        }
        ("POST", "/mcp") => {
            let call = |(name, id): (&str, &str)| {
                let params = json!({ "name": name, "arguments": { id: owned } });
                Some(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }))
            };
            [("get_job", "job_id"), ("cancel_job", "job_id"), ("execute_plan", "plan_id")].map(call).into()
        }
        ("POST", "/webhooks") => vec![Some(json!({ "url": "https://hooks.example.com/" }))],
        ("POST", "/ai/jobs/{job_id}/approve") => vec![Some(json!({ "payload_sha256": "0".repeat(64) }))],
        (
            "POST",
            "/ai/jobs/{job_id}/reject"
            | "/ai/jobs/{job_id}/cancel"
            | "/ai/jobs/{job_id}/retry"
            | "/webhooks/{id}/test"
            | "/webhooks/{id}/rotate",
        ) => vec![None, Some(json!({}))],
        (_, route) if route.starts_with("/oauth/") => vec![None, Some(json!({}))],
        ("POST", route) => panic!("POST {route} is new: say here what to send to it"),
        _ => vec![None],
    }
}

/// The paths of a route with this id in every place of one.
fn paths(route: &str, id: &str) -> Vec<String> {
    let path = route.replace("{job_id}", id).replace("{plan_id}", id).replace("{id}", id).replace("{code}", "internal");
    let providers = if path.contains("{provider}") { vec!["google", "microsoft"] } else { vec![""] };
    let queries = match route {
        "/ai/jobs/{job_id}" => vec!["", "?wait=1"],
        "/ai/jobs" | "/audit" | "/webhooks/{id}/deliveries" => vec!["", "?limit=100"],
        _ => vec![""],
    };
    let mut all = Vec::new();
    for provider in providers {
        for query in &queries {
            let path = format!("{}{query}", path.replace("{provider}", provider));
            assert!(!path.contains('{'), "{route} has a part that this test does not know");
            all.push(path);
        }
    }
    all
}

async fn ask(client: &Client, verb: &str, path: &str, body: Option<&Value>) -> Reply {
    let request = client.request(verb, path);
    reply(match body {
        Some(body) => request.json(body),
        None => request,
    })
    .await
}

/// All that a tenant can see of its own, but for what its own looks change.
async fn holdings(client: &Client) -> BTreeMap<&'static str, Value> {
    let mut all = BTreeMap::new();
    for path in [
        "/ai/jobs?limit=100",
        "/ai/jobs?search=send",
        "/dev/outbox",
        "/actions",
        "/oauth/google/status",
        "/audit?limit=100",
        "/webhooks",
    ] {
        let reply = client.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        all.insert(path, reply.body);
    }
    all
}

#[tokio::test]
async fn a_tenant_sees_changes_and_infers_nothing_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (a, b) = (make_key(folder, "a", &[]), make_key(folder, "b", &[]));
    let b = sees_changes_and_infers_nothing(folder, &a, &b).await;
    // The same idempotency key in the other workspace is another job, and says nothing of the first.
    assert_eq!((b.status, &b.body["jobs"][0]["replayed"]), (202, &json!(false)));
}

#[tokio::test]
async fn a_key_bound_to_an_actor_sees_changes_and_infers_nothing_of_another_actors() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let a = make_key(folder, "a", &["--actor", "secret-person@example.com"]);
    let b = make_key(folder, "a", &["--actor", "bo"]);
    let b = sees_changes_and_infers_nothing(folder, &a, &b).await;
    // Idempotency keys are the workspace's, so it is taken.
    assert_eq!((b.status, b.code()), (422, &json!("idempotency-key-reused")));
}

/// Goes every way with the second key to what the first one has. Gives back what becomes of its idempotency key.
async fn sees_changes_and_infers_nothing(folder: &Path, a: &str, b: &str) -> Reply {
    let limits = [("LIMIT_REQUESTS_PER_KEY", "100000"), ("LIMIT_REQUESTS_PER_WORKSPACE", "100000")];
    let server = Server::start(folder, &limits);
    let (a, b) = (server.with_key(a), server.with_key(b));

    // One job that has ended well, one that a caller cancelled, and a plan that can be executed.
    let mut jobs = Vec::new();
    for n in 0..2 {
        let mut action = gmail(&format!("secret-key-{n}"), "secret-subject");
        action["params"]["to"] = json!("secret-person@example.com");
        action["params"]["text"] = json!("secret-text");
        let accepted =
            a.post("/ai/execute", &json!({ "actions": [action], "actor_id": "secret-person@example.com" })).await;
        assert_eq!(accepted.status, 202, "{}", accepted.body);
        let id = accepted.body["job_ids"][0].as_str().unwrap().to_owned();
        assert_eq!(a.ended(&id).await["status"], "completed");
        jobs.push(id);
    }
    let prompt = json!({ "prompt": "Send email to secret-person@example.com saying secret-text" });
    let plan = a.post("/ai/plan2", &prompt).await.body;
    let made = a.post("/webhooks", &json!({ "url": "https://secret-person.example.com/secret-key" })).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let id = |value: &Value| value.as_str().unwrap().to_owned();
    let owned = Owned { jobs, plan: id(&plan["plan"]["plan_id"]), webhook: id(&made.body["id"]) };
    let before = holdings(&a).await;

    let document = server.get("/openapi.json").await.body;
    let mut asked = 0;
    for (route, operations) in document["paths"].as_object().unwrap() {
        for verb in VERBS {
            let known = operations.get(verb.to_lowercase()).is_some();
            for id in owned.jobs.iter().chain([&owned.plan, &owned.webhook]) {
                for (path, unknown) in paths(route, id).into_iter().zip(paths(route, NOBODY)) {
                    let bodies = if known { body(verb, route, id) } else { vec![None] };
                    let strangers = if known { body(verb, route, NOBODY) } else { vec![None] };
                    for (mine, nobodys) in bodies.iter().zip(&strangers) {
                        let foreign = ask(&b, verb, &path, mine.as_ref()).await;
                        let nothing = ask(&b, verb, &unknown, nobodys.as_ref()).await;
                        let text = format!("{} {:?}", foreign.body, foreign.headers);
                        for secret in SECRETS {
                            assert!(!text.contains(secret), "{verb} {path} tells {secret}: {text}");
                        }
                        assert!(foreign.status < 500, "{verb} {path}: {}", foreign.body);
                        let names_one = path != unknown || mine != nobodys;
                        if names_one {
                            assert_eq!(essence(&foreign), essence(&nothing), "{verb} {path} tells that there is one");
                            let is_refused = foreign.body["result"]["isError"] == true;
                            assert!(
                                is_refused || (400..500).contains(&foreign.status),
                                "{verb} {path}: {}",
                                foreign.status
                            );
                        }
                        asked += 1;
                    }
                }
            }
        }
    }
    assert!(asked > 300, "{asked}");
    assert_eq!(holdings(&a).await, before, "nothing of the first tenant's has changed");
    for (path, seen) in holdings(&b).await {
        let text = seen.to_string();
        assert!(!SECRETS.iter().any(|secret| text.contains(secret)), "{path} tells: {text}");
        assert!(!owned.jobs.iter().any(|id| text.contains(id.as_str())), "{path} tells of a job: {text}");
    }
    let mut action = gmail("secret-key-0", "Another");
    action["params"]["to"] = json!("john@example.com");
    let accepted = b.post("/ai/execute", &json!({ "actions": [action], "actor_id": "bo" })).await;
    // Another tenant's cursor leads nowhere but into one's own.
    let cursor = a.get("/ai/jobs?limit=1").await.body["next_cursor"].as_str().unwrap().to_owned();
    let listed = b.get(&format!("/ai/jobs?cursor={cursor}")).await.body;
    assert!(!owned.jobs.iter().any(|id| listed.to_string().contains(id.as_str())));
    // And without a key there is nothing at all.
    for (route, operations) in document["paths"].as_object().unwrap() {
        for (verb, operation) in operations.as_object().unwrap() {
            if operation["security"].is_null() {
                continue;
            }
            let path = paths(route, &owned.jobs[0]).remove(0);
            let refused = ask(&server, &verb.to_uppercase(), &path, None).await;
            assert_eq!(refused.status, 401, "{verb} {path}");
        }
    }
    accepted
}

#[tokio::test]
async fn a_key_lacking_a_routes_scope_gets_nowhere_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let all: Vec<&str> = SCOPES.split(',').collect();
    let lacking: Vec<(&str, String)> = all
        .iter()
        .map(|lack| {
            let rest: Vec<&str> = all.iter().copied().filter(|scope| scope != lack).collect();
            (*lack, run(folder, &[], &["keys", "create", "--workspace", "a", "--scopes", &rest.join(",")]))
        })
        .collect();
    let server = Server::start(folder, &[]);
    let document = server.get("/openapi.json").await.body;
    let mut refusals = 0;
    for (route, operations) in document["paths"].as_object().unwrap() {
        for (verb, operation) in operations.as_object().unwrap() {
            // Where one of several scopes is enough, each tool asks for its own.
            if operation["security"].as_array().is_some_and(|any| any.len() > 1) {
                continue;
            }
            for scope in operation["security"][0]["key"].as_array().into_iter().flatten() {
                let (_, key) = lacking.iter().find(|(lack, _)| scope == lack).expect("a scope of the contract");
                for path in paths(route, NOBODY) {
                    let refused = ask(&server.with_key(key), &verb.to_uppercase(), &path, None).await;
                    assert_eq!((refused.status, refused.code()), (403, &json!("forbidden-scope")), "{verb} {path}");
                    refusals += 1;
                }
            }
        }
    }
    assert!(refusals > 12, "{refusals}");
    assert_eq!(server.with_key(&lacking[2].1).counts().await, (0, 0));
}
