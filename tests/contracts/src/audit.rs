//! Behaviours of [`engine::ports::Audit`].

use domain::{AuditEntry, Job};
use engine::ports::{AuditFilter, AuditPosition, Insert, Save};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    sample_job,
    support::{Adapter, contents, end, entries, entry, error, held, insert, minute, save, workspace},
};

/// Entries are listed newest first, page by page, each workspace its own.
pub async fn lists_the_audit_newest_first_in_pages(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let (ours, other) = (workspace("audit", seed), workspace("unaudited", seed));
    let mut told: Vec<AuditEntry> =
        (0..25).map(|n| entry(Some(&ours), minute(now, i64::from(n / 3)), seed, n)).collect();
    for entry in &told {
        ledger.put_audit(entry).await.expect("writes");
        ledger.put_audit(entry).await.expect("the same again");
    }
    ledger.put_audit(&entry(Some(&other), now, seed, 99)).await.expect("writes");
    told.sort_by_key(|entry| std::cmp::Reverse((entry.at, entry.entry_id.to_string())));
    assert_eq!(entries(&ledger, Some(&ours)).await, told);
    for limit in [1, 7, 25, 100] {
        let mut pages: Vec<AuditEntry> = Vec::new();
        loop {
            let after = pages.last().map(|last| AuditPosition { at: last.at, entry_id: last.entry_id });
            let filter = AuditFilter { workspace: Some(ours.clone()), after, limit };
            let page = ledger.list_audit(&filter).await.expect("reads");
            assert!(page.len() <= limit, "at most as many as asked for");
            if page.is_empty() {
                break;
            }
            pages.extend(page);
            assert!(pages.len() <= 25, "paging comes to an end");
        }
        assert_eq!(pages, told, "pages of {limit} are the list, equal times or not");
    }
}

/// Every version of a job that is to be audited is, once, and no other.
pub async fn audits_each_version_of_a_job_once(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let ours = workspace("audited", seed);
    let job = sample_job(&ours, "a", now);
    insert(&ledger, &job).await;
    let again = ledger.insert_jobs(&[(job.clone(), contents("a"))]).await.expect("inserts");
    assert_eq!(again, Insert::Taken);
    assert_eq!(ledger.open_jobs(&ours, 10).await.expect("counts"), 1);
    let steps: [fn(&Job, Timestamp) -> Job; 5] = [
        |job, now| held(job, now),
        |job, now| job.failed(error(), now).expect("open"),
        |job, now| job.retried(now).expect("failed"),
        |job, now| job.nudged(now).expect("open"),
        |job, now| job.cancelled(now).expect("pending"),
    ];
    let mut versions = vec![job];
    for (n, step) in (1..).zip(steps) {
        let next = step(versions.last().expect("there is one"), minute(now, n));
        save(&ledger, &next).await;
        save(&ledger, &next).await;
        versions.push(next);
    }
    let stale = versions[1].failed(error(), minute(now, 9)).expect("open");
    assert_eq!(ledger.save(&stale).await.expect("saves"), Save::Stale);
    let mut expected: Vec<AuditEntry> = versions.iter().filter_map(Job::audit).collect();
    expected.reverse();
    assert_eq!(expected.len(), 4, "accepted, failed, retried, cancelled");
    assert_eq!(entries(&ledger, Some(&ours)).await, expected);
    assert_eq!(ledger.open_jobs(&ours, 10).await.expect("counts"), 0);
    let many: Vec<Job> = (0..5).map(|n| sample_job(&ours, &format!("open {n}"), now)).collect();
    for job in &many {
        insert(&ledger, job).await;
    }
    save(&ledger, &held(&many[0], now)).await;
    assert_eq!(ledger.open_jobs(&ours, 10).await.expect("counts"), 5, "claimed ones too");
    assert_eq!(ledger.open_jobs(&ours, 3).await.expect("counts"), 3, "no further than asked for");
    let mut many = many;
    many[0] = held(&many[0], now);
    end(&ledger, &many, now).await;
}
