//! Behaviours of [`engine::ports::Outbox`].

use engine::ports::{OutboxEntry, Position};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    sample_job,
    support::{Adapter, at_once, minute, sealed, workspace},
};

/// The outbox has one entry per job, newest first, each workspace its own.
pub async fn keeps_one_entry_per_job(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let (ours, other) = (workspace("outbox", seed), workspace("foreign", seed));
    let entries: Vec<OutboxEntry> = (0..6)
        .map(|n| OutboxEntry {
            job_id: sample_job(&ours, &format!("{n}"), now).job_id,
            workspace: ours.clone(),
            written_at: minute(now, -n),
            sealed: sealed(&format!("mail {n}")),
            expires_at: minute(now, 60),
        })
        .collect();
    for entry in entries.iter().rev() {
        ledger.put_outbox(entry).await.expect("a put");
    }
    let mut repeated = entries[5].clone();
    (repeated.sealed, repeated.written_at) = (sealed("other bytes"), minute(now, 1));
    ledger.put_outbox(&repeated).await.expect("a repeated put");
    assert_eq!(ledger.outbox(&ours, None, 100).await.expect("reads"), entries, "once per job, newest first");
    assert_eq!(ledger.outbox(&ours, None, 2).await.expect("reads"), entries[..2], "no more than asked for");
    let after = Some(Position::from(&entries[3]));
    assert_eq!(ledger.outbox(&ours, after, 100).await.expect("reads"), entries[4..], "what is older than one");
    assert_eq!(ledger.outbox(&other, None, 100).await.expect("reads"), [], "another workspace's outbox is another");

    let contested = entries[0].clone();
    let workspace = workspace("contested", seed);
    at_once((0..16).map(|n| {
        let (ledger, mut entry) = (ledger.clone(), contested.clone());
        entry.job_id = sample_job(&workspace, "contested", now).job_id;
        (entry.workspace, entry.written_at) = (workspace.clone(), minute(now, n));
        async move { ledger.put_outbox(&entry).await.expect("a put") }
    }))
    .await;
    assert_eq!(ledger.outbox(&workspace, None, 100).await.expect("reads").len(), 1, "of 16 at once one stays");
}
