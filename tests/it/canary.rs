//! Secrets, addresses and contents are put into every flow and every error; nothing that leaves the program but to
//! whom it is meant for holds one: no log line, no metric, no command to Redis (cache and queue), no problem's body, no byte
//! of the ledger's files.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use contracts::servers::RedisServer;
use fakes::{
    Fakes, Fault, Provider, Token,
    model::{FakeModel, Reply as Says},
    oauth::{CLIENT_SECRET, Consents},
};
use serde_json::{Value, json};

use crate::{
    oauth::{back, begin, consent},
    support::{Client, GMAIL_COMPOSE, Reply, Server, run, until},
};

const MODEL_KEY: &str = "sk-canary-model";
const TOKEN: &str = "canary-google-token";
const VAULT_KEY: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";
const REDIS_PASSWORD: &str = "canary-redis-password";
/// An actor, recipients of each kind, contents, what a model says, and a connected account with its tokens.
const CANARIES: [&str; 17] = [
    MODEL_KEY,
    TOKEN,
    VAULT_KEY,
    REDIS_PASSWORD,
    "canary-actor",
    "canary-bound",
    "canary-to",
    "canary-cc",
    "canary-bcc",
    "canary-subject",
    "canary-text",
    "canary-stranger",
    "canary-owner",
    "canary-hook",
    CLIENT_SECRET,
    "fake-access-",
    "fake-refresh-",
];

/// A connection to the Redis server that has come in.
fn dial(redis: &RedisServer) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port())).expect("the server listens");
    write!(stream, "AUTH {REDIS_PASSWORD}\r\n").expect("it reads");
    let mut greeting = [0; 5];
    stream.read_exact(&mut greeting).expect("it lets us in");
    assert_eq!(&greeting, b"+OK\r\n");
    stream
}

/// All that is said to a Redis server, from now on.
fn listen_in(redis: &RedisServer) -> Arc<Mutex<Vec<u8>>> {
    let mut stream = dial(redis);
    write!(stream, "MONITOR\r\n").expect("it reads");
    let mut greeting = [0; 5];
    stream.read_exact(&mut greeting).expect("it tells");
    assert_eq!(&greeting, b"+OK\r\n");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let shared = Arc::clone(&heard);
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut chunk) {
            shared.lock().unwrap().extend_from_slice(&chunk[..read]);
        }
    });
    heard
}

fn mail(key: &str) -> Value {
    json!({ "action": "gmail.send", "client_request_id": key, "params": {
        "to": "Canary <canary-to@canary.example>", "cc": ["canary-cc@canary.example"],
        "bcc": "canary-bcc@canary.example", "subject": "canary-subject", "text": "canary-text" } })
}

fn request(action: &Value) -> Value {
    json!({ "actions": [action], "actor_id": "canary-actor@canary.example" })
}

/// Goes through everything that can be asked, and everything that can go wrong; gives back the problems.
async fn everything(client: &Client, model: &FakeModel, fakes: &Fakes) -> Vec<Reply> {
    let mut answers = Vec::new();
    let prompt = json!({
        "prompt": "Write canary-text to canary-to@canary.example, subject canary-subject",
        "actor_id": "canary-actor@canary.example",
    });
    let says = |to: &str| {
        json!({ "intent": "send_email", "confidence": 0.9, "questions": [], "notes": null, "actions": [{
            "provider": "google", "action": "gmail.send", "params": { "to": [to], "cc": null, "bcc": null, "reply_to": null,
            "subject": "canary-subject", "text": "canary-text", "html": null } }] })
    };
    for reply in [
        Says::Plan(says("canary-to@canary.example")),
        Says::Plan(says("canary-stranger@canary.example")),
        Says::Text("canary-text is not JSON".to_owned()),
        Says::Text("{\"canary-text\":\"canary-stranger@canary.example\"}".to_owned()),
        Says::Refusal("canary-text is not for me".to_owned()),
        Says::Status(500, Vec::new(), json!({ "error": { "message": "canary-text", "code": null } })),
        Says::Status(401, Vec::new(), json!({ "error": { "message": "sk-canary-model is not a key", "code": null } })),
    ] {
        model.script(reply);
        answers.push(client.post("/ai/plan2", &prompt).await);
    }
    let plan = answers[0].body["plan"]["plan_id"].clone();
    assert!(plan.is_string(), "{}", answers[0].body);
    let plan_run = json!({ "plan_id": plan, "actor_id": "canary-actor@canary.example" });
    let accepted = client.post("/ai/execute", &plan_run).await;
    assert_eq!(accepted.status, 202, "{}", accepted.body);
    client.ended(accepted.body["job_ids"][0].as_str().unwrap()).await;
    answers.push(client.post("/ai/execute", &json!({ "plan_id": plan, "actor_id": "canary-stranger" })).await);
    answers.push(client.post("/actions/preview", &mail("p")).await);
    // Nothing listens there, so each of its deliveries fails.
    let webhook = json!({ "url": "https://127.0.0.1:9/canary-hook?canary-hook" });
    let made = client.post("/webhooks", &webhook).await;
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(
        client.post(&format!("/webhooks/{}/test", made.body["id"].as_str().unwrap()), &json!({})).await.status,
        202
    );
    answers.push(client.post("/webhooks", &json!({ "url": "http://10.0.0.1/canary-hook" })).await);

    let faults = [
        None,
        Some(Fault::AcceptThen500),
        Some(Fault::AcceptThenGarbage),
        Some(Fault::AcceptThenClose),
        Some(Fault::Unauthorized),
        Some(Fault::TooManyRequests { retry_after_s: Some(1) }),
    ];
    for (n, fault) in faults.into_iter().enumerate() {
        if let Some(fault) = fault {
            fakes.script(fault.on("gmail.drafts.send"));
        }
        let accepted = client.post("/ai/execute", &request(&mail(&format!("job-{n}")))).await;
        let id = accepted.body["job_ids"][0].as_str().expect("accepted").to_owned();
        client.ended(&id).await;
        for verb in ["cancel", "retry", "resolve"] {
            answers.push(client.post(&format!("/ai/jobs/{id}/{verb}"), &json!({ "outcome": "canary-text" })).await);
        }
    }
    let with = |field: &str, value: Value| {
        let mut action = mail("wrong");
        action["params"][field] = value;
        request(&action)
    };
    for wrong in [
        with("to", json!("canary-to@")),
        with("to", json!("canary-to@canary.example, canary-cc@canary.example")),
        with("cc", json!("zo\u{eb}-canary-cc@canary.example")),
        with("bcc", json!(["canary-bcc"])),
        with("to", json!("canary-to@elsewhere.example")),
        with("subject", json!("canary-subject\r\nBcc: canary-bcc@canary.example")),
        with("text", json!("canary-text\u{0}")),
        with("text", json!({ "x": "canary-text" })),
        json!({ "actions": [mail("job-0")], "actor_id": "canary actor" }),
        json!({ "actions": [{ "action": "gmail.send", "params": "canary-text" }], "actor_id": "canary-actor" }),
        json!({ "actions": [mail("x")], "actor_id": { "x": "canary-actor" } }),
        json!({ "actions": [{ "action": "gmail.send", "client_request_id": "job-0", "params": {
            "to": "canary-cc@canary.example", "subject": "canary-subject", "text": "canary-text" } }], "actor_id": "a" }),
    ] {
        answers.push(client.post("/ai/execute", &wrong).await);
    }
    let raw = |body: &'static str| {
        client.request("POST", "/ai/execute").header("content-type", "application/json").body(body)
    };
    answers.push(crate::support::reply(raw("{\"actions\": \"canary-text")).await);
    answers.push(crate::support::reply(raw("{\"actions\":1,\"actions\":\"canary-text\"}")).await);
    let tool = async |name: &str, arguments: Value| {
        let params = json!({ "name": name, "arguments": arguments });
        client.post("/mcp", &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params })).await
    };
    model.script(Says::Plan(says("canary-to@canary.example")));
    let plan = tool("plan", json!({ "prompt": prompt["prompt"] })).await;
    let plan_id = &plan.body["result"]["structuredContent"]["plan"]["plan_id"];
    assert!(plan_id.is_string(), "{}", plan.body);
    let held = tool("execute_plan", json!({ "plan_id": plan_id })).await;
    let id = &held.body["result"]["structuredContent"]["job_ids"][0];
    for (name, arguments) in [("get_job", json!({ "job_id": id })), ("list_jobs", json!({ "limit": 1 }))] {
        assert!(tool(name, arguments).await.body.to_string().contains("canary-subject"), "{name}");
    }
    for (name, arguments) in [
        ("plan", json!({ "prompt": { "x": "canary-text" } })),
        ("plan", json!({ "prompt": "x", "answers": [{ "id": "canary-text", "value": "canary-to@canary.example" }] })),
        ("plan", json!({ "prompt": "x", "timezone": "canary-text" })),
        ("execute_plan", json!({ "plan_id": "canary-text" })),
        ("get_job", json!({ "job_id": "canary-text" })),
        ("list_jobs", json!({ "status": "canary-text" })),
        ("canary-text", json!({})),
    ] {
        // A good answer may hold what the caller wrote; an error is kept with the problems.
        let answer = tool(name, arguments).await;
        let is_error = answer.body["result"]["isError"] == true || answer.body["error"].is_object();
        assert!(is_error, "{name}: {}", answer.body);
        answers.push(Reply { status: 400, ..answer });
    }
    answers.push(
        crate::support::reply(
            client.request("POST", "/mcp").header("content-type", "application/json").body("{\"canary-text"),
        )
        .await,
    );
    for path in ["/ai/jobs", "/dev/outbox", "/actions", "/audit", "/oauth/google/status"] {
        assert_eq!(client.get(path).await.status, 200, "{path}");
    }
    answers.retain(|answer| answer.status >= 400);
    answers
}

/// Connects an account, sends from it and loses it again; gives back the problems, and what only the browser may know.
async fn account(client: &Client, fakes: &Fakes) -> (Vec<Reply>, Vec<String>) {
    fakes.consents(Consents { address: "canary-owner@canary.example".to_owned(), ..Consents::default() });
    let (mut answers, mut browsers) = (Vec::new(), Vec::new());
    for is_the_browser in [false, true] {
        let way = begin(client, "microsoft", json!({ "drafts": true })).await;
        let path = consent(client, &way).await;
        let cookie = is_the_browser.then_some(way.cookie.as_str());
        let came_back = back(client, &path, cookie).await;
        assert_eq!(came_back.status == 200, is_the_browser, "{}", came_back.body);
        answers.extend([came_back, back(client, &path, cookie).await]);
        let state = way.page.query_pairs().find(|(name, _)| name == "state").expect("a state").1.into_owned();
        browsers.extend([state, way.cookie.split_once('=').expect("a cookie").1.to_owned()]);
    }
    let from_it = |key: &str| {
        let mut action = mail(key);
        action["action"] = json!("outlook.send");
        request(&action)
    };
    for (key, status) in [("account-1", "completed"), ("account-2", "error")] {
        let accepted = client.post("/ai/execute", &from_it(key)).await;
        let job = client.ended(accepted.body["job_ids"][0].as_str().expect("accepted")).await;
        assert_eq!(job["status"], status, "{job}");
        fakes.end_refresh_tokens();
        fakes.end_access_tokens();
    }
    let refused = client.post("/ai/execute", &from_it("account-3")).await;
    assert_eq!(refused.code(), "reauth-required");
    answers.push(refused);
    assert_eq!(crate::support::reply(client.request("DELETE", "/oauth/microsoft")).await.status, 200);
    answers.retain(|answer| answer.status >= 400);
    (answers, browsers)
}

fn find(place: &str, bytes: &[u8], secrets: &[&str]) -> Vec<String> {
    let held =
        |secret: &&&str| bytes.windows(secret.len()).any(|window| window.eq_ignore_ascii_case(secret.as_bytes()));
    secrets.iter().filter(held).map(|secret| format!("{place} holds {secret}")).collect()
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_tells_a_secret_an_address_or_a_content() {
    let redis = RedisServer::start(false);
    assert_eq!(redis.command(&format!("CONFIG SET requirepass {REDIS_PASSWORD}")), "+OK");
    let heard = listen_in(&redis);
    let redis_url = format!("redis://:{REDIS_PASSWORD}@127.0.0.1:{}", redis.port());
    let (fakes, model) = (Fakes::start().await.unwrap(), FakeModel::new(MODEL_KEY));
    fakes.add_token(Token::new(Provider::Google, TOKEN, &[GMAIL_COMPOSE]));
    let (gmail_url, graph_url, model_url) = (fakes.gmail_url(), fakes.graph_url(), model.serve().await);
    let clients = fakes.oauth_variables();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let scopes = "actions:preview,actions:execute,connections:write,webhooks:write,audit:read,metrics:read";
    let sealed = [("TOKEN_KEY", VAULT_KEY)];
    let make = |more: &[&str]| {
        run(folder, &sealed, &[&["keys", "create", "--workspace", "local", "--scopes", scopes], more].concat())
    };
    let (key, bound) = (make(&[]), make(&["--actor", "canary-bound@canary.example"]));
    let mut variables = vec![
        ("TOKEN_KEY", VAULT_KEY),
        ("REDIS_URL", redis_url.as_str()),
        ("QUEUE_URL", "redis"),
        ("OPENAI_BASE_URL", &model_url),
        ("OPENAI_API_KEY", MODEL_KEY),
        ("AI_MAX_TOKENS_PER_MIN", "1000000"),
        ("GMAIL_BASE_URL", &gmail_url),
        ("GRAPH_BASE_URL", &graph_url),
        ("GOOGLE_ACCESS_TOKEN", TOKEN),
        ("GOOGLE_ACCESS_TOKEN_SCOPES", GMAIL_COMPOSE),
        ("ALLOW_RECIPIENT_DOMAINS", "canary.example"),
        ("RUST_LOG", "trace"),
    ];
    variables.extend(clients.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let server = Server::start(folder, &variables);
    let client = server.with_key(&key);
    let mut problems = everything(&client, &model, &fakes).await;
    let (of_account, browsers) = account(&client, &fakes).await;
    problems.extend(of_account);
    let bound_client = server.with_key(&bound);
    problems.push(bound_client.post("/ai/execute", &request(&mail("bound"))).await);
    // Whose job has the key, and what it does, is not the bound actor's to know.
    let unnamed = json!({ "actions": [mail("job-0")] });
    problems.push(bound_client.post("/ai/execute", &unnamed).await);
    assert_eq!(problems.last().map(Reply::code), Some(&json!("idempotency-key-reused")));
    for path in ["/ai/jobs", "/dev/outbox", "/audit"] {
        let list = bound_client.get(path).await;
        assert_eq!(list.status, 200, "{path}");
        problems.push(list);
    }
    problems.push(server.with_key(&key.replace("orc_", "orc_x")).get("/ai/jobs").await);
    assert!(problems.len() > 25, "{}", problems.len());
    let metrics = client.get("/metrics").await.body.as_str().unwrap().to_owned();
    let mut places = files(folder);
    let log = server.into_log();
    places.extend(files(folder));
    places.push(("the log".to_owned(), log.into_bytes()));
    places.push(("the metrics".to_owned(), metrics.into_bytes()));
    places.push(("the printed keys".to_owned(), run(folder, &sealed, &["keys", "list"]).into_bytes()));
    places
        .push(("the printed audit".to_owned(), run(folder, &sealed, &["audit", "--workspace", "local"]).into_bytes()));
    for problem in &problems {
        let text = format!("{} {:?}", problem.body, problem.headers);
        places.push((format!("the problem {}", problem.code()), text.into_bytes()));
    }
    // The server tells in order: what was said before this, it has told by then.
    write!(dial(&redis), "PING the-last-word\r\n").expect("it reads");
    until("Redis does not tell of the end", || find("", &heard.lock().unwrap(), &["the-last-word"]).len() == 1).await;
    let said = heard.lock().unwrap().clone();
    let heard = find("", &said, &["job_id", "payload"]);
    assert_eq!(heard.len(), 2, "what goes to Redis is heard: {heard:?}");
    places.push(("Redis".to_owned(), said));

    let mut secrets = [&CANARIES[..], &[key.as_str(), &key[17..], bound.as_str(), &bound[17..]]].concat();
    secrets.extend(browsers.iter().map(String::as_str));
    // The password is how the program comes in, and MONITOR does not show it.
    let found: Vec<String> = places.iter().flat_map(|(place, bytes)| find(place, bytes, &secrets)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    // What is meant for somebody came to them.
    assert!(model.requests().iter().any(|request| request.text.contains("canary-to@canary.example")));
    assert!(!fakes.deliveries().is_empty());
}
