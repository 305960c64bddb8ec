//! Every operation costs the same with many rows as with few, counted in steps of SQLite's virtual machine. A query
//! without an index, or a sort that an index should save, takes more. And a group of writes keeps the chains of its entries.

use std::sync::{
    atomic::{AtomicU64, Ordering},
    mpsc,
};

use contracts::sample_job;
use domain::{AuditBy, AuditEntry, AuditEvent, Job, JobError, JobErrorCode, Lease, PlanId, WorkspaceId};
use engine::ports::{
    Audit, AuditFilter, Contents, Ids as _, Insert, JobFilter, JobList, Jobs, Keys, Outbox, Plans, Position, Save,
    Sealed, Upkeep,
};
use jiff::SignedDuration;

use super::*;
use crate::{
    ledger::audited,
    system::{SystemClock, SystemIds},
};

/// A ledger that counts its steps.
struct Counted {
    ledger: SqliteLedger,
    steps: Arc<AtomicU64>,
    workspace: WorkspaceId,
    now: Timestamp,
    _folder: tempfile::TempDir,
}

impl Counted {
    /// A ledger with this many jobs, each with contents and audit, and as many keys. All but a few jobs have ended.
    async fn with(rows: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut writer, mut readers) = schema::open(folder.path()).unwrap();
        // The file is thrown away.
        writer.pragma_update(None, "synchronous", "off").unwrap();
        let steps = Arc::new(AtomicU64::new(0));
        for connection in std::iter::once(&mut writer).chain(&mut readers) {
            let steps = Arc::clone(&steps);
            let count = move || {
                steps.fetch_add(1, Ordering::Relaxed);
                false
            };
            connection.progress_handler(1, Some(count)).unwrap();
        }
        let threads = Threads::start(writer, readers).unwrap();
        let ledger = SqliteLedger { records: SqliteRecords { threads, clock: Arc::new(SystemClock) }, queue: None };
        let now = SystemClock.now();
        let counted = Self { ledger, steps, workspace: "local".parse().unwrap(), now, _folder: folder };
        let jobs: Vec<Job> = (0..rows).map(|place| counted.job(place)).collect();
        for jobs in jobs.chunks(100) {
            let new: Vec<_> = jobs.iter().map(|job| (job.clone(), contents())).collect();
            assert_eq!(counted.ledger.insert_jobs(&new).await.unwrap(), Insert::Done);
        }
        let saves = jobs.iter().filter(|job| job.client_request_id.as_str() >= "00010").map(async |job| {
            let claimed = counted.claimed(job);
            let is_odd = job.client_request_id.as_str().ends_with(['1', '3', '5', '7', '9']);
            let ended = if is_odd {
                claimed.completed(serde_json::json!({}), counted.now)
            } else {
                claimed.failed(error(), counted.now)
            };
            for next in [claimed, ended.unwrap()] {
                assert_eq!(counted.ledger.save(&next).await.unwrap(), Save::Done);
            }
        });
        futures_util::future::join_all(saves).await;
        let threads = &counted.ledger.records.threads;
        let keys = threads.write(move |connection, _| {
            let key = "INSERT INTO records (partition, kind, body) VALUES (?1, 'KEY', '{}')";
            let mut key = connection.prepare(key)?;
            (0..rows).try_for_each(|place| key.execute([format!("KEY#{place:012}")]).map(drop))?;
            Ok(Written::Done)
        });
        keys.await.unwrap();
        counted
    }

    /// The job with this number, each a second older than the one before.
    fn job(&self, place: usize) -> Job {
        let age = SignedDuration::from_secs(i64::try_from(place).unwrap());
        sample_job(&self.workspace, &format!("{place:05}"), self.now - age)
    }

    fn claimed(&self, job: &Job) -> Job {
        let lease = Lease { owner: SystemIds.uuid(), until: self.now + SignedDuration::from_secs(45) };
        job.claimed(lease, self.now).unwrap()
    }

    async fn steps<T, E: std::fmt::Debug>(&self, what: impl Future<Output = Result<T, E>>) -> u64 {
        let before = self.steps.load(Ordering::Relaxed);
        what.await.unwrap();
        self.steps.load(Ordering::Relaxed) - before
    }

    /// The cost of each operation.
    async fn costs(&self) -> Vec<(&'static str, u64)> {
        let (ledger, now) = (&self.ledger, self.now);
        let old = self.job(15);
        let after = Position::from(&old);
        let list = |list, after| {
            let filter = JobFilter { workspace: self.workspace.clone(), list, after, limit: 5 };
            async move { ledger.list_jobs(&filter).await.map(|page| assert_eq!(page.len(), 5)) }
        };
        let new = self.job(99_999);
        let claimed = self.claimed(&new);
        let audit = AuditFilter { workspace: Some(self.workspace.clone()), after: None, limit: 5 };
        vec![
            ("insert", self.steps(ledger.insert_jobs(&[(new.clone(), contents())])).await),
            ("jobs", self.steps(ledger.jobs(&self.workspace, &[old.job_id, new.job_id])).await),
            ("contents", self.steps(ledger.contents(old.job_id)).await),
            ("save", self.steps(ledger.save(&claimed)).await),
            ("first page", self.steps(list(JobList::All, None)).await),
            ("a page behind another", self.steps(list(JobList::All, Some(after))).await),
            ("first page of those that failed", self.steps(list(JobList::Failed, None)).await),
            ("a page of those that failed behind another", self.steps(list(JobList::Failed, Some(after))).await),
            ("open jobs", self.steps(ledger.open_jobs(&self.workspace, 100)).await),
            ("overdue jobs", self.steps(ledger.overdue_jobs(now + SignedDuration::from_hours(1), 5)).await),
            ("oldest unclaimed", self.steps(ledger.oldest_unclaimed()).await),
            ("void leases", self.steps(ledger.void_leases(now)).await),
            ("erase what has expired", self.steps(ledger.erase_expired(now)).await),
            ("audit", self.steps(ledger.list_audit(&audit)).await),
            ("plan", self.steps(ledger.plan(&self.workspace, PlanId(SystemIds.uuid()), now)).await),
            ("outbox", self.steps(ledger.outbox(&self.workspace, None, 5)).await),
            ("key", self.steps(self.key()).await),
            ("ping", self.steps(ledger.ping()).await),
        ]
    }

    /// Looks up a key whose body is no record: only the query counts.
    async fn key(&self) -> Result<(), LedgerError> {
        let read = self.ledger.key(&"000000000003".parse().unwrap()).await;
        assert!(read.is_err_and(|error| error.to_string().contains("invalid format")));
        Ok(())
    }
}

fn error() -> JobError {
    JobError { code: JobErrorCode::Internal, message: String::new(), retriable: false, remediation: String::new() }
}

fn contents() -> Contents {
    Contents(Sealed("sealed".to_owned()))
}

#[tokio::test]
async fn every_operation_costs_the_same_with_thirty_rows_as_with_three_thousand() {
    let (few, many) = (Counted::with(30).await.costs().await, Counted::with(3_000).await.costs().await);
    assert_eq!(few, many);
}

#[tokio::test]
async fn a_group_with_a_write_that_fails_leaves_its_chain_whole() {
    let Counted { ledger, workspace, now, .. } = &Counted::with(0).await;
    let entry = || AuditEntry::new(SystemIds.uuid(), Some(workspace.clone()), AuditEvent::PlanMade, AuditBy::Key, *now);
    let (release, held) = mpsc::channel::<()>();
    let threads = &ledger.records.threads;
    // The others gather behind this one, and make a group.
    let first = threads.write(move |_, _| {
        let _ = held.recv();
        Ok(Written::Done)
    });
    let (failing, at) = (audited(&entry()).unwrap(), now.as_microsecond());
    let fails = threads.write(move |connection, heads| {
        heads.add(connection, std::slice::from_ref(&failing), at)?;
        Err(Failure::new("no"))
    });
    let entries = [entry(), entry(), entry()];
    let [before, after, again] = entries.each_ref().map(|entry| ledger.put_audit(entry));
    let (_, before, fails, after, again, ()) =
        tokio::join!(first, before, fails, after, again, async { drop(release) });
    assert!(before.is_ok() && fails.is_err() && after.is_ok() && again.is_ok());
    let verdict = ledger.verify_audit(Some(workspace), None, *now).await.unwrap();
    assert_eq!((verdict.fit, verdict.tampering), (3, None));
    assert_eq!(verdict.head.chains[&CHAIN].0, 3);
    // What follows takes the head from the file.
    ledger.put_audit(&entry()).await.unwrap();
    let verdict = ledger.verify_audit(Some(workspace), None, *now).await.unwrap();
    assert_eq!((verdict.fit, verdict.tampering), (4, None));
}
