//! Webhooks: what happened reaches its endpoint, signed, at least once under one id, whatever the receiver does, and
//! nothing else is reached.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use app::operator::{self, Command, Outcome};
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    AuditBy, AuditEvent, Delivery, DeliveryFault, DeliveryStatus, EndpointId, WebhookEvent, WorkspaceId, sha256,
};
use engine::{
    Engine, JobMessage, Parts, ProblemCode,
    execute::ExecuteRequest,
    ports::{Place, Posting, Sealed, Vault, VaultError, WebhookSender},
    webhooks::By,
};
use fakes::Fakes;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{
    inside::{Inside, caller},
    oauth,
    support::{Client, Reply, Server, command, gmail, reply, run, until},
};

/// What the receiver does with a request.
#[derive(Debug, Clone)]
enum Says {
    /// Answers with this status.
    Status(u16),
    /// Sends the sender elsewhere.
    Redirect(String),
    /// Never answers.
    Hang,
    /// Closes the connection.
    Close,
}

/// A request as the receiver saw it.
#[derive(Debug, Clone)]
struct Hook {
    path: String,
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

impl Hook {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A receiver on loopback.
#[derive(Clone)]
struct Receiver {
    url: String,
    seen: Arc<Mutex<Vec<Hook>>>,
    says: Arc<Mutex<Says>>,
}

impl Receiver {
    async fn start(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Self { url, seen: Arc::default(), says: Arc::new(Mutex::new(says)) };
        let shared = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(shared.clone().serve(stream));
            }
        });
        receiver
    }

    async fn serve(self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut hook = Hook {
            path: String::new(),
            id: String::new(),
            timestamp: String::new(),
            signature: String::new(),
            body: String::new(),
        };
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            match line.split_once(": ") {
                Some(("webhook-id", value)) => value.clone_into(&mut hook.id),
                Some(("webhook-timestamp", value)) => value.clone_into(&mut hook.timestamp),
                Some(("webhook-signature", value)) => value.clone_into(&mut hook.signature),
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("content-type", value)) => assert_eq!(value, "application/json"),
                Some(_) => {}
                None => line.split(' ').nth(1).unwrap().clone_into(&mut hook.path),
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        hook.body = String::from_utf8(body).unwrap();
        let says = self.says.lock().unwrap().clone();
        self.seen.lock().unwrap().push(hook);
        let head = match says {
            Says::Status(status) => format!("HTTP/1.1 {status} X\r\n"),
            Says::Redirect(to) => format!("HTTP/1.1 307 X\r\nlocation: {to}\r\n"),
            Says::Hang => std::future::pending().await,
            Says::Close => return Ok(()),
        };
        stream.write_all(format!("{head}content-length: 2\r\nconnection: close\r\n\r\nok").as_bytes()).await
    }

    fn seen(&self) -> Vec<Hook> {
        self.seen.lock().unwrap().clone()
    }

    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    async fn sees(&self, count: usize) -> Vec<Hook> {
        until(&format!("{} has not come {count} times: {:?}", self.url, self.seen()), || self.seen().len() >= count)
            .await;
        self.seen()
    }
}

/// The signature as RFC 2104 has it, by other code than the program's.
fn signature(secret: &str, hook: &Hook) -> String {
    let mut key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    assert!((24..=64).contains(&key.len()));
    key.resize(64, 0);
    let padded =
        |with: u8, text: &[u8]| sha256(&[&key.iter().map(|byte| byte ^ with).collect::<Vec<_>>(), text].concat());
    let text = format!("{}.{}.{}", hook.id, hook.timestamp, hook.body);
    format!("v1,{}", STANDARD.encode(padded(0x5c, &padded(0x36, text.as_bytes()))))
}

async fn add(client: &Client, url: &str, events: &[&str]) -> (String, String) {
    let made = client.post("/webhooks", &json!({ "url": url, "events": events })).await;
    assert_eq!(
        (made.status, &made.body["url"], &made.body["status"]),
        (201, &json!(url), &json!("active")),
        "{}",
        made.body
    );
    let text = |name: &str| made.body[name].as_str().unwrap().to_owned();
    (text("id"), text("secret"))
}

async fn deliveries(client: &Client, id: &str) -> Vec<Value> {
    let page = client.get(&format!("/webhooks/{id}/deliveries?limit=100")).await;
    assert_eq!(page.status, 200, "{}", page.body);
    page.body["data"].as_array().unwrap().clone()
}

/// The newest delivery once it is as a test wants it.
async fn delivery_when(client: &Client, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let newest = deliveries(client, id).await.into_iter().next().unwrap_or_default();
        if wanted(&newest) {
            return newest;
        }
        assert!(Instant::now() < deadline, "{newest}");
    }
}

async fn endpoint(client: &Client, id: &str) -> Value {
    let list = client.get("/webhooks").await.body;
    list["data"].as_array().unwrap().iter().find(|endpoint| endpoint["id"] == id).cloned().unwrap_or_default()
}

#[tokio::test]
async fn the_end_of_a_job_reaches_its_endpoint_signed_and_says_no_more_than_ids_and_codes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let (all, some) = (Receiver::start(Says::Status(204)).await, Receiver::start(Says::Status(200)).await);
    let (id, secret) = add(&server, &all.url, &[]).await;
    let (other, other_secret) = add(&server, &some.url, &["job.failed", "job.unknown"]).await;

    let began = Instant::now();
    let job = server.execute(gmail("told", "secret-subject")).await;
    let hook = all.sees(1).await.remove(0);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!((&*hook.path, hook.signature.as_str()), ("/hook", &*signature(&secret, &hook)));
    let body = hook.json();
    assert_eq!(body["type"], "job.completed");
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["type", "timestamp", "data"]);
    assert!(body["timestamp"].as_str().unwrap().parse::<Timestamp>().is_ok());
    assert_eq!(
        body["data"],
        json!({ "workspace_id": "local", "job_id": job, "client_request_id": "told", "provider": "google",
            "action": "gmail.send", "status": "completed", "code": null })
    );
    let skew = Timestamp::from_second(hook.timestamp.parse().unwrap())
        .unwrap()
        .duration_since(body["timestamp"].as_str().unwrap().parse().unwrap());
    assert!(skew.abs() < SignedDuration::from_secs(10), "{skew}");

    let delivered = delivery_when(&server, &id, |delivery| delivery["status"] == "delivered").await;
    assert_eq!((&delivered["webhook_id"], &delivered["event"]), (&json!(hook.id), &json!("job.completed")));
    assert_eq!((&delivered["attempts"], &delivered["last_code"]), (&json!(1), &json!(204)));
    assert!(deliveries(&server, &other).await.is_empty() && some.seen().is_empty(), "it did not ask for this");

    let again = server.execute(gmail("again", "Hello")).await;
    server.ended(&again).await;
    assert!(all.sees(2).await.iter().all(|hook| hook.signature == signature(&secret, hook)));
    assert_ne!(secret, other_secret);

    // What is listed holds no secret, and neither do the files.
    let list = server.get("/webhooks").await.body;
    let bytes = std::fs::read(folder.path().join("ledger.db")).unwrap();
    let wal = std::fs::read(folder.path().join("ledger.db-wal")).unwrap_or_default();
    for canary in [secret.trim_start_matches("whsec_"), &all.url] {
        let found = |bytes: &[u8]| bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!found(&bytes) && !found(&wal), "{canary} is in a file");
        assert!(!server.log().contains(canary), "{canary} is in the log");
    }
    assert!(!list.to_string().contains("whsec_"), "{list}");

    let removed = reply(server.request("DELETE", &format!("/webhooks/{id}"))).await;
    assert_eq!(removed.status, 204);
    for (method, path) in [("DELETE", ""), ("GET", "/deliveries"), ("POST", "/test"), ("POST", "/rotate")] {
        let gone = reply(server.request(method, &format!("/webhooks/{id}{path}")).json(&json!({}))).await;
        assert_eq!((gone.status, gone.code()), (404, &json!("not-found")), "{method} {path}");
    }
    let job = server.execute(gmail("after", "Hello")).await;
    server.ended(&job).await;
    assert_eq!(all.seen().len(), 2);
}

#[tokio::test]
async fn a_receiver_that_fails_breaks_or_redirects_gets_the_same_id_again_within_30_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let elsewhere = Receiver::start(Says::Status(200)).await;
    let mut told = Vec::new();
    for (says, code, error) in [
        (Says::Status(500), json!(500), "status"),
        (Says::Status(404), json!(404), "status"),
        (Says::Status(199), Value::Null, "broken"),
        (Says::Redirect(elsewhere.url.clone()), json!(307), "redirect"),
        (Says::Close, Value::Null, "broken"),
    ] {
        let receiver = Receiver::start(says.clone()).await;
        let (id, secret) = add(&server, &receiver.url, &["job.completed"]).await;
        told.push((receiver, id, secret, code, error));
    }
    let job = server.execute(gmail("retried", "Hello")).await;
    server.ended(&job).await;
    for (receiver, id, _, code, error) in &told {
        receiver.sees(1).await;
        if *error == "broken" && *code == Value::Null && matches!(*receiver.says.lock().unwrap(), Says::Status(199)) {
            // An interim answer that is followed by nothing.
            receiver.say(Says::Status(200));
            continue;
        }
        let delivery = delivery_when(&server, id, |delivery| !delivery["last_error"].is_null()).await;
        assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("pending"), &json!(1)), "{delivery}");
        assert_eq!((&delivery["last_code"], &delivery["last_error"]), (code, &json!(error)), "{delivery}");
        receiver.say(Says::Status(202));
    }
    let began = Instant::now();
    for (receiver, id, secret, ..) in &told {
        let hooks = receiver.sees(2).await;
        assert!(hooks.iter().all(|hook| hook.signature == signature(secret, hook)));
        let (ids, bodies): (BTreeSet<_>, BTreeSet<_>) = hooks.iter().map(|hook| (&hook.id, &hook.body)).unzip();
        assert_eq!((ids.len(), bodies.len()), (1, 1), "the same each time");
        assert!(hooks[0].timestamp < hooks[1].timestamp, "each attempt is signed at its own time");
        let delivery = delivery_when(&server, id, |delivery| delivery["status"] == "delivered").await;
        assert_eq!((&delivery["attempts"], &delivery["last_error"]), (&json!(2), &Value::Null));
    }
    assert!(began.elapsed() < Duration::from_secs(30));
    assert!(elsewhere.seen().is_empty(), "a redirect is not followed");
}

#[tokio::test]
async fn an_endpoint_that_answers_410_hears_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let receiver = Receiver::start(Says::Status(410)).await;
    let (id, _) = add(&server, &receiver.url, &[]).await;
    let tested = server.post(&format!("/webhooks/{id}/test"), &json!({})).await;
    assert_eq!(
        (tested.status, &tested.body["event"], &tested.body["status"]),
        (202, &json!("webhook.test"), &json!("pending"))
    );
    let delivery = delivery_when(&server, &id, |delivery| delivery["status"] == "failed").await;
    assert_eq!((&delivery["last_code"], &delivery["last_error"]), (&json!(410), &json!("gone")));
    let now = endpoint(&server, &id).await;
    assert_eq!((&now["status"], &now["disabled_because"]), (&json!("disabled"), &json!("gone")), "{now}");
    let again = server.post(&format!("/webhooks/{id}/test"), &json!({})).await;
    assert_eq!((again.status, again.code()), (409, &json!("webhook-gone")));
    let job = server.execute(gmail("gone", "Hello")).await;
    server.ended(&job).await;
    assert_eq!((deliveries(&server, &id).await.len(), receiver.seen().len()), (1, 1));
}

#[tokio::test]
async fn receivers_that_hang_keep_no_job_and_no_other_endpoint_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let hanging: Vec<Receiver> = futures_util::future::join_all((0..9).map(|_| Receiver::start(Says::Hang))).await;
    for receiver in &hanging {
        add(&server, &receiver.url, &[]).await;
    }
    let good = Receiver::start(Says::Status(200)).await;
    let (id, _) = add(&server, &good.url, &[]).await;
    let tenth = server.post("/webhooks", &json!({ "url": good.url })).await;
    assert_eq!((tenth.status, tenth.code()), (409, &json!("too-many-webhooks")));
    let began = Instant::now();
    for round in 0..3 {
        let actions: Vec<_> = (0..10).map(|n| gmail(&format!("{round}-{n}"), "Hello")).collect();
        let accepted = server.post("/ai/execute", &json!({ "actions": actions, "actor_id": "ana@example.com" })).await;
        for job in accepted.body["job_ids"].as_array().unwrap() {
            assert_eq!(server.ended(job.as_str().unwrap()).await["status"], "completed");
        }
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for receiver in &hanging {
        receiver.sees(1).await;
        assert!(receiver.seen().len() <= 2, "few at once");
    }
    good.sees(30).await;
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let ids: BTreeSet<_> = good.seen().into_iter().map(|hook| hook.id).collect();
    assert_eq!(ids.len(), 30, "each once");
    delivery_when(&server, &id, |delivery| delivery["status"] == "delivered").await;
}

#[tokio::test]
async fn what_a_killed_process_had_written_or_was_sending_is_delivered_by_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(Says::Hang).await;
    let mut server = Server::start(folder.path(), &[]);
    let (id, secret) = add(&server, &receiver.url, &["job.completed"]).await;
    let mut jobs = BTreeSet::new();
    for n in 0..8 {
        let job = server.execute(gmail(&format!("killed-{n}"), "Hello")).await;
        server.ended(&job).await;
        jobs.insert(job);
    }
    // Some are being sent, and the others wait behind them.
    let begun = receiver.sees(2).await;
    server.kill();
    receiver.say(Says::Status(200));
    let server = Server::start(folder.path(), &[]);
    let told = || {
        receiver
            .seen()
            .iter()
            .map(|hook| hook.json()["data"]["job_id"].as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    until("a job's end is not told", || told() == jobs).await;
    let times = |id: &str| receiver.seen().iter().filter(|hook| hook.id == id).count();
    let again = || begun.iter().all(|first| times(&first.id) >= 2);
    until("what was being sent is not sent again under the same id", again).await;
    assert!(receiver.seen().iter().all(|hook| hook.signature == signature(&secret, hook)));
    let all_delivered =
        async || deliveries(&server, &id).await.iter().all(|delivery| delivery["status"] == "delivered");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !all_delivered().await {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(deliveries(&server, &id).await.len(), 8);
}

#[tokio::test]
async fn a_refresh_token_that_the_provider_refuses_is_told_of_once_until_the_account_is_connected_again() {
    for provider in ["google", "microsoft"] {
        let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
        let server = oauth::start(folder.path(), &fakes, &[]);
        let (told, others) = (Receiver::start(Says::Status(204)).await, Receiver::start(Says::Status(204)).await);
        let (id, secret) = add(&server, &told.url, &["connection.reauth_required"]).await;
        let (other, _) = add(&server, &others.url, &["job.completed"]).await;
        for times in 1..=2 {
            fakes.consents(oauth::owner(0));
            assert_eq!(oauth::connect(&server, provider, json!({ "replace": true })).await.status, 200);
            // The token has expired, and the provider answers the refresh with `invalid_grant`, to several jobs at once.
            fakes.end_refresh_tokens();
            let mails: Vec<Value> = (0..3).map(|one| oauth::mail(provider, &format!("{times}-{one}"))).collect();
            let accepted = server.post("/ai/execute", &json!({ "actions": mails, "actor_id": "ana" })).await;
            assert_eq!(accepted.status, 202, "{}", accepted.body);
            for job in accepted.body["job_ids"].as_array().unwrap() {
                let job = server.ended(job.as_str().unwrap()).await;
                assert_eq!(job["error"]["code"], "reauth-required", "{job}");
            }
            let hook = told.sees(times).await.pop().unwrap();
            assert_eq!(hook.signature, signature(&secret, &hook));
            let body = hook.json();
            assert_eq!(body["type"], "connection.reauth_required");
            assert_eq!(
                body["data"],
                json!({ "workspace_id": "local", "provider": provider, "code": "reauth-required" })
            );
            // Whoever asks again is refused, and nobody is told again.
            let refused = server
                .post("/ai/execute", &json!({ "actions": [oauth::mail(provider, "x")], "actor_id": "ana" }))
                .await;
            assert_eq!(refused.code(), "reauth-required");
            assert_eq!(server.get(&format!("/oauth/{provider}/status")).await.body["needs_reauth"], true);
            delivery_when(&server, &id, |delivery| delivery["status"] == "delivered").await;
            assert_eq!((deliveries(&server, &id).await.len(), told.seen().len()), (times, times));
        }
        assert!(deliveries(&server, &other).await.is_empty() && fakes.deliveries().is_empty());
    }
}

#[tokio::test]
async fn a_new_secret_signs_at_once_and_the_old_one_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let receiver = Receiver::start(Says::Status(200)).await;
    let (id, first) = add(&server, &receiver.url, &[]).await;
    let rotate = async || {
        let rotated = server.post(&format!("/webhooks/{id}/rotate"), &json!({})).await;
        assert_eq!(
            (rotated.status, &rotated.body["id"], &rotated.body["url"]),
            (200, &json!(id), &json!(receiver.url))
        );
        rotated.body["secret"].as_str().unwrap().to_owned()
    };
    let second = rotate().await;
    server.post(&format!("/webhooks/{id}/test"), &json!({})).await;
    let hook = receiver.sees(1).await.remove(0);
    assert_eq!(hook.json()["type"], "webhook.test");
    assert_eq!(hook.signature, format!("{} {}", signature(&second, &hook), signature(&first, &hook)));
    let third = rotate().await;
    server.post(&format!("/webhooks/{id}/test"), &json!({})).await;
    let hook = receiver.sees(2).await.remove(1);
    assert_eq!(
        hook.signature,
        format!("{} {}", signature(&third, &hook), signature(&second, &hook)),
        "not the one before"
    );
}

#[tokio::test]
async fn what_is_no_endpoint_is_refused_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    // As at a server that others reach.
    let key = run(folder.path(), &[], &["keys", "create", "--workspace", "acme", "--scopes", "webhooks:write"]);
    let less = run(
        folder.path(),
        &[],
        &["keys", "create", "--workspace", "acme", "--scopes", "actions:execute,connections:write"],
    );
    let allowed = Receiver::start(Says::Status(200)).await;
    let host = allowed.url.trim_start_matches("http://").trim_end_matches("/hook").to_owned();
    let server = Server::start(folder.path(), &[("HOST", "0.0.0.0"), ("WEBHOOK_ALLOW_HOSTS", &host)]);
    let client = server.with_key(&key);
    for url in [
        "https://127.0.0.1/",
        "http://127.0.0.1:9/",
        "https://[::1]/",
        "https://localhost/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:169.254.169.254]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "http://example.com/",
        "ftp://example.com/",
        "https://u:p@example.com/",
        "https://example.com/#x",
        "example.com",
        "",
        "https://a b.example.com/",
        "https://hooks.internal/",
    ] {
        let refused = client.post("/webhooks", &json!({ "url": url })).await;
        assert_eq!(
            (refused.status, refused.code(), refused.pointers()),
            (422, &json!("invalid-request"), vec!["/url"]),
            "{url}"
        );
    }
    let long = format!("https://example.com/{}", "x".repeat(2048));
    for (body, pointer) in [
        (json!({ "url": long }), "/url"),
        (json!({ "url": 7 }), "/url"),
        (json!({}), ""),
        (json!({ "url": "https://example.com/", "events": ["job.deleted"] }), "/events/0"),
        (json!({ "url": "https://example.com/", "events": ["job.held", "webhook.test"] }), "/events"),
        (json!({ "url": "https://example.com/", "events": "job.held" }), "/events"),
        (json!({ "url": "https://example.com/", "secret": "whsec_x" }), "/secret"),
    ] {
        let refused = client.post("/webhooks", &body).await;
        assert_eq!((refused.status, refused.pointers()), (422, vec![pointer]), "{}", refused.body);
    }
    let refused: Reply = server.with_key(&less).post("/webhooks", &json!({ "url": "https://example.com/" })).await;
    assert_eq!((refused.status, refused.code()), (403, &json!("forbidden-scope")));
    // The exception is this host with this port.
    let (id, _) = add(&client, &allowed.url, &[]).await;
    assert_eq!(client.post(&format!("/webhooks/{id}/test"), &json!({})).await.status, 202);
    allowed.sees(1).await;
    assert_eq!(client.get("/webhooks").await.body["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_command_line_adds_lists_tests_and_removes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let receiver = Receiver::start(Says::Status(200)).await;
    let call = async |arguments: &[&str]| {
        let mut command = command(folder.path(), &[("ORCHESTRATOR_URL", &server.url)]);
        command.arg("webhooks").args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    };
    let (code, added) = call(&["add", &receiver.url, "--events", "job.completed,job.failed"]).await;
    assert!(code == 0 && added.contains("job.completed,job.failed") && added.contains("whsec_"), "{added}");
    let id = added.split_whitespace().next().unwrap();
    let (code, listed) = call(&["list"]).await;
    assert_eq!((code, listed.trim()), (0, &*format!("{id}  active  job.completed,job.failed  {}", receiver.url)));
    let (code, tested) = call(&["test", id]).await;
    assert!(code == 0 && tested.contains("delivered, the answer was 200"), "{tested}");
    receiver.say(Says::Status(503));
    let (code, tested) = call(&["test", id]).await;
    assert!(code == 1 && tested.contains("the answer was 503, status; it is tried again at"), "{tested}");
    assert_eq!(call(&["remove", id]).await.0, 0);
    for wrong in [
        vec!["remove", id],
        vec!["test", id],
        vec!["add", "http://10.0.0.1/"],
        vec!["add", &receiver.url, "--events", "x"],
    ] {
        assert_eq!(call(&wrong).await.0, 1, "{wrong:?}");
    }
    assert_eq!(call(&["list"]).await, (0, "There are no webhook endpoints.\n".to_owned()));
}

/// Answers as it is told; the last answer stays.
#[derive(Default)]
struct Scripted {
    answers: Mutex<Vec<Result<u16, DeliveryFault>>>,
    posted: Mutex<Vec<(String, String, usize)>>,
}

#[async_trait]
impl WebhookSender for Scripted {
    fn check(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    async fn post(&self, posting: &Posting<'_>) -> Result<u16, DeliveryFault> {
        assert!(posting.secrets.iter().all(|secret| secret.expose_secret().starts_with("whsec_")));
        self.posted.lock().unwrap().push((posting.id.to_string(), posting.url.to_owned(), posting.secrets.len()));
        let mut answers = self.answers.lock().unwrap();
        if answers.len() > 1 { answers.remove(0) } else { answers[0] }
    }
}

/// The use cases with a scripted receiver and one endpoint.
async fn inside(answers: &[Result<u16, DeliveryFault>]) -> (Inside, Arc<Scripted>, EndpointId) {
    let mut inside = Inside::new(&[]);
    let sender = Arc::new(Scripted { answers: Mutex::new(answers.to_vec()), ..Scripted::default() });
    inside.change(|parts| parts.webhooks = sender.clone());
    let url = "https://example.com/hook".to_owned();
    let made = inside.engine.webhooks.add(&inside.caller, url, BTreeSet::new()).await.unwrap();
    (inside, sender, made.view.endpoint.endpoint_id)
}

/// Every open delivery.
async fn open(inside: &Inside) -> Vec<Delivery> {
    inside.parts.ledger.webhooks.due_deliveries(Timestamp::MAX, 100).await.unwrap()
}

/// Works the messages of all deliveries that are open, whether or not they are due.
async fn work(inside: &Inside) {
    for delivery in open(inside).await {
        let message = JobMessage::of_delivery(&delivery, Duration::ZERO);
        inside.engine.worker.work(&message.body, inside.clock_in(60)).await;
    }
}

async fn execute(inside: &Inside, key: &str) {
    let request: ExecuteRequest =
        serde_json::from_value(json!({ "actions": [gmail(key, "Hello")], "actor_id": "ana@example.com" })).unwrap();
    let accepted = inside.execute_as(&inside.caller, request).await.unwrap();
    let message = JobMessage::V1 {
        job_id: accepted[0].job.job_id,
        workspace_id: inside.caller.workspace.clone(),
        traceparent: None,
    };
    inside.engine.worker.work(&message.write(), inside.clock_in(60)).await;
}

#[tokio::test]
async fn after_three_days_of_failures_the_endpoint_is_disabled_until_a_test_reaches_it() {
    let (inside, sender, id) = inside(&[Err(DeliveryFault::NoConnection)]).await;
    execute(&inside, "three-days").await;
    let began = inside.clock_in(0);
    let mut first = None;
    while let Some(delivery) = open(&inside).await.pop() {
        let now = inside.clock_in(0);
        let wait = delivery.due_at().unwrap().duration_since(now);
        work(&inside).await;
        if wait.is_positive() {
            assert_eq!(open(&inside).await, std::slice::from_ref(&delivery), "not before its time");
            inside.clock.advance(wait.unsigned_abs());
        } else if delivery.attempts == 1 {
            first = Some(now.duration_since(began));
        }
    }
    assert!(first.unwrap() <= SignedDuration::from_secs(30), "{first:?}");
    assert_eq!(inside.clock_in(0).duration_since(began), SignedDuration::from_hours(72));
    let ids: BTreeSet<_> = sender.posted.lock().unwrap().iter().map(|(id, ..)| id.clone()).collect();
    assert_eq!(ids.len(), 1);
    let (listed, _) = inside.engine.webhooks.deliveries(&inside.caller, id, None, 10).await.unwrap();
    assert_eq!((listed.len(), listed[0].status), (1, DeliveryStatus::Failed));
    let status = async || inside.engine.webhooks.list(&inside.caller).await.unwrap()[0].endpoint.status();
    assert_eq!(status().await, "disabled");
    execute(&inside, "while-disabled").await;
    assert!(open(&inside).await.is_empty(), "nothing is written for an endpoint that is disabled");
    // The first test fails, and is tried again as any other; the second attempt reaches it.
    *sender.answers.lock().unwrap() = vec![Ok(500), Ok(204)];
    inside.engine.webhooks.test(By::Caller(&inside.caller), id).await.unwrap();
    work(&inside).await;
    assert_eq!(status().await, "disabled");
    inside.clock.advance(Duration::from_secs(30));
    work(&inside).await;
    assert_eq!(status().await, "active");
    execute(&inside, "after").await;
    assert_eq!(open(&inside).await[0].event, WebhookEvent::JobCompleted);
}

#[tokio::test]
async fn what_is_on_its_way_to_an_endpoint_that_ends_is_dropped() {
    for remove in [false, true] {
        let (inside, sender, id) = inside(&[Ok(500), Ok(410)]).await;
        execute(&inside, "first").await;
        execute(&inside, "second").await;
        let [first, second] = <[Delivery; 2]>::try_from(open(&inside).await).unwrap();
        let try_it = async |delivery: &Delivery| {
            let message = JobMessage::of_delivery(delivery, Duration::ZERO);
            inside.engine.worker.work(&message.body, inside.clock_in(60)).await;
        };
        try_it(&first).await;
        if remove {
            inside.engine.webhooks.remove(By::Caller(&inside.caller), id).await.unwrap();
        } else {
            try_it(&second).await;
        }
        inside.clock.advance(Duration::from_secs(30));
        work(&inside).await;
        assert!(open(&inside).await.is_empty());
        assert_eq!(sender.posted.lock().unwrap().len(), if remove { 1 } else { 2 });
    }
}

#[tokio::test]
async fn the_old_secret_signs_for_a_day() {
    let (inside, sender, id) = inside(&[Ok(200)]).await;
    inside.engine.webhooks.rotate(&inside.caller, id).await.unwrap();
    for (hours, secrets) in [(0, 2), (23, 2), (1, 1)] {
        inside.clock.advance(Duration::from_hours(hours));
        inside.engine.webhooks.test(By::Caller(&inside.caller), id).await.unwrap();
        work(&inside).await;
        assert_eq!(sender.posted.lock().unwrap().last().unwrap().2, secrets, "{hours}");
    }
}

#[tokio::test]
async fn one_attempt_at_a_time_and_a_lost_one_is_found_again() {
    let (inside, sender, _) = inside(&[Ok(200)]).await;
    execute(&inside, "once").await;
    let delivery = open(&inside).await.remove(0);
    let until = inside.clock_in(18);
    let claimed = delivery.claimed(until, inside.clock_in(0)).unwrap();
    inside.parts.ledger.webhooks.save_delivery(&claimed).await.unwrap();
    work(&inside).await;
    assert!(sender.posted.lock().unwrap().is_empty(), "somebody else tries it");
    // Whoever tried it is gone. The sweep finds it, and once only.
    assert_eq!(inside.engine.sweeper.sweep().await.unwrap(), 0);
    inside.clock.advance(Duration::from_mins(2));
    assert_eq!(inside.engine.sweeper.sweep().await.unwrap(), 1);
    assert_eq!(inside.engine.sweeper.sweep().await.unwrap(), 0);
    work(&inside).await;
    work(&inside).await;
    let posted = sender.posted.lock().unwrap();
    assert_eq!((posted.len(), &*posted[0].0), (1, &*delivery.delivery_id.to_string()));
}

#[tokio::test]
async fn an_attempt_that_could_not_end_in_time_is_not_begun() {
    let (inside, sender, _) = inside(&[Ok(200)]).await;
    execute(&inside, "late").await;
    let message = JobMessage::of_delivery(&open(&inside).await[0], Duration::ZERO);
    inside.engine.worker.work(&message.body, inside.clock_in(17)).await;
    assert!(sender.posted.lock().unwrap().is_empty());
    let stranger = JobMessage::Webhook {
        delivery_id: open(&inside).await[0].delivery_id,
        endpoint_id: open(&inside).await[0].endpoint_id,
        workspace_id: "other".parse::<WorkspaceId>().unwrap(),
    };
    inside.engine.worker.work(&stranger.write(), inside.clock_in(60)).await;
    assert!(sender.posted.lock().unwrap().is_empty(), "of another workspace");
    inside.engine.worker.work(&message.body, inside.clock_in(18)).await;
    assert_eq!(sender.posted.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_key_with_bounds_makes_endpoints_with_the_same_bounds() {
    let (inside, ..) = inside(&[Ok(200)]).await;
    let mut bound = caller("local");
    bound.bound_actor = Some(domain::ActorHash::of(&bound.workspace, &"bo@example.com".parse().unwrap()));
    let mut narrow = caller("local");
    narrow.allow = Some(std::iter::once("outlook.send".parse().unwrap()).collect());
    for caller in [&bound, &narrow] {
        assert!(inside.engine.webhooks.list(caller).await.unwrap().is_empty());
        let url = "https://example.com/bound".to_owned();
        inside.engine.webhooks.add(caller, url, BTreeSet::new()).await.unwrap();
        assert_eq!(inside.engine.webhooks.list(caller).await.unwrap().len(), 1);
    }
    assert_eq!(inside.engine.webhooks.list(&inside.caller).await.unwrap().len(), 3);
    assert!(inside.engine.webhooks.list(&caller("other")).await.unwrap().is_empty());
    execute(&inside, "anas").await;
    assert_eq!(open(&inside).await.len(), 1, "of another actor, and of another action");
}

/// A vault whose key the operator's function may not use.
struct Shut;

#[async_trait]
impl Vault for Shut {
    async fn seal(&self, _: &Place<'_>, _: &[u8]) -> Result<Sealed, VaultError> {
        Err(VaultError::unavailable("shut"))
    }

    async fn open(&self, _: &Place<'_>, _: &Sealed) -> Result<Vec<u8>, VaultError> {
        Err(VaultError::unavailable("shut"))
    }
}

#[tokio::test]
async fn the_operator_lists_tests_and_removes_endpoints_and_opens_nothing() {
    let (inside, sender, id) = inside(&[Ok(204), Ok(410)]).await;
    let config = app::Config::read(app::Runtime::Local, &|_| None).unwrap();
    let engine = Engine::new(Parts { vault: Arc::new(Shut), ..inside.parts.clone() });
    let run = async |words: &str, workspace: &str, id: Option<EndpointId>| {
        let mut event = json!({ "command": format!("webhooks {words}"), "workspace": workspace });
        if let Some(id) = id {
            event["id"] = json!(id);
        }
        let ran = operator::run(&config, &engine, Command::read(event).unwrap()).await;
        ran.map(|Outcome { result, .. }| result).map_err(|problem| problem.code)
    };
    let listed = run("list", "local", None).await.unwrap();
    let keys: Vec<_> = listed[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "events", "status", "disabled_because", "disabled_at", "created_at"]);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["status"], listed.as_array().unwrap().len()),
        (&json!(id), &json!("active"), 1)
    );
    assert_eq!(run("list", "other", None).await, Ok(json!([])));
    let other = EndpointId(uuid::Uuid::from_u128(1));
    for (words, workspace, id) in
        [("test", "other", id), ("test", "local", other), ("remove", "other", id), ("remove", "local", other)]
    {
        assert_eq!(run(words, workspace, Some(id)).await, Err(ProblemCode::NotFound), "{words} {workspace}");
    }
    assert!(open(&inside).await.is_empty());

    for status in ["active", "disabled"] {
        let sent = run("test", "local", Some(id)).await.unwrap();
        assert_eq!(sent["webhook_id"], json!(open(&inside).await[0].delivery_id));
        work(&inside).await;
        assert_eq!(run("list", "local", None).await.unwrap()[0]["status"], status);
    }
    assert_eq!(sender.posted.lock().unwrap().len(), 2);
    assert_eq!(run("list", "local", None).await.unwrap()[0]["disabled_because"], "gone");
    assert_eq!(run("test", "local", Some(id)).await, Err(ProblemCode::WebhookGone));

    run("remove", "local", Some(id)).await.unwrap();
    assert_eq!(run("list", "local", None).await, Ok(json!([])));
    let workspace = Some(inside.caller.workspace.clone());
    let entry = inside.engine.auditor.page(workspace, None, None, 1).await.unwrap().entries.remove(0);
    let seen = (entry.event, entry.by, entry.value);
    assert_eq!(seen, (AuditEvent::WebhookRemoved, AuditBy::CommandLine, Some(id.to_string())));
}
