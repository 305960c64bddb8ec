//! Requests that are wrong: each has its status, its code and its pointers, and none does anything.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Client, Reply, Server, gmail, reply};

/// The codes and statuses of the contract.
const CODES: [(&str, u16); 33] = [
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

fn not_json() -> Vec<Case> {
    let texts: [&[u8]; 16] = [
        b"",
        b" ",
        b"{",
        b"nul",
        b"prompt=hello",
        br#"{"prompt":"hello"} {}"#,
        br#"{"prompt":"hello",}"#,
        br"{'prompt':'hello'}",
        br#"{"prompt":"hello" /* a comment */}"#,
        b"{\"prompt\":\"a\nb\"}",
        b"\xef\xbb\xbf{\"prompt\":\"hello\"}",
        br#"{"prompt":"\ud800"}"#,
        br#"{"prompt":01}"#,
        br#"{"prompt":1e999}"#,
        br#"{"prompt":NaN}"#,
        b"{\"prompt\":\"\xff\xfe\"}",
    ];
    let routes = ["/ai/plan2", "/ai/execute", "/actions/preview", &format!("{NO_JOB}/resolve")];
    let mut cases: Vec<Case> =
        texts.iter().map(|text| bad("POST", routes[0], *text, "malformed-json", &[""])).collect();
    for route in &routes[1..] {
        for text in [texts[2], texts[15]] {
            cases.push(bad("POST", route, text, "malformed-json", &[""]));
        }
    }
    cases
}

fn not_sent_as_json() -> Vec<Case> {
    let mut cases = Vec::new();
    for content_type in [
        None,
        Some("text/plain"),
        Some("text/json"),
        Some("application/x-www-form-urlencoded"),
        Some("multipart/form-data; boundary=x"),
        Some("application/jsonx"),
        Some("application/json, text/plain"),
        Some("application/json; charset=utf-16"),
    ] {
        let execute = json!({ "actions": [gmail("a", "b")], "actor_id": "ana@example.com" });
        let prompt = json!({ "prompt": "Send email to john@example.com" });
        for (path, body) in [("/ai/execute", &execute), ("/ai/plan2", &prompt)] {
            cases.push(Case { content_type, ..post(path, body, "unsupported-media-type", &[]) });
        }
    }
    for path in ["/ai/plan2", "/ai/execute", "/actions/preview"] {
        let mut body = br#"{"prompt":"hello"}"#.to_vec();
        for size in [1024 * 1024 + 1, 8 * 1024 * 1024] {
            body.resize(size, b' ');
            cases.push(bad("POST", path, body.clone(), "payload-too-large", &[]));
        }
        let deep = format!("{{\"prompt\":{}{}}}", "[".repeat(32), "]".repeat(32));
        cases.push(bad("POST", path, deep, "invalid-request", &[""]));
        cases.push(bad(
            "POST",
            path,
            format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)),
            "invalid-request",
            &[""],
        ));
        cases.push(bad("POST", path, r#"{"prompt":"a","prompt":"a"}"#, "invalid-request", &[""]));
        cases.push(bad("POST", path, r#"{"a":[{"b":1,"c":{},"b":1}]}"#, "invalid-request", &[""]));
    }
    cases
}

fn bad_prompts() -> Vec<Case> {
    let plan2 = |body: Value, pointers| post("/ai/plan2", &body, "invalid-request", pointers);
    let mut cases = vec![
        plan2(json!({}), &[""]),
        plan2(json!(null), &[""]),
        plan2(json!("hello"), &[""]),
        plan2(json!([]), &[""]),
        plan2(json!(["hello", null, null, null]), &[""]),
        plan2(json!({ "prompt": null }), &["/prompt"]),
        plan2(json!({ "prompt": 1 }), &["/prompt"]),
        plan2(json!({ "prompt": ["hello"] }), &["/prompt"]),
        plan2(json!({ "prompt": "" }), &["/prompt"]),
        plan2(json!({ "prompt": " \n\t" }), &["/prompt"]),
        plan2(json!({ "prompt": "hello", "model": "x" }), &["/model"]),
        plan2(json!({ "prompt": "hello", "a/b~c": 1 }), &["/a~1b~0c"]),
        plan2(json!({ "prompt": "hello", "timezone": "Europe/Atlantis" }), &["/timezone"]),
        plan2(json!({ "prompt": "hello", "timezone": "" }), &["/timezone"]),
        plan2(json!({ "prompt": "hello", "timezone": "../../etc/passwd" }), &["/timezone"]),
        plan2(json!({ "prompt": "hello", "timezone": 1 }), &["/timezone"]),
        plan2(json!({ "prompt": "hello", "actor_id": "" }), &["/actor_id"]),
        plan2(json!({ "prompt": "hello", "actor_id": "a b" }), &["/actor_id"]),
        plan2(json!({ "prompt": "hello", "workspace_id": 1 }), &["/workspace_id"]),
        post("/ai/plan2", &json!({ "prompt": "x".repeat(33 * 1024) }), "prompt-too-large", &["/prompt"]),
    ];
    for workspace in ["other", "", "LOCAL", "local "] {
        let body = json!({ "prompt": "hello", "workspace_id": workspace });
        cases.push(post("/ai/plan2", &body, "workspace-mismatch", &["/workspace_id"]));
    }
    cases
}

/// A request to execute one action, with changes to it and to the action.
fn execute(request: Value, action: Value) -> Value {
    let mut body = json!({ "actions": [changed(gmail("k", "Hello"), action)], "actor_id": "ana@example.com" });
    body = changed(body, request);
    body
}

/// An object with other fields; null takes a field away.
fn changed(mut object: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { unreachable!("changes are an object") };
    let fields = object.as_object_mut().expect("it is an object");
    for (name, value) in changes {
        if value.is_null() {
            fields.shift_remove(&name);
        } else {
            fields.insert(name, value);
        }
    }
    object
}

fn bad_executes() -> Vec<Case> {
    let request = |changes: Value, code, pointers| post("/ai/execute", &execute(changes, json!({})), code, pointers);
    let action = |changes: Value, code, pointers| post("/ai/execute", &execute(json!({}), changes), code, pointers);
    let many = |count: usize| json!((0..count).map(|i| gmail(&format!("k{i}"), "Hello")).collect::<Vec<_>>());
    let plan = "018f4e7e-7d4c-7a3b-8a52-0b7d2c9d3f10";
    let two =
        json!([changed(gmail("a", "b"), json!({ "action": "x" })), changed(gmail("b", "b"), json!({ "action": "y" }))]);
    let half = json!([gmail("a", "b"), changed(gmail("b", "b"), json!({ "params": { "to": "x" } })), gmail("c", "b")]);
    let list = json!([["google", "gmail.send", gmail("a", "b")["params"], "a"]]);
    vec![
        post("/ai/execute", &json!({}), "invalid-request", &["/actions"]),
        post("/ai/execute", &json!([]), "invalid-request", &[""]),
        post("/ai/execute", &json!([many(1), null, null, "ana@example.com"]), "invalid-request", &[""]),
        request(json!({ "actions": null }), "invalid-request", &["/actions"]),
        request(json!({ "actions": {} }), "invalid-request", &["/actions"]),
        request(json!({ "actions": [1] }), "invalid-request", &["/actions/0"]),
        request(json!({ "actions": list }), "invalid-request", &["/actions/0"]),
        request(json!({ "actions": many(0) }), "invalid-request", &["/actions"]),
        request(json!({ "actions": many(11) }), "invalid-request", &["/actions"]),
        request(json!({ "actions": two }), "unknown-action", &["/actions/0/action", "/actions/1/action"]),
        request(
            json!({ "actions": half }),
            "invalid-params",
            &["/actions/1/params/to", "/actions/1/params/subject", "/actions/1/params/text"],
        ),
        request(json!({ "plan_id": plan }), "invalid-request", &["/plan_id"]),
        request(json!({ "plan_id": plan, "actions": null }), "plan-not-found", &[]),
        post("/ai/execute", &json!({ "plan_id": plan }), "plan-not-found", &[]),
        post("/ai/execute", &json!({ "plan_id": "x" }), "invalid-request", &["/plan_id"]),
        post("/ai/execute", &json!({ "plan_id": 1 }), "invalid-request", &["/plan_id"]),
        post("/ai/execute", &json!({ "plan_id": "" }), "invalid-request", &["/plan_id"]),
        request(json!({ "dry_run": true }), "invalid-request", &["/dry_run"]),
        request(json!({ "workspace_id": "other" }), "workspace-mismatch", &["/workspace_id"]),
        request(json!({ "workspace_id": ["local"] }), "invalid-request", &["/workspace_id"]),
        request(json!({ "actor_id": null }), "invalid-request", &["/actor_id"]),
        request(json!({ "actor_id": "" }), "invalid-request", &["/actor_id"]),
        request(json!({ "actor_id": 7 }), "invalid-request", &["/actor_id"]),
        request(json!({ "actor_id": "a b" }), "invalid-request", &["/actor_id"]),
        request(json!({ "actor_id": "a\u{7}" }), "invalid-request", &["/actor_id"]),
        request(json!({ "actor_id": "x".repeat(256) }), "invalid-request", &["/actor_id"]),
        action(json!({ "id": "x" }), "invalid-request", &["/actions/0/id"]),
        action(json!({ "action": null }), "invalid-request", &["/actions/0"]),
        action(json!({ "action": 1 }), "invalid-request", &["/actions/0/action"]),
        action(json!({ "action": "gmail.delete" }), "unknown-action", &["/actions/0/action"]),
        action(json!({ "action": "GMAIL.SEND" }), "unknown-action", &["/actions/0/action"]),
        action(json!({ "action": "" }), "unknown-action", &["/actions/0/action"]),
        action(json!({ "provider": "microsoft" }), "unknown-action", &["/actions/0/provider"]),
        action(json!({ "provider": "" }), "unknown-action", &["/actions/0/provider"]),
        action(json!({ "provider": 1 }), "invalid-request", &["/actions/0/provider"]),
        action(json!({ "params": null }), "invalid-request", &["/actions/0"]),
        action(json!({ "params": 1 }), "invalid-params", &["/actions/0/params"]),
        action(json!({ "params": [] }), "invalid-params", &["/actions/0/params"]),
        action(json!({ "client_request_id": "" }), "invalid-request", &["/actions/0/client_request_id"]),
        action(json!({ "client_request_id": 7 }), "invalid-request", &["/actions/0/client_request_id"]),
        action(json!({ "client_request_id": "a\nb" }), "invalid-request", &["/actions/0/client_request_id"]),
        action(json!({ "client_request_id": "x".repeat(256) }), "invalid-request", &["/actions/0/client_request_id"]),
    ]
}

fn bad_params() -> Vec<Case> {
    let many = |count: usize| json!((0..count).map(|i| format!("a{i}@example.com")).collect::<Vec<_>>());
    let invalid = |changes: Value, pointers| {
        let params = changed(gmail("k", "Hello")["params"].clone(), changes);
        post("/ai/execute", &execute(json!({}), json!({ "params": params })), "invalid-params", pointers)
    };
    let mut cases = vec![
        invalid(json!({ "to": null }), &["/actions/0/params/to"]),
        invalid(json!({ "to": [] }), &["/actions/0/params/to"]),
        invalid(json!({ "to": 7 }), &["/actions/0/params/to"]),
        invalid(json!({ "to": {} }), &["/actions/0/params/to"]),
        invalid(json!({ "to": ["a@example.com", 7, "b@"] }), &["/actions/0/params/to/1", "/actions/0/params/to/2"]),
        invalid(json!({ "to": many(51) }), &["/actions/0/params/to"]),
        invalid(json!({ "to": many(25), "cc": many(13), "bcc": many(13) }), &["/actions/0/params/to"]),
        invalid(json!({ "subject": null }), &["/actions/0/params/subject"]),
        invalid(json!({ "subject": 7 }), &["/actions/0/params/subject"]),
        invalid(json!({ "subject": "Hello\r\nBcc: eve@example.com" }), &["/actions/0/params/subject"]),
        invalid(json!({ "subject": "Hello\u{0}" }), &["/actions/0/params/subject"]),
        invalid(json!({ "subject": "Hello\u{2028}" }), &["/actions/0/params/subject"]),
        invalid(json!({ "text": null }), &["/actions/0/params/text"]),
        invalid(json!({ "text": ["a"] }), &["/actions/0/params/text"]),
        invalid(json!({ "text": "a\u{0}b" }), &["/actions/0/params/text"]),
        invalid(json!({ "text": "x".repeat(257 * 1024) }), &["/actions/0/params"]),
        invalid(json!({ "html": 7 }), &["/actions/0/params/html"]),
        invalid(json!({ "html": "x".repeat(257 * 1024) }), &["/actions/0/params"]),
        invalid(json!({ "cc": [] }), &["/actions/0/params/cc"]),
        invalid(json!({ "cc": "nobody" }), &["/actions/0/params/cc"]),
        invalid(json!({ "bcc": [true] }), &["/actions/0/params/bcc/0"]),
        invalid(json!({ "reply_to": "a@localhost" }), &["/actions/0/params/reply_to"]),
        invalid(json!({ "from": "eve@example.com" }), &["/actions/0/params/from"]),
        invalid(
            json!({ "to": "b@", "subject": 1, "x": 1 }),
            &["/actions/0/params/to", "/actions/0/params/subject", "/actions/0/params/x"],
        ),
    ];
    for address in [
        "",
        "john",
        "john@example.com, eve@example.com",
        "zoë@example.com",
        "zoe@exämple.com",
        "A\u{7} <a@example.com>",
        "A\r\nBcc: eve@example.com <a@example.com>",
        "A\u{202e}B <a@example.com>",
    ] {
        cases.push(invalid(json!({ "to": address }), &["/actions/0/params/to"]));
        cases.push(invalid(json!({ "reply_to": [address] }), &["/actions/0/params/reply_to/0"]));
    }
    cases
}

fn bad_keys() -> Vec<Case> {
    let nameless = json!({ "client_request_id": null });
    let place = "/actions/0/client_request_id";
    let header = |key: &str| {
        let case = post("/ai/execute", &execute(json!({}), nameless.clone()), "invalid-request", &["/actions/0"]);
        Case { idempotency_key: Some(key.to_owned()), ..case }
    };
    let reused = json!([gmail("same", "Hello"), gmail("other", "Hello"), gmail("same", "Bye")]);
    let reused = execute(json!({ "actions": reused }), json!({}));
    vec![
        post("/ai/execute", &execute(json!({}), nameless.clone()), "idempotency-key-missing", &[place]),
        Case { pointers: vec![""], ..header("") },
        Case { pointers: vec![""], ..header("schlüssel") },
        header(&"x".repeat(256)),
        post("/ai/execute", &reused, "idempotency-key-reused", &["/actions/2/client_request_id"]),
    ]
}

fn bad_previews() -> Vec<Case> {
    let preview = |changes: Value, code, pointers| {
        post("/actions/preview", &changed(gmail("k", "Hello"), changes), code, pointers)
    };
    vec![
        post("/actions/preview", &json!({}), "invalid-request", &[""]),
        post("/actions/preview", &json!([null, "gmail.send", {}, null]), "invalid-request", &[""]),
        preview(json!({ "actor_id": "ana@example.com" }), "invalid-request", &["/actor_id"]),
        preview(json!({ "action": 1 }), "invalid-request", &["/action"]),
        preview(json!({ "action": "gmail.read" }), "unknown-action", &["/action"]),
        preview(json!({ "provider": "microsoft" }), "unknown-action", &["/provider"]),
        preview(json!({ "client_request_id": 1 }), "invalid-request", &["/client_request_id"]),
        preview(json!({ "params": "x" }), "invalid-params", &["/params"]),
        preview(
            json!({ "params": { "to": "a@example.com", "subject": "a\n", "text": "" } }),
            "invalid-params",
            &["/params/subject"],
        ),
        preview(json!({ "params": {} }), "invalid-params", &["/params/subject", "/params/text", "/params/to"]),
    ]
}

fn bad_lookups() -> Vec<Case> {
    let mut cases = Vec::new();
    for (query, pointer) in [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("limit=x", "/limit"),
        ("limit=-1", "/limit"),
        ("limit=", "/limit"),
        ("limit=1.5", "/limit"),
        ("status=done", "/status"),
        ("status=", "/status"),
        ("status=Pending", "/status"),
        ("cursor=x", "/cursor"),
        ("cursor=", "/cursor"),
        ("cursor=1.x", "/cursor"),
        ("cursor=9999999999999999999999.018f4e7e-7d4c-8a3b-8a52-0b7d2c9d3f10", "/cursor"),
        ("offset=1", "/offset"),
        ("limit=1&limit=2", ""),
    ] {
        cases.push(get(&format!("/ai/jobs?{query}"), "invalid-request", &[pointer]));
    }
    for (query, pointer) in [
        ("limit=0", "/limit"),
        ("limit=101", "/limit"),
        ("limit=x", "/limit"),
        ("cursor=x", "/cursor"),
        ("cursor=1.x", "/cursor"),
        ("cursor=9999999999999999999999.018f4e7e-7d4c-8a3b-8a52-0b7d2c9d3f10", "/cursor"),
        ("status=pending", "/status"),
    ] {
        cases.push(get(&format!("/audit?{query}"), "invalid-request", &[pointer]));
    }
    for (query, pointer) in
        [("wait=21", "/wait"), ("wait=-1", "/wait"), ("wait=x", "/wait"), ("wait=", "/wait"), ("limit=1", "/limit")]
    {
        cases.push(get(&format!("{NO_JOB}?{query}"), "invalid-request", &[pointer]));
    }
    for id in ["018f4e7e-7d4c-8a3b-8a52-0b7d2c9d3f10", "x", "%00", "%FF", "1", "018f4e7e-7d4c-8a3b-8a52-0b7d2c9d3f1g"] {
        cases.push(get(&format!("/ai/jobs/{id}"), "job-not-found", &[]));
        for (verb, body) in [("cancel", ""), ("retry", "{}"), ("resolve", r#"{"outcome":"sent"}"#)] {
            cases.push(bad("POST", &format!("/ai/jobs/{id}/{verb}"), body, "job-not-found", &[]));
        }
    }
    for verb in ["cancel", "retry"] {
        cases.push(bad("POST", &format!("{NO_JOB}/{verb}"), r#"{"force":true}"#, "invalid-request", &["/force"]));
        cases.push(bad("POST", &format!("{NO_JOB}/{verb}"), "[]", "invalid-request", &[""]));
        cases.push(bad("POST", &format!("{NO_JOB}/{verb}"), "{", "malformed-json", &[""]));
    }
    for (body, pointer) in [
        (json!({}), ""),
        (json!([]), ""),
        (json!(["sent"]), ""),
        (json!({ "outcome": "maybe" }), "/outcome"),
        (json!({ "outcome": "Sent" }), "/outcome"),
        (json!({ "outcome": null }), "/outcome"),
        (json!({ "outcome": true }), "/outcome"),
        (json!({ "outcome": { "sent": null } }), "/outcome"),
        (json!({ "outcome": "sent", "by": "me" }), "/by"),
    ] {
        cases.push(post(&format!("{NO_JOB}/resolve"), &body, "invalid-request", &[pointer]));
    }
    for path in [
        "/ai",
        "/ai/",
        "/ai/plan",
        "/ai/plan2/",
        "/AI/plan2",
        "//ai/jobs",
        "/ai/jobs/",
        "/ai/jobs/x/y/z",
        "/dev/",
        "/dev/other.html",
        "/dev/%2e%2e%2fetc%2fpasswd",
        "/dev/%FF",
        "/assets/",
        "/assets/other.css",
        "/docs/",
        "/problems/no-such-code",
        "/problems/%FF",
        "/problems/",
        "/oauth/apple/status",
        "/oauth/%FF/status",
        "/openapi.yaml",
        "/favicon.png",
    ] {
        cases.push(get(path, "not-found", &[]));
    }
    cases
}

#[tokio::test]
async fn a_method_that_a_route_lacks_is_refused_with_those_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let posts = ["/ai/plan2", "/ai/execute", "/actions/preview", "/cancel", "/retry", "/resolve", "/start"];
    for route in web::ROUTES.iter().map(|(route, _)| *route) {
        let allowed = match route {
            "/oauth/{provider}" => vec!["DELETE"],
            _ if posts.iter().any(|post| route.ends_with(post)) => vec!["POST"],
            _ => vec!["GET", "HEAD"],
        };
        let path = route.replace("{job_id}", "x").replace("{provider}", "google").replace("{code}", "internal");
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
