//! Requests that are wrong: each has its status, its code and its pointers, and none does anything.

mod cases;

use std::collections::BTreeSet;

use cases::{
    bad_executes, bad_keys, bad_lookups, bad_params, bad_previews, bad_prompts, execute, not_json, not_sent_as_json,
};
use serde_json::{Value, json};

use crate::support::{Client, Reply, Server, gmail, reply};

/// The codes and statuses of the contract.
const CODES: [(&str, u16); 36] = [
    ("malformed-json", 400),
    ("invalid-request", 422),
    ("unsupported-media-type", 415),
    ("payload-too-large", 413),
    ("not-found", 404),
    ("method-not-allowed", 405),
    ("unauthenticated", 401),
    ("forbidden-scope", 403),
    ("workspace-mismatch", 403),
    ("actor-mismatch", 403),
    ("action-not-allowed", 403),
    ("recipient-not-allowed", 403),
    ("rollout-denied", 403),
    ("unknown-action", 422),
    ("invalid-params", 422),
    ("idempotency-key-missing", 422),
    ("idempotency-key-reused", 422),
    ("connection-required", 409),
    ("reauth-required", 409),
    ("job-not-found", 404),
    ("plan-not-found", 404),
    ("job-not-retriable", 409),
    ("not-held", 409),
    ("approval-mismatch", 409),
    ("second-person-required", 403),
    ("token-budget-exhausted", 429),
    ("rate-limited", 429),
    ("prompt-too-large", 422),
    ("planner-invalid-answer", 502),
    ("planner-unavailable", 503),
    ("authorization-invalid", 400),
    ("authorization-denied", 403),
    ("account-differs", 409),
    ("provider-unavailable", 503),
    ("store-unavailable", 503),
    ("internal", 500),
];

/// A job's id that no job has.
const NO_JOB: &str = "/ai/jobs/018f4e7e-7d4c-8a3b-8a52-0b7d2c9d3f10";
const JSON: Option<&str> = Some("application/json");

/// One bad request, and what it is answered with.
struct Case {
    method: &'static str,
    path: String,
    content_type: Option<&'static str>,
    idempotency_key: Option<String>,
    body: Vec<u8>,
    code: &'static str,
    pointers: Vec<&'static str>,
}

fn bad(
    method: &'static str,
    path: &str,
    body: impl Into<Vec<u8>>,
    code: &'static str,
    pointers: &[&'static str],
) -> Case {
    let content_type = if method == "GET" { None } else { JSON };
    let (path, body, pointers) = (path.to_owned(), body.into(), pointers.to_vec());
    Case { method, path, content_type, idempotency_key: None, body, code, pointers }
}

fn post(path: &str, body: &Value, code: &'static str, pointers: &[&'static str]) -> Case {
    bad("POST", path, body.to_string(), code, pointers)
}

fn get(path: &str, code: &'static str, pointers: &[&'static str]) -> Case {
    bad("GET", path, "", code, pointers)
}

fn status_of(code: &str) -> u16 {
    CODES.iter().find(|(known, _)| *known == code).expect("the code is in the contract").1
}

async fn ask(client: &Client, case: &Case) -> Reply {
    let mut request = client.request(case.method, &case.path).body(case.body.clone());
    if let Some(content_type) = case.content_type {
        request = request.header("content-type", content_type);
    }
    if let Some(key) = &case.idempotency_key {
        request = request.header("idempotency-key", key);
    }
    reply(request).await
}

/// Asks them all and gives back the codes; says of everything that is not as it should be at once.
async fn check(client: &Client, cases: &[Case]) -> BTreeSet<String> {
    let mut wrong = Vec::new();
    let mut codes = BTreeSet::new();
    for case in cases {
        let reply = ask(client, case).await;
        let problem = &reply.body;
        let correlation = problem["correlation_id"].as_str().unwrap_or_default();
        let is_problem = reply.header("content-type") == "application/problem+json"
            && problem["type"] == format!("/problems/{}", case.code)
            && problem["title"].as_str().is_some_and(|title| !title.is_empty())
            && problem["status"] == reply.status
            && problem["detail"].as_str().is_some_and(|detail| !detail.is_empty())
            && problem["retriable"] == false
            && !correlation.is_empty()
            && reply.header("x-correlation-id") == correlation;
        if !is_problem
            || reply.status != status_of(case.code)
            || problem["code"] != case.code
            || reply.pointers() != case.pointers
        {
            let body: String = String::from_utf8_lossy(&case.body).chars().take(200).collect();
            let Case { method, path, code, pointers, .. } = case;
            wrong.push(format!(
                "{method} {path} {body}\n  wanted {code} {pointers:?}\n  got {} {problem}",
                reply.status
            ));
        }
        codes.insert(case.code.to_owned());
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    codes
}

#[tokio::test]
async fn every_bad_request_is_refused_by_name_and_does_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let mut cases = not_json();
    cases.extend(not_sent_as_json());
    cases.extend(bad_prompts());
    cases.extend(bad_executes());
    cases.extend(bad_params());
    cases.extend(bad_keys());
    cases.extend(bad_previews());
    cases.extend(bad_lookups());
    assert!(cases.len() > 150, "{}", cases.len());
    let codes = check(&server, &cases).await;
    for code in codes {
        let page = server.get(&format!("/problems/{code}")).await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{code}");
    }
    assert_eq!(server.counts().await, (0, 0));
    let document = server.get("/openapi.json").await.body;
    let silent: BTreeSet<String> = cases.iter().filter_map(|case| undocumented(&document, case)).collect();
    assert!(silent.is_empty(), "the document does not say: {silent:#?}");
}

#[tokio::test]
async fn the_largest_problem_is_below_64_kib_and_says_how_many_places_it_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let fields = |count: usize| (0..count).map(|place| (format!("x{place}"), json!(1))).collect();
    let preview = |params: Value| json!({ "action": "gmail.send", "params": params });
    let execute = |params: Value| json!({ "actions": [preview(params)], "actor_id": "ana@example.com" });
    let many = Value::Object(fields(90_000));
    let numbers = json!({ "to": vec![7; 300_000], "subject": "s", "text": "t" });
    let controls: serde_json::Map<_, _> =
        (0..60).map(|place| (format!("{place}{}", "\u{1}".repeat(2_000)), json!(1))).collect();
    let long = |c: char| c.to_string().repeat(150_000 / c.len_utf8());
    let named = |c: char| json!({ long(c): 1 });
    // How many places are wrong; 1 where the first ends the reading.
    for (path, body, places) in [
        ("/actions/preview", preview(many.clone()), 90_003),
        ("/ai/execute", execute(many.clone()), 90_003),
        ("/actions/preview", preview(numbers.clone()), 300_000),
        ("/ai/execute", execute(numbers), 300_000),
        ("/actions/preview", preview(json!(controls)), 63),
        ("/actions/preview", preview(named('"')), 4),
        ("/ai/execute", execute(named('/')), 4),
        ("/actions/preview", preview(named('é')), 4),
        ("/actions/preview", json!({ "action": long('a'), "params": {} }), 1),
        ("/ai/execute", json!({ "actions": [{ "action": long('"'), "params": {} }] }), 1),
        ("/ai/execute", named('~'), 1),
        ("/ai/plan2", many, 1),
        ("/ai/plan2", named('x'), 1),
        ("/ai/plan2", named('\u{1}'), 1),
        ("/ai/plan2", json!({ "prompt": "Hello", "timezone": long('x') }), 1),
        ("/ai/plan2", json!({ "prompt": "Hello", "answers": [named('ü')] }), 1),
        ("/ai/plan2", json!({ "prompt": "Hello", "workspace_id": long('\\') }), 1),
    ] {
        let reply = server.post(path, &body).await;
        let (said, errors) = (reply.body.to_string(), reply.body["errors"].as_array().cloned().unwrap_or_default());
        assert!((400..500).contains(&reply.status) && said.len() < 64 * 1024, "{path}: {} bytes", said.len());
        assert_eq!(errors.len(), if places > 50 { 51 } else { places }, "{path}: {said}");
        if places > 50 {
            assert_eq!(
                errors[50],
                json!({ "pointer": "", "detail": format!("{} more places are wrong", places - 50) })
            );
        }
    }
    let twice = format!("{{\"{0}\":1,\"{0}\":1}}", "\\\"".repeat(200_000));
    let reply = ask(&server, &bad("POST", "/ai/plan2", twice, "invalid-request", &[""])).await;
    assert!(reply.status == 422 && reply.body.to_string().len() < 64 * 1024, "{}", reply.status);
    let reply = server.get(&format!("/ai/jobs?{}=1", "%01".repeat(2_000))).await;
    assert!(reply.status == 422 && reply.body.to_string().len() < 64 * 1024, "{}", reply.status);
}

/// The route and code of a case whose route the document has, and says nothing of this code.
fn undocumented(document: &Value, Case { method, path, code, .. }: &Case) -> Option<String> {
    let path = path.split('?').next().unwrap_or_default();
    let fits = |pattern: &str| {
        let (pattern, path) = (pattern.split('/'), path.split('/'));
        pattern.clone().count() == path.clone().count()
            && pattern.zip(path).all(|(a, b)| a == b || a.starts_with('{') && !b.is_empty())
    };
    let paths = document["paths"].as_object().expect("the document has paths");
    // A path without placeholders goes before one that has them.
    let pattern = paths.keys().filter(|pattern| fits(pattern)).min_by_key(|pattern| pattern.matches('{').count())?;
    let responses = paths[pattern].get(method.to_lowercase())?.get("responses")?;
    let examples = &responses[status_of(code).to_string()]["content"]["application/problem+json"]["examples"];
    examples.get(*code).is_none().then(|| format!("{method} {pattern}: {code}"))
}

#[tokio::test]
async fn every_code_of_the_contract_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    for (code, status) in CODES {
        let page = server.get(&format!("/problems/{code}")).await;
        let text = page.body.as_str().unwrap_or_default();
        assert_eq!(page.status, 200, "{code}");
        assert!(text.contains(code) && text.contains(&format!("HTTP status {status}")), "{text}");
    }
}

#[tokio::test]
async fn a_method_that_a_route_lacks_is_refused_with_those_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let posts = [
        "/ai/plan2",
        "/ai/execute",
        "/actions/preview",
        "/approve",
        "/reject",
        "/cancel",
        "/retry",
        "/resolve",
        "/start",
        "/test",
        "/rotate",
        "/mcp",
    ];
    for route in web::routes().into_keys() {
        let allowed = match route {
            "/oauth/{provider}" | "/webhooks/{id}" => vec!["DELETE"],
            "/webhooks" => vec!["GET", "HEAD", "POST"],
            _ if posts.iter().any(|post| route.ends_with(post)) => vec!["POST"],
            _ => vec!["GET", "HEAD"],
        };
        let path = route
            .replace("{job_id}", "x")
            .replace("{id}", "x")
            .replace("{provider}", "google")
            .replace("{code}", "internal");
        let path = path.replace("/dev/{file}", "/dev/style.css").replace("/assets/{file}", "/assets/base.css");
        let cases: Vec<Case> = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"]
            .into_iter()
            .filter(|method| !allowed.contains(method))
            .map(|method| bad(method, &path, "{}", "method-not-allowed", &[]))
            .collect();
        check(&server, &cases).await;
        for case in cases {
            let reply = ask(&server, &case).await;
            let said: BTreeSet<&str> = reply.header("allow").split(',').map(str::trim).collect();
            assert_eq!(said, allowed.iter().copied().collect(), "{} {path}", case.method);
        }
    }
    assert_eq!(server.counts().await, (0, 0));
}

#[tokio::test]
async fn a_job_in_another_state_is_not_cancelled_retried_or_resolved() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let id = server.execute(gmail("done", "Hello")).await;
    let done = server.ended(&id).await;
    let cases: Vec<Case> = [("cancel", ""), ("cancel", "{}"), ("retry", ""), ("resolve", r#"{"outcome":"not_sent"}"#)]
        .into_iter()
        .map(|(verb, body)| bad("POST", &format!("/ai/jobs/{id}/{verb}"), body, "job-not-retriable", &[]))
        .collect();
    check(&server, &cases).await;
    assert_eq!(server.get(&format!("/ai/jobs/{id}")).await.body, done);
    let reused = post(
        "/ai/execute",
        &execute(json!({ "actions": [gmail("done", "Bye")] }), json!({})),
        "idempotency-key-reused",
        &["/actions/0/client_request_id"],
    );
    check(&server, &[reused]).await;
    assert_eq!(server.counts().await, (1, 1));
}

#[tokio::test]
async fn what_is_just_within_the_limits_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let mut body = br#"{"prompt":"Send email to john@example.com saying hi"}"#.to_vec();
    body.resize(1024 * 1024, b' ');
    let planned = reply(
        server.request("POST", "/ai/plan2").header("content-type", "Application/JSON; charset=\"UTF-8\"").body(body),
    );
    assert_eq!(planned.await.status, 200);
    let mut action = gmail(&"k".repeat(255), "Hello");
    action["params"]["to"] = json!((0..50).map(|i| format!("a{i}@example.com")).collect::<Vec<_>>());
    action["params"]["text"] = json!("x".repeat(254 * 1024));
    let request = json!({ "actions": [action], "actor_id": "x".repeat(255), "workspace_id": "local" });
    assert_eq!(server.post("/ai/execute", &request).await.status, 202);
    let ten: Vec<Value> = (0..10).map(|i| gmail(&format!("k{i}"), "Hello")).collect();
    assert_eq!(server.post("/ai/execute", &json!({ "actions": ten, "actor_id": "a" })).await.status, 202);
    for query in ["limit=1", "limit=100", "status=pending", ""] {
        assert_eq!(server.get(&format!("/ai/jobs?{query}")).await.status, 200, "{query}");
    }
}
