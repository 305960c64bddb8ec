//! What a job tells: what it is about, what it sends, what it waits for, and what the provider said.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use domain::{JobId, Scope};
use engine::{execute::ExecuteRequest, ports::Clock as _};
use fakes::{Fakes, Fault, oauth::Consents};
use serde_json::{Value, json};

use crate::{
    inside::Inside,
    oauth::{connect, start},
    support::{GMAIL_COMPOSE, GMAIL_SEND, Server, gmail, run},
};

const SEND: &str = "gmail.messages.send";
const SEND_DRAFT: &str = "gmail.drafts.send";

/// A server that gives every request the answer that is set, and keeps what it was asked.
struct Canned {
    url: String,
    answer: Arc<Mutex<(u16, String)>>,
}

impl Canned {
    fn start(status: u16, body: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = Arc::new(Mutex::new((status, body.to_string())));
        let shared = Arc::clone(&answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = serve(stream, &shared.lock().unwrap().clone());
            }
        });
        Self { url, answer }
    }

    fn set(&self, status: u16, body: &Value) {
        *self.answer.lock().unwrap() = (status, body.to_string());
    }
}

fn serve(stream: TcpStream, (status, body): &(u16, String)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
    let date = "date: Sun, 06 Nov 2016 08:49:37 GMT\r\nconnection: close";
    write!(reader.get_mut(), "{head}\r\n{date}\r\n\r\n{body}")
}

/// The program with pasted tokens of both providers, which are at `url`.
fn start_at(folder: &std::path::Path, url: &str) -> Server {
    let variables = [
        ("GMAIL_BASE_URL", url),
        ("GRAPH_BASE_URL", url),
        ("GOOGLE_ACCESS_TOKEN", "t-google-secret"),
        ("MICROSOFT_ACCESS_TOKEN", "t-microsoft-secret"),
        ("RUST_LOG", "debug"),
    ];
    Server::start(folder, &variables)
}

fn outlook(key: &str) -> Value {
    let mut action = gmail(key, "Hello");
    (action["provider"], action["action"]) = (json!("microsoft"), json!("outlook.send"));
    action
}

fn summary(title: &str, recipients: &[&str], more: usize) -> Value {
    json!({ "title": title, "recipients": recipients, "more": more })
}

#[tokio::test]
async fn a_job_names_itself_also_after_a_restart_and_in_the_order_of_its_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let to: Vec<String> = (1..=5).map(|n| format!("p{n}@example.com")).collect();
    let first = ["p1@example.com", "p2@example.com", "p3@example.com"];
    let mut expected = Vec::new();
    for request in 0..3 {
        let mut actions = Vec::new();
        for (place, (params, sum)) in [
            (json!({ "to": "john@example.com" }), summary("", &["john@example.com"], 0)),
            (json!({ "to": to }), summary("", &first, 2)),
            (
                json!({ "to": "Ana <ana@example.com>", "cc": ["bo@example.com", "ana@example.com"], "bcc": "cy@example.com" }),
                summary("", &["ana@example.com", "bo@example.com", "cy@example.com"], 0),
            ),
            (json!({ "to": "john@example.com", "reply_to": "ana@example.com" }), summary("", &["john@example.com"], 0)),
        ]
        .into_iter()
        .enumerate()
        {
            let (mut action, mut sum) = (gmail(&format!("k{request}-{place}"), ""), sum);
            let subject = format!("Request {request}, mail {place}: Füße \u{1f600}");
            for (name, value) in params.as_object().unwrap() {
                action["params"][name] = value.clone();
            }
            (action["params"]["subject"], sum["title"]) = (json!(subject), json!(subject));
            actions.push(action);
            expected.insert(place, sum);
        }
        let reply = server.post("/ai/execute", &json!({ "actions": actions, "actor_id": "a" })).await;
        assert_eq!(reply.status, 202, "{}", reply.body);
        for id in reply.body["job_ids"].as_array().unwrap() {
            assert!(server.ended(id.as_str().unwrap()).await["summary"]["title"].is_string());
        }
    }
    let listed = async |server: &Server| -> Vec<Value> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = server.get(&format!("/ai/jobs?limit=5{cursor}")).await.body;
            all.extend(page["data"].as_array().unwrap().iter().map(|job| job["summary"].clone()));
            let Some(next) = page["next_cursor"].as_str() else { return all };
            cursor = format!("&cursor={next}");
        }
    };
    assert_eq!(listed(&server).await, expected);
    drop(server);
    let again = Server::start(folder.path(), &[]);
    assert_eq!(listed(&again).await, expected, "after a restart");
    let ledger = ["ledger.db", "ledger.db-wal"].map(|file| std::fs::read(folder.path().join(file)).unwrap_or_default());
    let ledger = String::from_utf8_lossy(&ledger.concat()).into_owned();
    assert!(!ledger.contains("Request 1") && !ledger.contains("p2@example.com"), "contents are sealed at rest");
}

#[tokio::test]
async fn contents_are_only_for_callers_who_may_preview() {
    let folder = tempfile::tempdir().unwrap();
    let keys = ["actions:execute", "actions:preview,actions:execute"]
        .map(|scopes| run(folder.path(), &[], &["keys", "create", "--workspace", "acme", "--scopes", scopes]));
    let foreign = run(folder.path(), &[], &["keys", "create", "--workspace", "other", "--scopes", "actions:preview"]);
    let server = Server::start(folder.path(), &[("GMAIL_BASE_URL", "http://127.0.0.1:9")]);
    let [blind, seeing] = keys.map(|key| server.with_key(&key));
    let foreign = server.with_key(&foreign);
    let id = seeing.execute(gmail("k", "Hello")).await;
    assert_eq!(seeing.ended(&id).await["summary"], summary("Hello", &["john@example.com"], 0));
    let content = seeing.get(&format!("/ai/jobs/{id}/content")).await;
    assert_eq!((content.status, &content.body["subject"]), (200, &json!("Hello")));
    assert_eq!(blind.get(&format!("/ai/jobs/{id}/content")).await.code(), "forbidden-scope");
    let other = foreign.get(&format!("/ai/jobs/{id}/content")).await;
    assert_eq!((other.status, other.code()), (404, &json!("job-not-found")));
    let never = foreign.get("/ai/jobs/2a7b1a4e-5d1f-8c7b-9a54-3f0c9be1d0aa/content").await;
    assert_eq!(other.body["detail"], never.body["detail"]);
    // An answer to an act tells a caller no contents either who may only execute.
    let resolved = blind.post(&format!("/ai/jobs/{id}/cancel"), &json!({})).await;
    assert_eq!(resolved.status, 409);
    let mut caller = crate::inside::caller("local");
    caller.scopes.remove(&Scope::ActionsPreview);
    let inside = Inside::new(&[]);
    let job = accepted(&inside, "quiet").await;
    assert_eq!(inside.engine.jobs.summaries(&caller, std::slice::from_ref(&job)).await, [None]);
    assert!(inside.engine.jobs.summaries(&inside.caller, &[job]).await[0].is_some());
}

async fn accepted(inside: &Inside, key: &str) -> domain::Job {
    let actions = serde_json::from_value(json!([gmail(key, "Hello")])).unwrap();
    let request = ExecuteRequest { actions: Some(actions), actor_id: "a".parse().ok(), ..ExecuteRequest::default() };
    inside.execute_as(&inside.caller, request).await.unwrap().remove(0).job
}

#[tokio::test]
async fn what_goes_out_can_be_read_before_and_after() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    let mut action = gmail("read", "Füße");
    action["params"]["cc"] = json!(["Bo <bo@example.com>"]);
    action["params"]["html"] = json!("<p>job:read</p>");
    let mut outlook = action.clone();
    (outlook["provider"], outlook["action"]) = (json!("microsoft"), json!("outlook.send"));
    outlook["client_request_id"] = json!("read-outlook");
    fakes.script(Fault::TooManyRequests { retry_after_s: Some(3) });
    let ids = [server.execute(action.clone()).await, server.execute(outlook.clone()).await];
    for (id, action) in ids.iter().zip([&action, &outlook]) {
        let preview = server.post("/actions/preview", action).await.body;
        let before = server.get(&format!("/ai/jobs/{id}/content")).await.body;
        let job = server.ended(id).await;
        let after = server.get(&format!("/ai/jobs/{id}/content")).await.body;
        assert_eq!(job["status"], "completed", "{job}");
        for content in [&before, &after] {
            assert_eq!(content["content_sha256"], preview["sha256"], "{content}");
            assert_eq!((&content["to"], &content["bcc"]), (&json!(["john@example.com"]), &json!([])));
            assert_eq!((&content["cc"], &content["subject"]), (&json!(["Bo <bo@example.com>"]), &json!("Füße")));
            assert_eq!((&content["text"], &content["html"]), (&json!("job:read"), &json!("<p>job:read</p>")));
            assert_eq!((&content["content_type"], &content["from"]), (&preview["content_type"], &preview["from"]));
            assert_eq!(content["contents_erased_at"], json!(null));
        }
        assert_eq!(after["content_sha256"], job["result"]["content_sha256"]);
        let raw = after["raw"].as_str().unwrap();
        let is_mime = after["content_type"] == "message/rfc822";
        assert_eq!(is_mime, raw.contains(&format!("Message-ID: <{id}")), "{raw}");
        assert!(raw.contains("bo@example.com"), "{raw}");
    }
}

#[tokio::test]
async fn contents_are_gone_seven_days_after_the_end() {
    let inside = Inside::new(&[]);
    let job = accepted(&inside, "gone").await;
    let id: JobId = job.job_id;
    let cancelled = inside.engine.jobs.cancel(&inside.caller, id).await.unwrap();
    let of = async |job: &domain::Job| inside.engine.jobs.summaries(&inside.caller, std::slice::from_ref(job)).await;
    inside.clock.advance(Duration::from_secs(7 * 86_400 - 1));
    assert!(of(&cancelled).await[0].is_some());
    assert!(inside.engine.jobs.content(&inside.caller, id).await.unwrap().raw.is_some());
    inside.clock.advance(Duration::from_secs(1));
    assert_eq!(of(&cancelled).await, [None]);
    let content = inside.engine.jobs.content(&inside.caller, id).await.unwrap();
    assert_eq!((content.raw, content.fields.len()), (None, 0));
    assert_eq!(content.contents_erased_at, Some(inside.clock.now()));
}

#[tokio::test]
async fn a_job_that_waits_says_why_and_until_when_and_its_account_is_left_alone() {
    let fakes = Fakes::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    fakes.script(Fault::TooManyRequests { retry_after_s: Some(900) });
    let id = server.execute(gmail("limited", "Hello")).await;
    let job = server.job_when(&id, "waiting", |job| job["waiting_for"] == "rate-limit").await;
    let wait = |job: &Value| {
        let time = |field: &str| job[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        time("waiting_until").duration_since(time("created_at")).as_secs()
    };
    assert!((890..960).contains(&wait(&job)), "{job}");
    assert_eq!(job["status"], "pending");
    // Another job of the account does not try, and says the same.
    let other = server.execute(gmail("other", "Hello")).await;
    let job = server.job_when(&other, "waiting", |job| job["waiting_for"] == "rate-limit").await;
    assert!((800..960).contains(&wait(&job)), "{job}");
    assert_eq!(fakes.operations(), [SEND]);
    let listed = server.get("/ai/jobs").await.body;
    assert!(listed["data"].as_array().unwrap().iter().all(|job| job["waiting_for"] == "rate-limit"), "{listed}");

    // A provider that does not answer.
    let folder = tempfile::tempdir().unwrap();
    let nowhere = start_at(folder.path(), "http://127.0.0.1:9");
    let id = nowhere.execute(gmail("nowhere", "Hello")).await;
    let job = nowhere.job_when(&id, "waiting", |job| job["waiting_for"] == "provider").await;
    assert!(job["waiting_until"].is_string(), "{job}");
}

#[tokio::test]
async fn a_wait_in_the_words_of_a_limit_is_kept_for_a_day_at_most() {
    let limited = |until: &str| {
        let message = format!("User-rate limit exceeded.  Retry after {until}");
        json!({ "error": { "code": 429, "message": message, "errors": [{ "reason": "rateLimitExceeded" }] } })
    };
    // The server's clock is in 2016.
    for (key, until, seconds) in
        [("minute", "2016-11-06T08:50:37.000Z", 60), ("year", "2027-01-01T00:00:00.000Z", 86_400)]
    {
        let canned = Canned::start(429, &limited(until));
        let folder = tempfile::tempdir().unwrap();
        let server = start_at(folder.path(), &canned.url);
        let id = server.execute(gmail(key, "Hello")).await;
        let job = server.job_when(&id, "waiting", |job| job["waiting_for"] == "rate-limit").await;
        let time = |field: &str| job[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let wait = time("waiting_until").duration_since(time("started_at")).as_secs();
        assert!((seconds - 5..=seconds + 5).contains(&wait), "{wait} s: {job}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_the_account_or_the_setup_says_so_and_can_be_retried_once_it_is_mended() {
    let google =
        |reason: &str, message: &str| json!({ "error": { "message": message, "errors": [{ "reason": reason }] } });
    let graph = |code: &str, message: &str| json!({ "error": { "code": code, "message": message } });
    let canned = Canned::start(200, &json!({}));
    let folder = tempfile::tempdir().unwrap();
    let server = start_at(folder.path(), &canned.url);
    for (n, (status, body, action, code, says)) in [
        (
            403,
            google("accessNotConfigured", "Gmail API has not been used in project 17 before or it is disabled."),
            gmail as fn(&str, &str) -> Value,
            "setup-problem",
            "Gmail API has not been used in project 17 before or it is disabled. (accessNotConfigured)",
        ),
        (
            403,
            google("domainPolicy", "Blocked by ana@example.com"),
            gmail,
            "setup-problem",
            "Blocked by a***@example.com (domainPolicy)",
        ),
        (
            400,
            google("failedPrecondition", "Mail service not enabled"),
            gmail,
            "account-problem",
            "Mail service not enabled (failedPrecondition)",
        ),
        (
            403,
            google("forbidden", "Delegation denied for zoe@example.org"),
            gmail,
            "account-problem",
            "Delegation denied for z***@example.org (forbidden)",
        ),
        (
            400,
            google("invalidArgument", "Invalid To header"),
            gmail,
            "provider-rejected",
            "Invalid To header (invalidArgument)",
        ),
        (
            400,
            google("invalidArgument", "Token t-google-secret\r\n\u{202e}is odd"),
            gmail,
            "provider-rejected",
            "Token … is odd (invalidArgument)",
        ),
        (
            404,
            graph("MailboxNotEnabledForRESTAPI", "The mailbox is inactive."),
            |key, _| outlook(key),
            "account-problem",
            "MailboxNotEnabledForRESTAPI: The mailbox is inactive.",
        ),
        (403, graph("ErrorSendAsDenied", "m"), |key, _| outlook(key), "account-problem", "ErrorSendAsDenied: m"),
        (
            400,
            graph("ErrorInvalidRecipients", "ana.maria@example.com is not valid."),
            |key, _| outlook(key),
            "provider-rejected",
            "ErrorInvalidRecipients: a***@example.com is not valid.",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        canned.set(status, &body);
        let id = server.execute(action(&format!("k{n}"), "Hello")).await;
        let job = server.ended(&id).await;
        let error = &job["error"];
        assert_eq!((&error["code"], &error["provider_says"]), (&json!(code), &json!(says)), "{job}");
        let is_final = code == "provider-rejected";
        assert_eq!(error["retriable"], !is_final);
        let retried = server.post(&format!("/ai/jobs/{id}/retry"), &json!({})).await;
        assert_eq!(retried.status, if is_final { 409 } else { 200 }, "{}", retried.body);
        if !is_final {
            assert_eq!(retried.body["error"], json!(null));
            assert_eq!(server.ended(&id).await["error"]["code"], code);
        }
    }
    let log = server.into_log();
    let ledger = ["ledger.db", "ledger.db-wal"].map(|file| std::fs::read(folder.path().join(file)).unwrap_or_default());
    let ledger = String::from_utf8_lossy(&ledger.concat()).into_owned();
    for word in ["Delegation", "inactive", "Invalid To", "t-google-secret"] {
        assert!(!log.contains(word) && !ledger.contains(word), "{word} is told in the open");
    }
}

#[tokio::test]
async fn every_error_of_a_job_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    for code in domain::JobErrorCode::ALL {
        let page = server.get(&format!("/problems/{code}")).await;
        let text = page.body.as_str().unwrap_or_default();
        assert!(
            page.status == 200 && text.contains(code.as_str()) && text.to_lowercase().contains("job"),
            "{code}: {text}"
        );
        let told = crate::support::reply(
            server.request("GET", &format!("/problems/{code}")).header("accept", "application/json"),
        );
        let told = told.await.body;
        assert!(
            told["explanation"].is_string() && told["of_a_job"].is_string() && told["code"] == code.as_str(),
            "{told}"
        );
    }
}

fn drafts() -> Value {
    json!({ "drafts": true })
}

#[tokio::test]
async fn a_job_whose_draft_is_known_waits_for_its_account_and_then_sends_that_draft() {
    for lost in [false, true] {
        let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
        let server = start(folder.path(), &fakes, &[]);
        assert_eq!(connect(&server, "google", drafts()).await.status, 200);
        if lost {
            fakes.script(Fault::AcceptThenClose.on(SEND_DRAFT));
        }
        fakes.script(Fault::Unauthorized.on(SEND_DRAFT));
        fakes.end_refresh_tokens();
        let id = server.execute(gmail("draft", "Hello")).await;
        let job = server.job_when(&id, "waiting", |job| job["waiting_for"] == "reauth").await;
        assert!(job["error"].is_null() && job["waiting_until"].is_string(), "{job}");
        assert_eq!(server.get("/oauth/google/status").await.body["problem"]["code"], "reauth-required");
        // Without the scope for drafts it goes on waiting.
        assert_eq!(connect(&server, "google", json!({ "replace": true })).await.status, 200);
        let attempts = job["attempts"].as_u64();
        // By the fourth attempt the next one is eight seconds away. A connection does not wait for it.
        let attempts = attempts.max(Some(3));
        let tried = |job: &Value| job["waiting_for"] == "reauth" && job["attempts"].as_u64() > attempts;
        server.job_when(&id, "waiting again", tried).await;
        let connected = Instant::now();
        assert_eq!(connect(&server, "google", drafts()).await.status, 200);
        let job = server.ended(&id).await;
        assert!(connected.elapsed() < Duration::from_secs(7), "it was not woken");
        assert_eq!((&job["status"], fakes.count("job:draft")), (&json!("completed"), 1), "{job}");
        assert_eq!(job["result"]["presumed"] == true, lost, "{job}");
        assert_eq!(fakes.operations().iter().filter(|operation| **operation == "gmail.drafts.create").count(), 1);
    }
}

#[tokio::test]
async fn a_client_that_the_provider_refuses_is_a_problem_of_the_setup() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    fakes.consents(Consents { expires_in_s: 0, ..Consents::default() });
    let server = start(folder.path(), &fakes, &[]);
    assert_eq!(connect(&server, "google", json!({})).await.status, 200);
    drop(server);
    // Its secret has expired.
    let server = start(folder.path(), &fakes, &[("GOOGLE_CLIENT_SECRET", "expired"), ("RUST_LOG", "info")]);
    let id = server.execute(gmail("setup", "Hello")).await;
    let job = server.ended(&id).await;
    let error = &job["error"];
    assert_eq!((&error["code"], &error["retriable"]), (&json!("setup-problem"), &json!(true)), "{job}");
    assert!(error["message"].as_str().unwrap().contains("invalid_client"), "{job}");
    assert!(error["remediation"].as_str().unwrap().contains("GOOGLE_CLIENT_SECRET"), "{job}");
    let status = server.get("/oauth/google/status").await.body;
    assert_eq!(
        (&status["problem"]["code"], &status["needs_reauth"]),
        (&json!("setup-problem"), &json!(false)),
        "{status}"
    );
    let metrics = server.get("/metrics").await.body;
    let parts = ["ai_provider_requests_total", "\"google\"", "\"refresh\"", "\"setup_problem\""];
    let mut lines = metrics.as_str().unwrap().lines();
    let counted = lines.find(|line| parts.iter().all(|part| line.contains(part)));
    assert!(counted.is_some_and(|line| line.ends_with(" 1")), "{metrics}");
    let log = server.into_log();
    assert!(log.contains("invalid_client") && !log.contains("expired"), "{log}");
    // Mended, the same job is sent.
    fakes.consents(Consents::default());
    let server = start(folder.path(), &fakes, &[]);
    assert_eq!(server.post(&format!("/ai/jobs/{id}/retry"), &json!({})).await.status, 200);
    assert_eq!((&server.ended(&id).await["status"], fakes.count("job:setup")), (&json!("completed"), 1));
    assert_eq!(server.get("/oauth/google/status").await.body["problem"], json!(null));
}

#[tokio::test]
async fn a_wide_scope_of_a_pasted_token_makes_drafts() {
    for scope in ["https://mail.google.com/", "https://www.googleapis.com/auth/gmail.modify", GMAIL_COMPOSE] {
        let fakes = Fakes::start().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start_live(folder.path(), &fakes, scope, &[]);
        // What the fakes know of scopes is less than what Gmail does.
        fakes.add_token(fakes::Token::new(fakes::Provider::Google, "t-google", &[GMAIL_COMPOSE]));
        fakes.script(Fault::AcceptThenClose.on(SEND_DRAFT));
        let job = server.ended(&server.execute(gmail("wide", "Hello")).await).await;
        assert_eq!((&job["status"], &job["result"]["presumed"]), (&json!("completed"), &json!(true)), "{scope}: {job}");
    }
}
