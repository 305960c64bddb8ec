//! The embedded adapters against the contract of their ports, and what only they promise: files
//! that outlive the process, and a command line beside a running server.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use adapters::{
    embedded::{MemoryBudget, MemoryCache, MemoryQueue, SqliteLedger},
    system::SystemClock,
    vault::LocalVault,
};
use contracts::{
    ManualClock,
    audit::{Intruder, Stored},
    sample_job, seed,
};
use domain::{AuditBy, AuditEntry, AuditEvent, Job, Lease, Provider, WorkspaceId};
use engine::ports::{
    Audit, AuditFilter, Clock, Contents, Insert, JobFilter, JobList, Jobs, Save, Sealed, Settings, Upkeep,
};
use jiff::{SignedDuration, Timestamp};
use tempfile::{TempDir, tempdir};
use uuid::Uuid;

fn open(folder: &Path) -> Arc<SqliteLedger> {
    Arc::new(SqliteLedger::open(folder, Arc::new(SystemClock)).unwrap())
}

fn job(key: &str) -> (Job, Contents) {
    let workspace = "local".parse().unwrap();
    (sample_job(&workspace, key, SystemClock.now()), Contents(Sealed(format!("sealed {key}"))))
}

mod ledger {
    use super::*;

    fn ledger() -> (Arc<SqliteLedger>, Timestamp, TempDir) {
        let folder = tempdir().unwrap();
        (open(folder.path()), SystemClock.now(), folder)
    }

    fn by_our_clock() -> (Arc<SqliteLedger>, Arc<ManualClock>, TempDir) {
        let (folder, clock) = (tempdir().unwrap(), ManualClock::new());
        (Arc::new(SqliteLedger::open(folder.path(), clock.clone()).unwrap()), clock, folder)
    }

    #[tokio::test]
    async fn what_is_erased_is_in_no_file_any_more() {
        let (ledger, clock, folder) = by_our_clock();
        let is_in_a_file = || {
            let files = fs::read_dir(folder.path()).unwrap().map(|file| fs::read(file.unwrap().path()).unwrap());
            files.into_iter().any(|bytes| bytes.windows(8).any(|bytes| bytes == b"<sealed>"))
        };
        let workspace = "local".parse().unwrap();
        for place in 0..20 {
            let job = sample_job(&workspace, &format!("{place}"), clock.now());
            // From a part of a page to many pages.
            let sealed = Contents(Sealed("<sealed>".repeat(1 + 200 * place)));
            assert_eq!(ledger.insert_jobs(&[(job.clone(), sealed)]).await.unwrap(), Insert::Done);
            let lease = Lease { owner: Uuid::from_u128(1), until: clock.now() + SignedDuration::from_secs(45) };
            let claimed = job.claimed(lease, clock.now()).unwrap();
            let ended = claimed.completed(serde_json::json!({}), clock.now()).unwrap();
            for next in [claimed, ended] {
                assert_eq!(ledger.save(&next).await.unwrap(), Save::Done);
            }
        }
        assert!(is_in_a_file());
        clock.advance(Duration::from_hours(7 * 24 + 1));
        ledger.erase_expired(clock.now()).await.unwrap();
        assert!(!is_in_a_file());
    }

    /// Somebody who has the file.
    struct Burglar(Mutex<rusqlite::Connection>);

    impl Burglar {
        fn rows(&self, query: &str, pattern: String) -> Vec<Stored> {
            let file = self.0.lock().unwrap();
            // The key of an entry ends with its place.
            let place = "ifnull(place, substr(partition, -57))";
            let query = format!("SELECT partition, {place}, body, expires_at FROM records WHERE {query} ORDER BY 2");
            let mut query = file.prepare(&query).unwrap();
            let rows = query.query_map([pattern], |row| {
                let (partition, place) = (row.get(0)?, row.get(1)?);
                Ok(Stored { partition, place, body: row.get(2)?, expires_at: row.get(3)? })
            });
            rows.unwrap().collect::<Result<_, _>>().unwrap()
        }
    }

    #[async_trait::async_trait]
    impl Intruder for Burglar {
        async fn entries(&self, workspace: &WorkspaceId) -> Vec<Stored> {
            self.rows("kind = 'AUDIT' AND partition LIKE ?1", format!("AUDIT#{workspace}#%"))
        }

        async fn heads(&self, workspace: &WorkspaceId) -> Vec<Stored> {
            self.rows("kind = 'CHAIN' AND partition LIKE ?1", format!("CHAIN#AUDIT#{workspace}#%"))
        }

        async fn write(&self, _: &WorkspaceId, stored: &Stored) {
            let Stored { partition, body, expires_at, .. } = stored;
            let (kind, list, place, version) = match serde_json::from_str::<serde_json::Value>(body) {
                Ok(head) if head["place"].is_string() => {
                    ("CHAIN", Some("CHAINS"), Some(&stored.place), Some(head["sequence"].to_string()))
                }
                _ => ("AUDIT", None, None, None),
            };
            let put = "INSERT OR REPLACE INTO records (partition, kind, body, expires_at, list, place, version)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let file = self.0.lock().unwrap();
            file.execute(put, (partition, kind, body, expires_at, list, place, version)).unwrap();
        }

        async fn delete(&self, stored: &Stored) {
            let file = self.0.lock().unwrap();
            file.execute("DELETE FROM records WHERE partition = ?1", [&stored.partition]).unwrap();
        }
    }

    fn burglar(folder: &TempDir) -> Burglar {
        let file = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
        file.busy_timeout(Duration::from_secs(5)).unwrap();
        Burglar(Mutex::new(file))
    }

    #[tokio::test]
    async fn the_audit_shows_every_change_of_the_file() {
        let (ledger, now, folder) = ledger();
        contracts::audit::shows_every_change(ledger, &burglar(&folder), now, seed()).await;
    }

    #[tokio::test]
    async fn the_audit_of_an_earlier_version_is_taken_over() {
        let (ledger, now, folder) = ledger();
        contracts::audit::takes_over_entries_without_a_link(ledger, &burglar(&folder), now, seed()).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_processes_write_one_chain() {
        let (server, now, folder) = ledger();
        let command = open(folder.path());
        let workspace: WorkspaceId = "local".parse().unwrap();
        let writing: Vec<_> = (0..200_u64)
            .map(|n| {
                let ledger = if n % 2 == 0 { server.clone() } else { command.clone() };
                let (workspace, event) = (Some(workspace.clone()), AuditEvent::WorkspaceChanged);
                let entry = AuditEntry::new(Uuid::from_u64_pair(1, n), workspace, event, AuditBy::CommandLine, now);
                tokio::spawn(async move { ledger.put_audit(&entry).await.unwrap() })
            })
            .collect();
        for write in writing {
            write.await.unwrap();
        }
        let verdict = server.verify_audit(Some(&workspace), None, now).await.unwrap();
        assert_eq!((verdict.fit, verdict.unchained, &verdict.tampering), (200, 0, &None));
        assert_eq!(verdict.head.chains.values().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [200]);
    }

    contracts::ledger_tests!(ledger());
    contracts::tests!(ledger(); jobs::voids_leases);
    contracts::ledger_over_time_tests!(by_our_clock());
}

mod cache {
    use super::*;

    fn cache() -> (Arc<MemoryCache>, Timestamp, ()) {
        let clock = ManualClock::new();
        (Arc::new(MemoryCache::new(clock.clone())), clock.now(), ())
    }

    fn by_our_clock() -> (Arc<MemoryCache>, Arc<ManualClock>, ()) {
        let clock = ManualClock::new();
        (Arc::new(MemoryCache::new(clock.clone())), clock, ())
    }

    contracts::cache_tests!(cache());
    contracts::cache_over_time_tests!(by_our_clock());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_budget_keeps_its_contract() {
    let clock = ManualClock::new();
    let budget = || MemoryBudget::new(clock.clone(), Duration::from_mins(1));
    contracts::budget(Arc::new(budget()), seed()).await;
    let pass = {
        let clock = clock.clone();
        move |time| {
            clock.advance(time);
            tokio::task::yield_now()
        }
    };
    for _ in 0..5 {
        let (seed, budget) = (seed(), Arc::new(budget()));
        contracts::budget_over_time(budget, clock.clone(), Duration::from_mins(1), seed, pass.clone()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_keeps_its_contract() {
    let queue = MemoryQueue::new(Arc::new(SystemClock), Duration::from_secs(30));
    contracts::queue(Arc::new(queue), seed()).await;
    let clock = ManualClock::new();
    let queue = MemoryQueue::new(clock.clone(), Duration::from_secs(30));
    let pass = async |time| clock.advance(time);
    contracts::queue_over_time(Arc::new(queue), Duration::from_secs(30), seed(), pass).await;
}

#[tokio::test]
async fn the_vault_keeps_its_contract() {
    let folder = tempdir().unwrap();
    contracts::vault(Arc::new(LocalVault::from_file(folder.path()).unwrap()), seed()).await;
}

fn entry() -> AuditEntry {
    AuditEntry::new(Uuid::from_u128(1), None, AuditEvent::RolloutChanged, AuditBy::CommandLine, SystemClock.now())
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempdir().unwrap();
    let (first, contents) = job("a");
    let cancelled = first.cancelled(SystemClock.now()).unwrap();
    {
        let ledger = open(folder.path());
        ledger.insert_jobs(&[(first.clone(), contents.clone())]).await.unwrap();
        assert_eq!(ledger.save(&cancelled).await.unwrap(), Save::Done);
        ledger.set_rollout_percent(Provider::Google, 50, &entry()).await.unwrap();
    }
    let ledger = open(folder.path());
    assert_eq!(ledger.jobs(&first.workspace_id, &[first.job_id]).await.unwrap(), [Some(cancelled)]);
    assert_eq!(ledger.contents(first.job_id).await.unwrap(), Some(contents));
    assert_eq!(ledger.rollout_percent(Provider::Google).await.unwrap(), Some(50));
    let (second, contents) = job("a");
    assert_eq!(ledger.insert_jobs(&[(second, contents)]).await.unwrap(), Insert::Taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_programs_work_on_one_file() {
    let folder = tempdir().unwrap();
    let (server, command) = (open(folder.path()), open(folder.path()));
    server.ping().await.unwrap();
    command.set_rollout_percent(Provider::Google, 25, &entry()).await.unwrap();
    assert_eq!(server.rollout_percent(Provider::Google).await.unwrap(), Some(25));
    let tasks: Vec<_> = (0..50)
        .flat_map(|n| [(n, server.clone()), (n, command.clone())])
        .map(|(n, ledger)| tokio::spawn(async move { ledger.insert_jobs(&[job(&format!("{n}"))]).await.unwrap() }))
        .collect();
    let mut done = 0;
    for task in tasks {
        done += usize::from(task.await.unwrap() == Insert::Done);
    }
    assert_eq!(done, 50, "each key once, whichever program was quicker");
    let filter = JobFilter { workspace: "local".parse().unwrap(), list: JobList::All, after: None, limit: 100 };
    assert_eq!(server.list_jobs(&filter).await.unwrap(), command.list_jobs(&filter).await.unwrap());
}

#[test]
fn programs_that_start_at_once_on_a_new_folder_all_open_it() {
    for _ in 0..5 {
        let parent = tempdir().unwrap();
        let folder = parent.path().join("new");
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| drop(open(&folder)))).collect();
            for thread in threads {
                thread.join().unwrap();
            }
        });
    }
}

#[tokio::test]
async fn nobody_else_may_read_the_files() {
    let parent = tempdir().unwrap();
    let folder = parent.path().join("a/b");
    let ledger = open(&folder);
    ledger.insert_jobs(&[job("a")]).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.iter().any(|file| file.ends_with("ledger.db-wal")), "the log is a file of its own: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    fs::set_permissions(folder.join("ledger.db"), PermissionsExt::from_mode(0o644)).unwrap();
    drop(open(&folder));
    assert_eq!(mode(&folder.join("ledger.db")), 0o600, "closed again at the next start");
}

#[tokio::test]
async fn an_empty_file_becomes_a_ledger_and_a_later_one_or_another_is_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    fs::write(&path, "").unwrap();
    open(folder.path()).ping().await.unwrap();

    let file = rusqlite::Connection::open(&path).unwrap();
    file.pragma_update(None, "user_version", 1000).unwrap();
    let refused = SqliteLedger::open(folder.path(), Arc::new(SystemClock)).err().unwrap();
    assert!(refused.to_string().contains("later version of this program"), "{refused}");

    let other = tempdir().unwrap();
    fs::write(other.path().join("ledger.db"), "this is no database, but some text that somebody wrote").unwrap();
    assert!(SqliteLedger::open(other.path(), Arc::new(SystemClock)).is_err());
    assert!(SqliteLedger::open(&path.join("below-a-file"), Arc::new(SystemClock)).is_err());
}

#[tokio::test]
async fn a_failed_write_says_nothing_of_its_values() {
    let folder = tempdir().unwrap();
    let ledger = open(folder.path());
    let refused = ledger.set_rollout_percent(Provider::Google, 101, &entry()).await.unwrap_err();
    let filter = AuditFilter { workspace: None, after: None, limit: 10 };
    assert_eq!(ledger.list_audit(&filter).await.unwrap(), [], "nothing is told of what was not done");
    assert!(!refused.to_string().contains("101"), "{refused}");
    let (secret, contents) = job("secret-key");
    let file = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
    let trigger = "CREATE TRIGGER refuses BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'refused'); END";
    file.execute_batch(trigger).unwrap();
    let failed = ledger.insert_jobs(&[(secret.clone(), contents.clone())]).await.unwrap_err();
    assert!(failed.to_string().contains("refused") && !failed.to_string().contains("secret"), "{failed}");
    file.execute_batch("DROP TRIGGER refuses").unwrap();
    ledger.insert_jobs(&[(secret.clone(), contents)]).await.unwrap();
    file.execute("UPDATE records SET body = '{\"job_id\":\"secret-key\"}' WHERE kind = 'JOB'", []).unwrap();
    let unreadable = ledger.jobs(&secret.workspace_id, &[secret.job_id]).await.unwrap_err();
    assert!(unreadable.to_string().contains("record") && !unreadable.to_string().contains("secret"), "{unreadable}");
    ledger.ping().await.unwrap();
}

#[tokio::test]
async fn the_same_job_twice_in_one_insert_is_taken() {
    let folder = tempdir().unwrap();
    let ledger = open(folder.path());
    let (one, contents) = job("a");
    let insert = ledger.insert_jobs(&[(one.clone(), contents.clone()), (one.clone(), contents)]).await.unwrap();
    assert_eq!((insert, ledger.jobs(&one.workspace_id, &[one.job_id]).await.unwrap()), (Insert::Taken, vec![None]));
}
