//! How much a key and its workspace may ask for, and which pages may ask.

use std::path::Path;

use contracts::servers::RedisServer;
use serde_json::{Value, json};

use crate::support::{Client, Reply, Server, gmail, reply, run};

const SCOPES: &str = "actions:preview,actions:execute,audit:read,metrics:read";

fn make_key(folder: &Path, workspace: &str) -> String {
    run(folder, &[], &["keys", "create", "--workspace", workspace, "--scopes", SCOPES])
}

fn request(action: &Value) -> Value {
    json!({ "actions": [action], "actor_id": "ana@example.com" })
}

fn is_limited(reply: &Reply, limit: u32) {
    assert_eq!((reply.status, reply.code()), (429, &json!("rate-limited")), "{}", reply.body);
    let wait: u64 = reply.header("retry-after").parse().unwrap();
    assert!((1..=120).contains(&wait), "{wait}");
    assert!(reply.body["retry_after_ms"].as_u64().is_some_and(|ms| ms <= wait * 1000));
    assert_eq!(reply.header("ratelimit-policy"), format!("\"requests\";q={limit};w=60"));
    assert!(reply.header("ratelimit").starts_with("\"requests\";r=0;t="));
}

/// One request of each kind; every one of them counts once.
async fn one_of_each(client: &Client) -> Vec<Reply> {
    let nobody = "/ai/jobs/018f4e7e-7d4c-8a3b-8a52-0b7d2c9d3f10";
    let plan = json!({ "plan_id": "018f4e7e-7d4c-8a3b-8a52-0b7d2c9d3f10" });
    vec![
        client.post("/ai/plan2", &json!({ "prompt": "Send email to john@example.com saying hi" })).await,
        client.post("/ai/execute", &request(&gmail("one", "Hello"))).await,
        client.post("/ai/execute", &plan).await,
        client.get(&format!("{nobody}?wait=1")).await,
        client.get("/ai/jobs").await,
        client.post(&format!("{nobody}/cancel"), &json!({})).await,
        client.get("/actions").await,
        client.post("/actions/preview", &gmail("p", "Hello")).await,
        client.get("/dev/outbox").await,
        client.get("/audit").await,
        client.get("/metrics").await,
    ]
}

#[tokio::test]
async fn a_key_and_its_workspace_are_limited_and_told_when_to_come_back() {
    let redis = RedisServer::start(false);
    let url = redis.url();
    for with_redis in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let keys = [make_key(folder, "acme"), make_key(folder, "acme"), make_key(folder, "other")];
        let mut variables = vec![("LIMIT_REQUESTS_PER_KEY", "11"), ("LIMIT_REQUESTS_PER_WORKSPACE", "14")];
        if with_redis {
            variables.push(("REDIS_URL", &url));
        }
        let server = Server::start(folder, &variables);
        let [first, second, other] = keys.each_ref().map(|key| server.with_key(key));
        let granted = one_of_each(&first).await;
        assert_eq!(granted.len(), 11);
        for reply in &granted {
            assert_ne!(reply.status, 429, "{}", reply.body);
        }
        // Three more of the workspace's, whoever is refused meanwhile.
        for refused in one_of_each(&first).await {
            is_limited(&refused, 11);
        }
        for _ in 0..3 {
            assert_eq!(second.get("/actions").await.status, 200);
        }
        is_limited(&second.get("/actions").await, 14);
        assert_eq!(other.get("/actions").await.status, 200, "another workspace is another");
        assert_eq!(server.get("/healthz").await.status, 200);
        assert_eq!(other.counts().await, (0, 0));
        let jobs = run(folder, &[], &["audit", "--workspace", "acme"]);
        assert_eq!(jobs.matches("job.accepted").count(), 1, "what was refused is not done");
    }
}

#[tokio::test]
async fn a_request_counts_however_early_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    let key = make_key(folder.path(), "acme");
    let server = Server::start(folder.path(), &[("LIMIT_REQUESTS_PER_KEY", "18")]);
    let client = server.with_key(&key);
    let (plan, execute) = ("/ai/plan2", "/ai/execute");
    let text = |path, kind, body: String| reply(client.request("POST", path).header("content-type", kind).body(body));
    let json_text = |path, body: &str| text(path, "application/json", body.to_owned());
    let coded = client.request("POST", execute).header("content-encoding", "gzip").json(&json!({}));
    let hi = json!({ "prompt": "Send email to john@example.com saying hi", "timezone": "Mars/Base" });
    let id = "018f4e7e-7d4c-8a3b-8a52-0b7d2c9d3f10";
    let early = [
        json_text(plan, "{").await,
        json_text(execute, "[1,").await,
        json_text(execute, &format!("[{}]", "[],".repeat(300_000))).await,
        json_text(plan, &" ".repeat(1024 * 1024 + 1)).await,
        text(plan, "text/plain", "{}".to_owned()).await,
        text(execute, "application/x-www-form-urlencoded", "a=b".to_owned()).await,
        reply(coded).await,
        client.post(plan, &json!({ "prompt": 1 })).await,
        client.post(plan, &json!({ "prompt": " " })).await,
        client.post(plan, &hi).await,
        client.post(execute, &json!({})).await,
        client.post(execute, &json!({ "plan_id": id, "actions": [] })).await,
        client.post(execute, &json!({ "actions": [], "actor_id": "ana@example.com" })).await,
        client.get("/ai/jobs/none").await,
        client.get(&format!("/ai/jobs/{id}?wait=99")).await,
        client.get("/ai/jobs?limit=0").await,
        client.get("/oauth/nobody/status").await,
        client.post("/oauth/google/start", &json!({})).await,
    ];
    for early in early {
        assert!((400..429).contains(&early.status), "{}: {}", early.status, early.body);
    }
    is_limited(&client.get("/actions").await, 18);
    is_limited(&client.post(execute, &json!({})).await, 18);
    is_limited(&json_text(plan, "{").await, 18);
}

#[tokio::test]
async fn without_redis_everything_goes_on_and_the_process_counts_by_itself() {
    let mut redis = RedisServer::start(false);
    let url = redis.url();
    let folder = tempfile::tempdir().unwrap();
    let keys = ["acme", "acme", "other"].map(|workspace| make_key(folder.path(), workspace));
    let limits = [("LIMIT_REQUESTS_PER_KEY", "4"), ("LIMIT_REQUESTS_PER_WORKSPACE", "6")];
    let server = Server::start(folder.path(), &[&[("REDIS_URL", url.as_str())], &limits[..]].concat());
    let [client, second, other] = keys.each_ref().map(|key| server.with_key(key));
    let accepted = client.post("/ai/execute", &request(&gmail("a", "Hello"))).await;
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    let path = format!("/ai/jobs/{}", accepted.body["job_ids"][0].as_str().unwrap());
    redis.kill();
    // Four of a key's and six of its workspace's, whichever call would have counted.
    assert_eq!(client.post("/ai/execute", &request(&gmail("b", "Hello"))).await.status, 202);
    assert_eq!(client.get(&path).await.status, 200);
    assert_eq!(client.get("/ai/jobs").await.status, 200);
    assert_eq!(client.get(&path).await.status, 200);
    for _ in 0..2 {
        is_limited(&client.post("/ai/execute", &request(&gmail("c", "Hello"))).await, 4);
        is_limited(&client.get(&path).await, 4);
        is_limited(&client.get("/ai/jobs").await, 4);
        is_limited(&client.post("/ai/execute", &json!({})).await, 4);
        is_limited(&client.post("/ai/plan2", &json!({ "prompt": "hi" })).await, 4);
    }
    for _ in 0..2 {
        assert_eq!(second.get("/ai/jobs").await.status, 200);
    }
    is_limited(&second.get("/ai/jobs").await, 6);
    assert_eq!(other.get("/ai/jobs").await.status, 200, "another workspace is another");
    assert_eq!(server.get("/healthz").await.status, 200);
    assert!(server.log().contains("a request was not counted"), "{}", server.log());
    let jobs = run(folder.path(), &[], &["audit", "--workspace", "acme"]);
    assert_eq!(jobs.matches("job.accepted").count(), 2, "what was refused is not done");
}

#[tokio::test]
async fn a_workspace_has_so_many_open_jobs_and_a_prompt_so_many_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let key = make_key(folder.path(), "local");
    // Nothing listens there, so that jobs wait.
    let nowhere = "http://127.0.0.1:9";
    let server = Server::start(
        folder.path(),
        &[
            ("LIMIT_OPEN_JOBS", "3"),
            ("LIMIT_PROMPT_BYTES", "60"),
            ("GMAIL_BASE_URL", nowhere),
            ("GOOGLE_ACCESS_TOKEN", "t-google"),
        ],
    );
    let client = server.with_key(&key);
    let many = |names: &[&str]| {
        let actions: Vec<Value> = names.iter().map(|name| gmail(name, "Hello")).collect();
        json!({ "actions": actions, "actor_id": "ana@example.com" })
    };
    let refused = client.post("/ai/execute", &many(&["a", "b", "c", "d"])).await;
    assert_eq!((refused.status, refused.code()), (429, &json!("rate-limited")), "{}", refused.body);
    assert_eq!(refused.header("retry-after"), "15");
    assert_eq!(client.post("/ai/execute", &many(&["a", "b"])).await.status, 202, "none of them was accepted before");
    assert_eq!(client.post("/ai/execute", &many(&["c"])).await.status, 202);
    assert_eq!(client.post("/ai/execute", &many(&["d"])).await.code(), "rate-limited");
    assert_eq!(client.counts().await.0, 3);

    let prompt = |length: usize| json!({ "prompt": format!("Send email to john@example.com saying {}", "a".repeat(length - 38)) });
    assert_eq!(client.post("/ai/plan2", &prompt(60)).await.status, 200);
    let refused = client.post("/ai/plan2", &prompt(61)).await;
    assert_eq!((refused.status, refused.code()), (422, &json!("prompt-too-large")));
    assert_eq!(refused.pointers(), ["/prompt"]);
}

#[tokio::test]
async fn without_keys_nothing_is_limited() {
    let folder = tempfile::tempdir().unwrap();
    let limits = [("LIMIT_REQUESTS_PER_KEY", "1"), ("LIMIT_REQUESTS_PER_WORKSPACE", "1"), ("LIMIT_OPEN_JOBS", "1")];
    let server = Server::start(folder.path(), &limits);
    for _ in 0..3 {
        for reply in one_of_each(&server).await {
            assert_ne!(reply.status, 429, "{}", reply.body);
        }
    }
}

#[tokio::test]
async fn only_the_origins_that_are_named_may_call_from_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let key = make_key(folder.path(), "acme");
    let named = "https://app.example.com";
    let strangers = [
        "https://app.example.com.evil.example",
        "http://app.example.com",
        "https://example.com",
        "null",
        "https://app.example.com:444",
    ];
    for origins in ["", "https://other.example.com,https://app.example.com"] {
        let server = Server::start(folder.path(), &[("ALLOW_ORIGINS", origins)]);
        let open = !origins.is_empty();
        let preflight = |origin: &str| {
            let ask = server.request("OPTIONS", "/ai/execute").header("origin", origin);
            let ask = ask.header("access-control-request-method", "POST");
            reply(ask.header("access-control-request-headers", "authorization, content-type, idempotency-key"))
        };
        let call = |origin: &str| reply(server.with_key(&key).request("GET", "/ai/jobs").header("origin", origin));
        let (asked, called) = (preflight(named).await, call(named).await);
        assert_eq!((asked.status, called.status), if open { (200, 200) } else { (405, 200) });
        for answer in [&asked, &called] {
            assert_eq!(answer.header("access-control-allow-origin"), if open { named } else { "" });
            assert_eq!(answer.header("access-control-allow-credentials"), "");
            assert_eq!(answer.header("vary"), if open { "origin" } else { "" });
        }
        if open {
            let methods: Vec<&str> = asked.header("access-control-allow-methods").split(',').map(str::trim).collect();
            assert_eq!(methods, ["GET", "POST", "DELETE"]);
            for header in ["authorization", "content-type", "idempotency-key"] {
                assert!(asked.header("access-control-allow-headers").contains(header));
            }
            for header in ["location", "retry-after", "x-correlation-id"] {
                assert!(called.header("access-control-expose-headers").contains(header));
            }
            let refused = reply(server.request("GET", "/ai/jobs").header("origin", named)).await;
            assert_eq!(
                (refused.status, refused.header("access-control-allow-origin")),
                (401, named),
                "it may read why"
            );
        }
        for stranger in strangers {
            for answer in [preflight(stranger).await, call(stranger).await] {
                assert_eq!(answer.header("access-control-allow-origin"), "", "{stranger}");
            }
        }
    }
    // Without keys even a named page is a foreign one.
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[("ALLOW_ORIGINS", named)]);
    let refused =
        reply(server.request("POST", "/ai/execute").header("origin", named).json(&request(&gmail("a", "Hi")))).await;
    assert_eq!((refused.status, refused.header("access-control-allow-origin")), (403, ""));
    assert_eq!(server.counts().await, (0, 0));
}
