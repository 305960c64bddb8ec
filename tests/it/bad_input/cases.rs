//! The bad requests, a list for each thing that can be wrong.

use serde_json::{Value, json};

use super::{Case, NO_JOB, bad, get, post};
use crate::support::gmail;

pub fn not_json() -> Vec<Case> {
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
        b"\xef\xbb\xbf\xef\xbb\xbf{\"prompt\":\"hello\"}",
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

pub fn not_sent_as_json() -> Vec<Case> {
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

pub fn bad_prompts() -> Vec<Case> {
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
pub fn execute(request: Value, action: Value) -> Value {
    let mut body = json!({ "actions": [changed(gmail("k", "Hello"), action)], "actor_id": "ana@example.com" });
    body = changed(body, request);
    body
}

/// An object with other fields; null takes a field away.
pub fn changed(mut object: Value, changes: Value) -> Value {
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

pub fn bad_executes() -> Vec<Case> {
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

pub fn bad_params() -> Vec<Case> {
    let numbered = |count: usize, at: &str| json!((0..count).map(|i| format!("a{i}@{at}")).collect::<Vec<_>>());
    let many = |count| numbered(count, "example.com");
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
        invalid(
            json!({ "to": many(25), "cc": numbered(13, "cc.example"), "bcc": numbered(13, "bcc.example") }),
            &["/actions/0/params/to"],
        ),
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
        invalid(json!({ "cc": [7] }), &["/actions/0/params/cc/0"]),
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
        "john",
        "john@example.com, eve",
        "zoë@example.com",
        "zoe@exa\u{200b}mple.com",
        "A\u{7} <a@example.com>",
        "A\r\nBcc: eve@example.com <a@example.com>",
        "A\u{202e}B <a@example.com>",
    ] {
        cases.push(invalid(json!({ "to": address }), &["/actions/0/params/to"]));
        cases.push(invalid(json!({ "reply_to": [address] }), &["/actions/0/params/reply_to/0"]));
    }
    cases
}

pub fn bad_keys() -> Vec<Case> {
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

pub fn bad_previews() -> Vec<Case> {
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
        preview(json!({ "params": {} }), "invalid-params", &["/params/to", "/params/subject", "/params/text"]),
    ]
}

pub fn bad_lookups() -> Vec<Case> {
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
    for (body, pointer) in [
        (json!({}), ""),
        (json!([]), ""),
        (json!("0"), ""),
        (json!({ "payload_sha256": null }), "/payload_sha256"),
        (json!({ "payload_sha256": ["0"] }), "/payload_sha256"),
        (json!({ "payload_sha256": "0", "by": "me" }), "/by"),
    ] {
        cases.push(post(&format!("{NO_JOB}/approve"), &body, "invalid-request", &[pointer]));
    }
    for verb in ["cancel", "retry", "reject"] {
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
