//! Behaviours of a ledger over time, for adapters that go by [`ManualClock`]: what has expired is not found, erased or
//! not.

use std::{sync::Arc, time::Duration};

use domain::{AuditBy, AuditEntry, AuditEvent, Job, JobErrorCode, Outcome, PlanId, Tampered, Terms};
use engine::ports::{AuditFilter, Clock, Insert, JobFilter, JobList, OutboxEntry, Save, StoredPlan};
use jiff::SignedDuration;
use serde_json::json;
use uuid::Uuid;

use crate::{
    ManualClock, sample_job,
    support::{Adapter, contents, entry, error, held, insert, save, sealed, unlinked, workspace},
};

const DAY: Duration = Duration::from_hours(24);
const SECOND: Duration = Duration::from_secs(1);

/// A record, and with it its key, is kept for 30 days after its job ended.
pub async fn keeps_records_for_30_days(ledger: Adapter, clock: Arc<ManualClock>, seed: Uuid) {
    for erase in [false, true] {
        let key = |name: &str| format!("{name} {erase}");
        let pass = async |time| pass(&ledger, &clock, time, erase).await;
        let workspace = workspace("records", seed);
        let open = sample_job(&workspace, &key("open"), clock.now());
        let job = sample_job(&workspace, &key("job"), clock.now());
        insert(&ledger, &open).await;
        insert(&ledger, &job).await;
        let ended = job.failed(error(), clock.now()).expect("open");
        save(&ledger, &ended).await;

        pass(almost(30 * DAY)).await;
        assert_eq!(find(&ledger, &job).await, Some(ended.clone()), "a record is there for 30 days");
        let again = sample_job(&workspace, &key("job"), clock.now());
        let taken = ledger.insert_jobs(&[(again, contents("again"))]).await.expect("inserts");
        assert_eq!(taken, Insert::Taken, "and holds its key as long");
        pass(SECOND).await;
        assert_eq!(find(&ledger, &job).await, None, "no longer");
        let filter = JobFilter { workspace: workspace.clone(), list: JobList::All, after: None, limit: 100 };
        let listed = ledger.list_jobs(&filter).await.expect("lists");
        assert!(!listed.iter().any(|listed| listed.job_id == job.job_id), "nor is it listed");
        let late = ended.retried(Terms::default(), clock.now()).expect("failed");
        assert_eq!(ledger.save(&late).await.expect("saves"), Save::Stale, "what has expired cannot be changed");
        assert_eq!(find(&ledger, &open).await, Some(open.clone()), "an open job is not lost, however old");
        assert_eq!(
            ledger.contents(open.job_id).await.expect("reads"),
            Some(contents(&key("open"))),
            "nor are its contents"
        );

        let again = sample_job(&workspace, &key("job"), clock.now());
        let insert = ledger.insert_jobs(&[(again.clone(), contents("again"))]).await.expect("inserts");
        assert_eq!(insert, Insert::Done, "the key is free again");
        assert_eq!(find(&ledger, &again).await, Some(again.clone()));
        assert_eq!(ledger.contents(again.job_id).await.expect("reads"), Some(contents("again")));
        let filter = AuditFilter { workspace: Some(workspace), after: None, limit: 100 };
        let audit = ledger.list_audit(&filter).await.expect("lists");
        let accepted =
            audit.iter().filter(|entry| entry.event == AuditEvent::JobAccepted && entry.job_id == Some(job.job_id));
        assert_eq!(accepted.count(), 2, "the audit tells of both");
        for job in [open, again] {
            save(&ledger, &job.failed(error(), clock.now()).expect("open")).await;
        }
    }
}

/// Contents are kept for 7 days after their job ended.
pub async fn keeps_contents_for_7_days(ledger: Adapter, clock: Arc<ManualClock>, seed: Uuid) {
    for erase in [false, true] {
        let key = |name: &str| format!("{name} {erase}");
        let pass = async |time| pass(&ledger, &clock, time, erase).await;
        let workspace = workspace("contents", seed);
        let there = async |job: &Job| {
            let contents = ledger.contents(job.job_id).await.expect("reads");
            let both =
                ledger.job_with_contents(&workspace, job.job_id).await.expect("reads").expect("the record is there");
            assert_eq!(both.1, contents, "both at once are the same");
            contents.is_some()
        };
        let [kept, retried, late] =
            ["kept", "retried", "late"].map(|name| sample_job(&workspace, &key(name), clock.now()));
        for job in [&kept, &retried, &late] {
            insert(&ledger, job).await;
        }
        pass(8 * DAY).await;
        assert!(there(&kept).await, "contents of an open job are kept");
        let kept = kept.failed(error(), clock.now()).expect("open");
        save(&ledger, &kept).await;
        let mut retried = retried.failed(error(), clock.now()).expect("open");
        save(&ledger, &retried).await;
        let claimed = held(&late, clock.now());
        let sending = claimed.sending(clock.now()).expect("claimed");
        let late = sending.unknown(error(), clock.now()).expect("sending");
        for version in [&claimed, &sending, &late] {
            save(&ledger, version).await;
        }
        pass(almost(7 * DAY)).await;
        assert!(there(&kept).await && there(&retried).await, "for 7 days after its end");
        retried = retried.retried(Terms::default(), clock.now()).expect("failed");
        save(&ledger, &retried).await;
        pass(SECOND).await;
        assert!(!there(&kept).await && !there(&late).await, "and no longer");
        assert!(find(&ledger, &kept).await.is_some(), "the record stays without them");
        assert!(there(&retried).await, "a retry keeps what it needs");
        let late = late.resolved(Outcome::NotSent, clock.now()).expect("unknown");
        assert_eq!(late.error.as_ref().map(|error| error.code), Some(JobErrorCode::NotSent));
        save(&ledger, &late).await;
        assert!(!there(&late).await, "what has expired does not come back with a later end");
        let late = late.retried(Terms::default(), clock.now()).expect("failed");
        save(&ledger, &late).await;
        assert!(!there(&late).await, "nor with a retry");
        pass(30 * DAY).await;
        assert!(there(&retried).await, "a retried job is open, and keeps its contents");
        for job in [retried, late] {
            save(&ledger, &job.failed(error(), clock.now()).expect("open")).await;
        }
    }
}

/// Which job was the last with a content is known for a day after it ended.
pub async fn knows_a_content_for_a_day(ledger: Adapter, clock: Arc<ManualClock>, seed: Uuid) {
    for erase in [false, true] {
        let pass = async |time| pass(&ledger, &clock, time, erase).await;
        let workspace = workspace("day", seed);
        let job = held(&sample_job(&workspace, &format!("sent {erase}"), clock.now()), clock.now());
        insert(&ledger, &job).await;
        let content = job.content_hash.clone().expect("a sample job has recipients");
        pass(2 * DAY).await;
        let sent = job.completed(json!({}), clock.now()).expect("it is held");
        save(&ledger, &sent).await;
        pass(almost(DAY)).await;
        let last = async || ledger.last_with_content(&workspace, &content, clock.now()).await.expect("reads");
        assert_eq!(last().await, Some(sent), "for a day");
        pass(SECOND).await;
        assert_eq!(last().await, None, "no longer");
    }
}

/// Plans, outbox and audit are kept for their time.
pub async fn keeps_the_rest_for_its_time(ledger: Adapter, clock: Arc<ManualClock>, seed: Uuid) {
    for erase in [false, true] {
        let key = |name: &str| format!("{name} {erase}");
        let pass = async |time| pass(&ledger, &clock, time, erase).await;
        let workspace = workspace("expiring", seed);
        let now = clock.now();
        let job = sample_job(&workspace, &key("outbox"), now);
        let expires_at = now + SignedDuration::from_hours(1);
        let entry = OutboxEntry {
            job_id: job.job_id,
            workspace: workspace.clone(),
            written_at: now,
            sealed: sealed("mail"),
            expires_at,
        };
        ledger.put_outbox(&entry).await.expect("a put");
        let plan = StoredPlan {
            plan_id: PlanId(job.job_id.0),
            workspace: workspace.clone(),
            sealed: sealed("plan"),
            expires_at,
        };
        let audit =
            AuditEntry::new(plan.plan_id.0, Some(workspace.clone()), AuditEvent::PlanMade, AuditBy::Keyless, now);
        ledger.put_plans(std::slice::from_ref(&plan), &audit).await.expect("a put");
        pass(almost(Duration::from_hours(1))).await;
        assert_eq!(ledger.outbox(&workspace, None, 10).await.expect("reads"), [entry]);
        assert_eq!(ledger.plan(&workspace, plan.plan_id, clock.now()).await.expect("reads"), Some(plan.clone()));
        pass(SECOND).await;
        assert_eq!(ledger.outbox(&workspace, None, 10).await.expect("reads"), [], "it has expired");
        assert_eq!(ledger.plan(&workspace, plan.plan_id, clock.now()).await.expect("reads"), None, "it has expired");

        let filter = AuditFilter { workspace: Some(workspace), after: None, limit: 10 };
        let told = async || unlinked(ledger.list_audit(&filter).await.expect("reads")).contains(&audit);
        pass(almost(399 * DAY + Duration::from_hours(23))).await;
        assert!(told().await, "an entry of the audit is there for 400 days");
        pass(SECOND).await;
        assert!(!told().await, "and no longer");
    }
}

/// An audit that has lost its oldest entries in due time is whole.
pub async fn misses_no_entry_that_has_expired(ledger: Adapter, clock: Arc<ManualClock>, seed: Uuid) {
    for erase in [false, true] {
        let workspace = workspace(if erase { "erased" } else { "expired" }, seed);
        for n in 0..60 {
            ledger.put_audit(&entry(Some(&workspace), clock.now(), seed, n)).await.expect("writes");
            pass(&ledger, &clock, DAY, erase).await;
        }
        let verify = async || ledger.verify_audit(Some(&workspace), None, clock.now()).await.expect("walks");
        let whole = verify().await;
        assert_eq!((whole.fit, &whole.tampering), (60, &None));
        // 30 of them are older than 400 days, then all.
        for (days, left) in [(369, 30), (29, 1), (2, 0)] {
            pass(&ledger, &clock, days * DAY, erase).await;
            let verdict = verify().await;
            assert_eq!((verdict.fit, &verdict.tampering), (left, &None), "after {days} days more");
            let with_log = ledger.verify_audit(Some(&workspace), Some(&whole.head), clock.now()).await.expect("walks");
            // The head has the last entry of each chain.
            let missing = (left < whole.head.chains.len() as u64).then_some(Tampered::Missing);
            let says = "what was logged, and is gone, could have been removed";
            assert_eq!(with_log.tampering.map(|tampering| tampering.how), missing, "{says}");
        }
        ledger.put_audit(&entry(Some(&workspace), clock.now(), seed, 61)).await.expect("writes");
        assert_eq!((verify().await.fit, verify().await.tampering), (1, None), "it goes on behind what has expired");
    }
}

/// Lets time pass, and erases what has expired.
async fn pass(ledger: &Adapter, clock: &ManualClock, time: Duration, erase: bool) {
    clock.advance(time);
    if erase {
        ledger.erase_expired(clock.now()).await.expect("erases");
    }
}

async fn find(ledger: &Adapter, job: &Job) -> Option<Job> {
    ledger.jobs(&job.workspace_id, &[job.job_id]).await.expect("reads").remove(0)
}

fn almost(time: Duration) -> Duration {
    time.saturating_sub(SECOND)
}
