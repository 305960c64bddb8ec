//! What a refused caller leaves behind: a line in the log, a count, and an entry of the audit where the key is known.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use domain::{ApiKey, AuditEvent, KeyId, KeyRecord, WorkspaceId};
use engine::{
    ProblemCode,
    keys::NewKey,
    limits::Ticket,
    ports::{Keys, LedgerError},
    refusals::Origin,
};
use jiff::{Timestamp, civil::Date};
use serde_json::Value;

use crate::{
    inside::Inside,
    support::{Reply, Server, reply, run},
};

fn make_key(folder: &Path, workspace: &str, scopes: &str) -> String {
    run(folder, &[], &["keys", "create", "--workspace", workspace, "--scopes", scopes])
}

fn id_of(key: &str) -> &str {
    key.split('_').nth(1).expect("a key has an id")
}

/// A key of the same id with another secret and a right checksum.
fn guessed(key: &str) -> ApiKey {
    const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut random = [7; 64];
    for (place, letter) in random.iter_mut().zip(id_of(key).bytes()) {
        *place = u8::try_from(ALPHABET.iter().position(|known| *known == letter).unwrap()).unwrap();
    }
    let guessed = ApiKey::of(&random);
    assert_eq!(guessed.id().as_str(), id_of(key));
    guessed
}

fn forged(n: u8) -> String {
    ApiKey::of(&[n; 64]).reveal()
}

async fn ask(server: &Server, path: &str, authorization: Option<&str>) -> Reply {
    let request =
        server.request("GET", path).header("x-forwarded-for", "203.0.113.7").header("forwarded", "for=203.0.113.8");
    reply(authorization.into_iter().fold(request, |request, value| request.header("authorization", value))).await
}

#[tokio::test]
async fn every_refused_caller_leaves_a_line_and_a_count_and_where_its_key_is_known_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let (key, operator) =
        (make_key(folder.path(), "acme", "actions:preview"), make_key(folder.path(), "ops", "metrics:read"));
    let revoked = make_key(folder.path(), "acme", "actions:preview");
    run(folder.path(), &[], &["keys", "revoke", id_of(&revoked)]);
    let server = Server::start(folder.path(), &[("LOG_FORMAT", "json")]);
    let (wrong, unknown) = (guessed(&key).reveal(), forged(9));
    let bearer = |key: &str| Some(format!("Bearer {key}"));
    let mut asked = Vec::new();
    for (authorization, path, route, reason, key_id) in [
        (None, "/actions", "/actions", "missing", None),
        (None, "/ai/jobs/x?wait=3", "/ai/jobs/{job_id}", "missing", None),
        (Some(String::new()), "/actions", "/actions", "malformed", None),
        (Some("Basic YTpi".to_owned()), "/actions", "/actions", "malformed", None),
        (bearer("orc_a_b"), "/ai/jobs", "/ai/jobs", "malformed", None),
        (bearer(&key[..key.len() - 1]), "/ai/jobs", "/ai/jobs", "malformed", None),
        (bearer(&unknown), "/ai/jobs", "/ai/jobs", "unknown", Some(id_of(&unknown))),
        (bearer(&wrong), "/dev/outbox", "/dev/outbox", "wrong_secret", Some(id_of(&key))),
        (bearer(&revoked), "/actions", "/actions", "revoked", Some(id_of(&revoked))),
        (bearer(&key), "/metrics", "/metrics", "scope", Some(id_of(&key))),
        (bearer(&key), "/audit", "/audit", "scope", Some(id_of(&key))),
    ] {
        let answer = ask(&server, path, authorization.as_deref()).await;
        let code = if reason == "scope" { (403, "forbidden-scope") } else { (401, "unauthenticated") };
        assert_eq!((answer.status, answer.code().as_str()), (code.0, Some(code.1)), "{reason}");
        asked.push((answer.header("x-correlation-id").to_owned(), route, reason, key_id));
    }
    let metrics = ask(&server, "/metrics", bearer(&operator).as_deref()).await.body;
    for (reason, count) in [
        ("missing", 2),
        ("malformed", 4),
        ("unknown", 1),
        ("wrong_secret", 1),
        ("revoked", 1),
        ("scope", 2),
        ("foreign", 0),
    ] {
        let line = format!("ai_auth_failures_total{{reason=\"{reason}\"}} {count}");
        assert!(metrics.as_str().unwrap().lines().any(|printed| printed == line), "{line}: {metrics}");
    }

    let entries = run(folder.path(), &[], &["audit", "--workspace", "acme"]);
    let entries = entries.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let refused = entries.filter(|entry| entry["event"] == "request.refused").map(|entry| {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(entry["rules"], serde_json::json!(["key"]), "{entry}");
        (text("key_id"), text("code"), text("value"))
    });
    let mut refused: Vec<_> = refused.collect();
    refused.sort();
    let entry = |key: &str, code: &str, value: &str| (id_of(key).to_owned(), code.to_owned(), value.to_owned());
    let mut wanted = vec![
        entry(&key, "unauthenticated", "wrong_secret"),
        entry(&revoked, "unauthenticated", "revoked"),
        entry(&key, "forbidden-scope", ""),
        entry(&key, "forbidden-scope", ""),
    ];
    wanted.sort();
    assert_eq!(refused, wanted);

    let log = server.into_log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines: Vec<&Value> = lines.iter().filter(|line| line["message"] == "a caller was refused").collect();
    assert_eq!(lines.len(), asked.len(), "{log}");
    for (id, route, reason, key_id) in asked {
        let line = lines.iter().find(|line| line["correlation.id"] == id.as_str()).expect("each request has a line");
        assert_eq!((&line["level"], &line["auth.reason"]), (&"WARN".into(), &reason.into()), "{line}");
        assert_eq!((&line["http.route"], line["key.id"].as_str()), (&route.into(), key_id), "{line}");
        assert_eq!(line["client.address"], "127.0.0.1", "of the socket, whatever headers say: {line}");
    }
    for secret in [&key, &wrong, &unknown, &revoked] {
        assert!(!log.contains(secret.rsplit('_').next().unwrap()), "a secret is in the log");
    }
    assert!(!log.contains("203.0.113"), "{log}");
}

#[tokio::test]
async fn without_keys_other_machines_and_pages_leave_a_line_and_a_count() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    for (name, value) in [
        ("host", "evil.example"),
        ("host", "192.0.2.1:80"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        assert_eq!(reply(server.request("GET", "/ai/jobs").header(name, value)).await.status, 403, "{name}");
    }
    assert_eq!(reply(server.request("POST", "/ai/plan2").body("{}")).await.status, 415, "that is another matter");
    let metrics = server.get("/metrics").await.body;
    assert!(metrics.as_str().unwrap().contains("ai_auth_failures_total{reason=\"foreign\"} 5\n"), "{metrics}");
    let log = server.into_log();
    assert_eq!(log.matches("a caller was refused").count(), 5, "{log}");
    assert_eq!(log.matches("client.address=127.0.0.1").count(), 5, "{log}");
}

/// Counts the reads of a ledger.
struct Counting(Arc<dyn Keys>, Arc<AtomicUsize>);

#[async_trait]
impl Keys for Counting {
    async fn put_key(&self, key: &KeyRecord) -> Result<bool, LedgerError> {
        self.0.put_key(key).await
    }

    async fn key(&self, id: &KeyId) -> Result<Option<KeyRecord>, LedgerError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.key(id).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, LedgerError> {
        self.0.keys().await
    }

    async fn revoke_key(&self, id: &KeyId, now: Timestamp) -> Result<bool, LedgerError> {
        self.0.revoke_key(id, now).await
    }

    async fn last_used(&self, ids: &[KeyId]) -> Result<Vec<Option<Date>>, LedgerError> {
        self.0.last_used(ids).await
    }

    async fn put_last_used(&self, id: &KeyId, day: Date) -> Result<(), LedgerError> {
        self.0.put_last_used(id, day).await
    }
}

fn new_key() -> NewKey {
    let (workspace, scopes) = ("acme".parse().unwrap(), domain::Scope::all());
    NewKey { workspace, scopes, actor: None, allow: None, lifetime: None, name: None, agent: false, draft_only: false }
}

fn counting() -> (Inside, Arc<AtomicUsize>) {
    let (mut inside, reads) = (Inside::new(&[]), Arc::new(AtomicUsize::new(0)));
    inside.change(|parts| parts.ledger.keys = Arc::new(Counting(parts.ledger.keys.clone(), reads.clone())));
    (inside, reads)
}

async fn reason(inside: &Inside, key: &ApiKey) -> Option<&'static str> {
    let asked = inside.engine.keys.authenticate(Some(&format!("Bearer {}", key.reveal())), Ticket::default()).await;
    asked.err().map(|refusal| {
        assert_eq!(refusal.problem.code, ProblemCode::Unauthenticated);
        refusal.failure.expect("a credential is refused").into()
    })
}

#[tokio::test]
async fn a_forged_key_costs_one_read_in_ten_seconds_and_a_key_of_its_id_is_found_after_them() {
    let (inside, reads) = counting();
    let made = ApiKey::of(&[3; 64]);
    for (seconds, wanted) in [(0, 1), (0, 1), (9, 1), (1, 2), (0, 2)] {
        inside.clock.advance(Duration::from_secs(seconds));
        assert_eq!(reason(&inside, &made).await, Some("unknown"));
        assert_eq!(reads.load(Ordering::SeqCst), wanted, "{seconds} s later");
    }
    // Another process makes the key.
    let record = KeyRecord {
        key_id: made.id().clone(),
        workspace_id: "acme".parse().unwrap(),
        scopes: domain::Scope::all(),
        bound_actor: None,
        allow: None,
        secret_sha256: made.secret_sha256(),
        created_at: Timestamp::UNIX_EPOCH,
        revoked_at: None,
        expires_at: None,
        name: None,
        agent: false,
        draft_only: false,
    };
    assert!(inside.parts.ledger.keys.put_key(&record).await.unwrap());
    inside.clock.advance(Duration::from_secs(10));
    assert_eq!(reason(&inside, &made).await, None, "at the latest after ten seconds");
    // A key of this process is good at once, also for one that asked too early.
    let own = inside.engine.keys.create(new_key()).await.unwrap();
    assert_eq!(reason(&inside, &own).await, None);
}

#[tokio::test]
async fn a_guesser_of_secrets_does_not_fill_the_audit() {
    let inside = Inside::new(&[]);
    let acme: WorkspaceId = "acme".parse().unwrap();
    let key = inside.engine.keys.create(new_key()).await.unwrap();
    let guess = async || {
        for _ in 0..50 {
            let header = format!("Bearer {}", guessed(&key.reveal()).reveal());
            let refusal = inside.engine.keys.authenticate(Some(&header), Ticket::default()).await.unwrap_err();
            let origin = Origin { route: "/actions", address: None };
            assert_eq!(inside.engine.refusals.record(*refusal, origin).await.code, ProblemCode::Unauthenticated);
        }
        let page = inside.engine.auditor.page(Some(acme.clone()), None, None, 100).await.unwrap();
        page.entries.iter().filter(|entry| entry.event == AuditEvent::RequestRefused).count()
    };
    assert_eq!(guess().await, 1, "one entry a minute");
    inside.clock.advance(Duration::from_mins(1));
    assert_eq!(guess().await, 2);
}

#[tokio::test]
async fn a_flood_is_refused_before_its_bodies_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let key = make_key(folder.path(), "acme", "actions:preview");
    let other = make_key(folder.path(), "acme", "actions:preview");
    let server = Server::start(folder.path(), &[("LIMIT_REQUESTS_PER_KEY", "3")]);
    let client = server.with_key(&key);
    for n in 1..=6 {
        let answer = client.get("/actions").await;
        assert_eq!(answer.status, if n <= 3 { 200 } else { 429 }, "request {n}");
    }
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        // Sooner than a body has to be complete.
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let head = format!(
            "POST /ai/plan2 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).expect("it is answered without its body");
        String::from_utf8_lossy(&answer[..read]).into_owned()
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 429") && answer.contains("retry-after: "), "{answer}");
    assert_eq!(server.with_key(&other).get("/actions").await.status, 200, "another key is not flooded");
}
