//! The audit's chains, as its readers and its operator meet them.

use std::{path::Path, sync::Arc, time::Duration};

use adapters::embedded::MemoryCache;
use domain::{AuditEntry, AuditHead, AuditVerdict, WorkspaceId, sha256_hex};
use engine::ports::{Audit, AuditFilter, CachePorts, LedgerError};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    inside::Inside,
    support::{Server, command, gmail, run},
};

const SCOPES: &str = "actions:preview,actions:execute,audit:read";

fn make_key(folder: &Path, workspace: &str) -> String {
    run(folder, &[], &["keys", "create", "--workspace", workspace, "--scopes", SCOPES])
}

/// Whether a check of the audit succeeds, and what it prints.
fn verify(folder: &Path, more: &[&str]) -> (bool, String) {
    let output = command(folder, &[]).args(["audit", "verify"]).args(more).output().expect("the program runs");
    (output.status.success(), String::from_utf8(output.stdout).expect("it prints text"))
}

/// The heads that were logged, with their names.
fn heads(log: &str) -> Vec<&str> {
    log.lines().filter_map(|line| line.split_once("audit.head=")?.1.split_whitespace().next()).collect()
}

#[tokio::test]
async fn the_audit_is_chained_and_every_hash_can_be_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = make_key(folder, "acme");
    let server = Server::start(folder, &[]);
    let client = server.with_key(&key);
    for n in 0..3 {
        let id = client.execute(gmail(&format!("{n}"), "Hello")).await;
        client.ended(&id).await;
    }
    let audit = client.get("/audit?limit=100").await.body;
    let mut entries: Vec<&Value> = audit["data"].as_array().unwrap().iter().collect();
    entries.sort_by_key(|entry| entry["sequence"].as_u64());
    assert_eq!(entries.len(), 7, "a key, and three jobs with their ends");
    let mut before = Value::Null;
    for (entry, sequence) in entries.iter().zip(1..) {
        assert_eq!((&entry["chain"], &entry["sequence"]), (&json!(0), &json!(sequence)), "{entry}");
        assert_eq!(entry["previous_hash"], before);
        before = entry["hash"].clone();
    }
    // What is printed is what is stored: its hash is that of the line without the hash.
    let printed = run(folder, &[], &["audit", "--workspace", "acme"]);
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 7);
    for line in lines {
        let (text, hash) = line.rsplit_once(",\"hash\":\"").unwrap();
        assert_eq!(sha256_hex(format!("{text}}}").as_bytes()), hash.trim_end_matches("\"}"), "{line}");
    }
    let (is_whole, told) = verify(folder, &[]);
    assert!(is_whole && told.contains("acme\tok\t7 entries fit\tacme/0.7."), "{told}");
}

#[tokio::test]
async fn a_change_of_the_file_is_found_by_the_command_beside_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (key, _) = (make_key(folder, "acme"), make_key(folder, "other"));
    run(folder, &[], &["rollout", "set", "google", "100"]);
    let server = Server::start(folder, &[]);
    let client = server.with_key(&key);
    let id = client.execute(gmail("a", "Hello")).await;
    client.ended(&id).await;
    let (is_whole, told) = verify(folder, &[]);
    assert!(is_whole, "{told}");
    let names: Vec<&str> = told.lines().map(|line| line.split('\t').next().unwrap()).collect();
    assert_eq!(names, ["-", "acme", "other"], "each workspace, and what belongs to none");

    let file = rusqlite::Connection::open(folder.join("ledger.db")).unwrap();
    file.busy_timeout(Duration::from_secs(5)).unwrap();
    let body = "UPDATE records SET body = replace(body, ?1, ?2) WHERE partition LIKE 'AUDIT#acme#%' AND body LIKE '%job.accepted%'";
    assert_eq!(file.execute(body, ["gmail.send", "gmail.sent"]).unwrap(), 1);
    let (is_whole, told) = verify(folder, &["--workspace", "acme"]);
    assert!(!is_whole && told.starts_with("acme\ttampered\tentry ") && told.contains("was changed"), "{told}");
    let (is_whole, told) = verify(folder, &[]);
    assert!(!is_whole && told.contains("other\tok\t1 entries fit"), "the others are told too: {told}");
    assert_eq!(file.execute(body, ["gmail.sent", "gmail.send"]).unwrap(), 1);
    assert!(verify(folder, &[]).0, "as it was");
    let removed = "DELETE FROM records WHERE partition LIKE 'AUDIT#acme#%' AND body LIKE '%job.accepted%'";
    assert_eq!(file.execute(removed, []).unwrap(), 1);
    let (is_whole, told) = verify(folder, &[]);
    assert!(!is_whole && told.contains("was removed"), "{told}");
    let heads = "DELETE FROM records WHERE partition LIKE 'CHAIN#AUDIT#acme#%'";
    assert_eq!(file.execute(heads, []).unwrap(), 1);
    let (is_whole, told) = verify(folder, &[]);
    assert!(!is_whole && told.contains("acme\ttampered"), "its key still names the workspace: {told}");
}

#[tokio::test]
async fn who_keeps_the_log_knows_of_a_cut_tail() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let key = make_key(folder, "acme");
    let mut server = Server::start(folder, &[("RUST_LOG", "info")]);
    let client = server.with_key(&key);
    let id = client.execute(gmail("a", "Hello")).await;
    client.ended(&id).await;
    server.terminate();
    assert!(server.ends_well().await);
    let log = server.into_log();
    let logged = heads(&log);
    let [head] = &logged[..] else { panic!("{log}") };
    assert!(head.starts_with("acme/0.3."), "{head}");
    assert!(verify(folder, &["--head", head]).0);

    // Somebody takes away the last entry, and the head that tells of it.
    let file = rusqlite::Connection::open(folder.join("ledger.db")).unwrap();
    let last = "SELECT body FROM records WHERE partition LIKE 'AUDIT#acme#%' AND body LIKE '%\"sequence\":3,%'";
    let last: String = file.query_row(last, [], |row| row.get(0)).unwrap();
    let last: Value = serde_json::from_str(&last).unwrap();
    let before = json!({ "sequence": 2, "place": last["previous"], "hash": last["previous_hash"] });
    let reset = "UPDATE records SET body = ?1, version = '2' WHERE partition = 'CHAIN#AUDIT#acme#0'";
    assert_eq!(file.execute(reset, [before.to_string()]).unwrap(), 1);
    let cut = "DELETE FROM records WHERE partition LIKE 'AUDIT#acme#%' AND body LIKE '%\"sequence\":3,%'";
    assert_eq!(file.execute(cut, []).unwrap(), 1);
    assert!(verify(folder, &[]).0, "the file alone does not tell");
    let (is_whole, told) = verify(folder, &["--head", head]);
    assert!(!is_whole && told.contains("entry 3 of chain 0 was removed"), "{told}");
    let foreign = head.replace("acme/", "nobody/");
    let (is_whole, told) = verify(folder, &["--workspace", "acme", "--head", &foreign]);
    assert!(!is_whole && told.contains("nobody\ttampered"), "a head of another audit is checked there: {told}");
}

/// Counts how often the heads are read.
struct Counting {
    inner: Arc<dyn Audit>,
    read: std::sync::atomic::AtomicUsize,
}

#[async_trait::async_trait]
impl Audit for Counting {
    async fn put_audit(&self, entry: &AuditEntry) -> Result<(), LedgerError> {
        self.inner.put_audit(entry).await
    }

    async fn list_audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, LedgerError> {
        self.inner.list_audit(filter).await
    }

    async fn audit_heads(&self, now: Timestamp) -> Result<Vec<AuditHead>, LedgerError> {
        self.read.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.inner.audit_heads(now).await
    }

    async fn verify_audit(
        &self,
        workspace: Option<&WorkspaceId>,
        logged: Option<&AuditHead>,
        now: Timestamp,
    ) -> Result<AuditVerdict, LedgerError> {
        self.inner.verify_audit(workspace, logged, now).await
    }
}

#[tokio::test]
async fn the_heads_are_logged_once_an_hour() {
    let mut inside = Inside::new(&[]);
    let inner = inside.parts.ledger.audit.clone();
    let audit = Arc::new(Counting { inner, read: std::sync::atomic::AtomicUsize::new(0) });
    inside.change(|parts| {
        parts.ledger.audit = audit.clone();
        parts.cache = CachePorts::of(Arc::new(MemoryCache::new(parts.clock.clone())));
    });
    let mut counts = Vec::new();
    for minutes in [0, 1, 58, 1, 30, 29, 1] {
        inside.clock.advance(Duration::from_mins(minutes));
        inside.engine.sweeper.log_heads_hourly().await.unwrap();
        counts.push(audit.read.load(std::sync::atomic::Ordering::SeqCst));
    }
    assert_eq!(counts, [1, 1, 1, 2, 2, 2, 3]);
}
