use std::{collections::BTreeSet, sync::Arc};

use domain::{
    ActorHash, Allowlist, ApiKey, AuditBy, AuditEntry, AuditEvent, Evidence, Job, JobError, JobErrorCode, JobId,
    JobStatus, KeyRecord, Lease, PlanId, Provider, Scope, State, WorkspaceId, WorkspaceSettings,
};
use engine::ports::{AuditFilter, AuditPosition, Insert, JobFilter, Ledger, OutboxEntry, Position, Save, StoredPlan};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use uuid::Uuid;

use crate::{
    CountingIds, sample_job,
    support::{at_once, contents, ids, sealed, workspace},
};

type Adapter = Arc<dyn Ledger>;

/// What every [`Ledger`] does: every write on its condition only, under any concurrency. `now` is
/// about the ledger's time; what the suite writes lies within minutes of it.
pub async fn ledger(ledger: Adapter, now: Timestamp, seed: Uuid) {
    ledger.ping().await.expect("the ledger answers");
    inserts(&ledger, now, seed).await;
    saves(&ledger, now, seed).await;
    lists(&ledger, now, seed).await;
    open_jobs(&ledger, now, seed).await;
    unclaimed_jobs(&ledger, now, seed).await;
    plans_and_outbox(&ledger, now, seed).await;
    rollout(&ledger, now, seed).await;
    settings(&ledger, now, seed).await;
    audit(&ledger, now, seed).await;
    audited(&ledger, now, seed).await;
    keys(&ledger, now, seed).await;
    crate::connections::connections(&ledger, now, seed).await;
}

/// What [`Ledger::void_leases`] does; for a ledger on which nobody else works.
pub async fn ledger_void_leases(ledger: Adapter, now: Timestamp, seed: Uuid) {
    let workspace = workspace("leases", seed);
    let queued = sample_job(&workspace, "queued", now);
    let waiting = sample_job(&workspace, "waiting", now).released(minute(now, 9), now).expect("it is open");
    let claimed = held(&sample_job(&workspace, "claimed", now), now);
    let evidence = Evidence { draft_id: "d1".to_owned(), internet_message_id: None };
    let prepared = held(&sample_job(&workspace, "prepared", now), now).prepared(evidence, now).expect("allowed");
    let sending = held(&sample_job(&workspace, "sending", now), now).sending(now).expect("allowed");
    let ended = held(&sample_job(&workspace, "ended", now), now).completed(json!({}), now).expect("allowed");
    let jobs = [queued, waiting, claimed, prepared, sending, ended];
    for job in &jobs {
        insert(&ledger, job).await;
    }
    let later = minute(now, 1);
    let voided = ledger.void_leases(later).await.expect("voids");
    assert!(voided >= 3, "it says how many leases there were: {voided}");
    let after = ledger.jobs(&ids(&jobs)).await.expect("reads");
    let after: Vec<Job> = after.into_iter().map(|job| job.expect("it is there")).collect();
    for (job, was) in after.iter().zip(&jobs) {
        let key = job.client_request_id.as_str();
        assert_eq!(job.lease, None, "no lease is left: {key}");
        if was.lease.is_none() {
            assert_eq!(job, was, "a job without one is left as it was: {key}");
            continue;
        }
        let state = if was.state == State::Claimed { State::Queued } else { was.state };
        assert_eq!(
            (job.state, &job.evidence),
            (state, &was.evidence),
            "what may have happened is not forgotten: {key}"
        );
        assert_eq!((job.revision, job.touched_at), (was.revision + 1, later), "it is a new version: {key}");
        assert_eq!(job.not_before, None, "a worker may take it up at once: {key}");
        assert_eq!(ledger.save(&was.failed(error(), now).expect("allowed")).await.expect("saves"), Save::Stale);
    }
    for job in after.iter().filter(|job| !job.state.has_ended()) {
        save(&ledger, &job.failed(error(), later).expect("it is open")).await;
    }
}

async fn inserts(ledger: &Adapter, now: Timestamp, seed: Uuid) {
    let workspace = workspace("insert", seed);
    let jobs: Vec<Job> = (0..20).map(|n| sample_job(&workspace, &format!("{n}"), now)).collect();
    let with_contents = |jobs: &[Job]| -> Vec<_> {
        jobs.iter().map(|job| (job.clone(), contents(job.client_request_id.as_str()))).collect()
    };
    assert_eq!(ledger.insert_jobs(&[]).await.expect("inserts"), Insert::Done);
    assert_eq!(ledger.jobs(&[]).await.expect("reads"), []);
    assert_eq!(ledger.insert_jobs(&with_contents(&jobs[..18])).await.expect("inserts"), Insert::Done);
    // The first and last are new, the one between is not: neither is written.
    let mixed = [jobs[18].clone(), jobs[3].cancelled(now).expect("pending"), jobs[19].clone()];
    assert_eq!(ledger.insert_jobs(&with_contents(&mixed)).await.expect("inserts"), Insert::Taken);
    let found = ledger.jobs(&ids(&[jobs[19].clone(), jobs[3].clone(), jobs[18].clone(), jobs[0].clone()])).await;
    let expected = [None, Some(jobs[3].clone()), None, Some(jobs[0].clone())];
    assert_eq!(found.expect("reads"), expected, "all or none, found in the order asked for");
    assert_eq!(ledger.contents(jobs[18].job_id).await.expect("reads"), None, "all or none, contents too");
    assert_eq!(ledger.contents(jobs[7].job_id).await.expect("reads"), Some(contents("7")));

    let long = sample_job(&workspace, "long", now);
    let large = contents(&"x".repeat(350 * 1024));
    assert_eq!(ledger.insert_jobs(&[(long.clone(), large.clone())]).await.expect("inserts"), Insert::Done);
    assert_eq!(ledger.contents(long.job_id).await.expect("reads"), Some(large), "256 KiB, sealed, fit");

    let contested = sample_job(&workspace, "contested", now);
    let attempts = (0..64).map(|n| {
        let (ledger, mut job) = (ledger.clone(), contested.clone());
        job.traceparent = Some(format!("{n}"));
        async move {
            let insert = ledger.insert_jobs(&[(job.clone(), contents(&format!("{n}")))]).await.expect("inserts");
            (insert == Insert::Done).then_some(job)
        }
    });
    let winners: Vec<Job> = at_once(attempts).await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "of 64 inserts of one job at once exactly one is done");
    let stored = ledger.jobs(&[contested.job_id]).await.expect("reads").remove(0).expect("it was inserted");
    assert_eq!(stored, winners[0], "and it is the one that was told so");
    let number = stored.traceparent.clone().unwrap_or_default();
    assert_eq!(ledger.contents(contested.job_id).await.expect("reads"), Some(contents(&number)), "with its contents");
    let both = ledger.job_with_contents(contested.job_id).await.expect("reads");
    assert_eq!(both, Some((stored.clone(), Some(contents(&number)))), "both at once are the same");
    let both = ledger.job_with_contents(jobs[18].job_id).await.expect("reads");
    assert_eq!(both, None, "what was not inserted is not there");
    end(ledger, &jobs[..18], now).await;
    end(ledger, &[long, stored], now).await;
}

async fn saves(ledger: &Adapter, now: Timestamp, seed: Uuid) {
    let workspace = workspace("save", seed);
    let first = sample_job(&workspace, "a", now);
    assert_eq!(ledger.save(&held(&first, now)).await.expect("saves"), Save::Stale, "there is no such job");
    assert_eq!(ledger.jobs(&[first.job_id]).await.expect("reads"), [None], "a save does not insert");
    insert(ledger, &first).await;

    let attempts = (0..32).map(|n| {
        let (ledger, job) = (ledger.clone(), first.clone());
        let lease = Lease { owner: Uuid::from_u128(n), until: minute(now, 5) };
        async move {
            let job = job.claimed(lease, now).expect("it can be claimed");
            (ledger.save(&job).await.expect("saves") == Save::Done).then_some(job)
        }
    });
    let winners: Vec<Job> = at_once(attempts).await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1, "of 32 versions over the same one exactly one is done");
    let claimed = winners[0].clone();
    assert_eq!(ledger.jobs(&[first.job_id]).await.expect("reads"), [Some(claimed.clone())]);

    assert_eq!(ledger.save(&claimed).await.expect("saves"), Save::Done, "a repeat of the same version is done");
    let mut other = claimed.clone();
    other.lease = Some(Lease { owner: Uuid::from_u128(99), until: minute(now, 5) });
    assert_eq!(ledger.save(&other).await.expect("saves"), Save::Stale, "another of the same number is not");
    let sending = claimed.sending(now).expect("allowed");
    let done = sending.completed(json!({ "message_id": "m1", "n": 0.1, "nested": [null, "日本"] }), minute(now, 1));
    let done = done.expect("allowed");
    assert_eq!(ledger.save(&done).await.expect("saves"), Save::Stale, "no version is left out");
    save(ledger, &sending).await;
    assert_eq!(ledger.save(&claimed).await.expect("saves"), Save::Stale, "an older version is not written again");
    save(ledger, &done).await;
    assert_eq!(ledger.jobs(&[first.job_id]).await.expect("reads"), [Some(done.clone())], "it reads back equal");
    assert_eq!(ledger.contents(first.job_id).await.expect("reads"), Some(contents("a")), "contents outlast the end");

    let again = sample_job(&workspace, "a", minute(now, 2));
    let insert = ledger.insert_jobs(&[(again, contents("again"))]).await.expect("inserts");
    assert_eq!(insert, Insert::Taken, "a job that has ended still holds its key");
}

async fn lists(ledger: &Adapter, now: Timestamp, seed: Uuid) {
    let (ours, other) = (workspace("list", seed), workspace("foreign", seed));
    // Five times, five jobs each.
    let mut jobs: Vec<Job> =
        (0..25).map(|n| sample_job(&ours, &format!("{n}"), minute(now, -i64::from(n % 5)))).collect();
    let foreign = sample_job(&other, "0", now);
    for job in jobs.iter().chain([&foreign]) {
        insert(ledger, job).await;
    }
    for job in jobs.iter_mut().take(10) {
        *job = job.cancelled(now).expect("pending");
        save(ledger, job).await;
    }
    for job in jobs.iter_mut().skip(10).take(4) {
        *job = held(job, now);
        save(ledger, job).await;
    }
    let listed = |status, limit, after| {
        let filter = JobFilter { workspace: ours.clone(), status, after, limit };
        async move { ledger.list_jobs(&filter).await.expect("lists") }
    };
    let all = listed(None, 100, None).await;
    let set = |jobs: &[Job]| ids(jobs).into_iter().collect::<BTreeSet<JobId>>();
    assert_eq!((all.len(), set(&all)), (25, set(&jobs)), "all of the workspace's jobs, and no other's");
    assert!(all.is_sorted_by(|a, b| a.created_at >= b.created_at), "newest first");
    assert!(all.iter().all(|job| jobs.contains(job)), "in their newest version");
    for limit in [1, 3, 5, 24, 25] {
        let mut pages: Vec<Job> = Vec::new();
        loop {
            let after = pages.last().map(|last| Position { created_at: last.created_at, job_id: last.job_id });
            let page = listed(None, limit, after).await;
            assert!(page.len() <= limit, "at most as many as asked for");
            if page.is_empty() {
                break;
            }
            pages.extend(page);
            assert!(pages.len() <= 25, "paging comes to an end");
        }
        assert_eq!(ids(&pages), ids(&all), "pages of {limit} are the list, equal times or not");
    }
    for (status, count) in
        [(JobStatus::Error, 10), (JobStatus::Running, 4), (JobStatus::Pending, 11), (JobStatus::Completed, 0)]
    {
        let some = listed(Some(status), 100, None).await;
        let expected: Vec<Job> = all.iter().filter(|job| job.state.status() == status).cloned().collect();
        assert_eq!((some.len(), ids(&some)), (count, ids(&expected)), "of this status: {status:?}");
        if let [first, rest @ ..] = &some[..] {
            let after = Position { created_at: first.created_at, job_id: first.job_id };
            assert_eq!(ids(&listed(Some(status), 100, Some(after)).await), ids(rest), "pages of one status go on, too");
        }
    }
    jobs.retain(|job| !job.state.has_ended());
    end(ledger, &jobs, now).await;
    end(ledger, &[foreign], now).await;
}

async fn open_jobs(ledger: &Adapter, now: Timestamp, seed: Uuid) {
    let workspace = workspace("open", seed);
    let mut jobs: Vec<Job> =
        (0..6).map(|n| sample_job(&workspace, &format!("{n}"), minute(now, -60 + i64::from(n)))).collect();
    for job in jobs.iter().rev() {
        insert(ledger, job).await;
    }
    let untouched = async |before| {
        let jobs = ledger.overdue_jobs(before, 10_000).await.expect("reads");
        assert!(jobs.is_sorted_by_key(Job::due_at), "oldest first");
        jobs.into_iter().filter(|job| job.workspace_id == workspace).collect::<Vec<Job>>()
    };
    assert_eq!(untouched(jobs[3].due_at()).await, jobs[..3], "untouched since then: not one touched at the very time");
    let few = ledger.overdue_jobs(now, 2).await.expect("reads");
    assert_eq!(few.len(), 2, "no more than asked for");

    jobs[0] = held(&jobs[0], now);
    save(ledger, &jobs[0]).await;
    assert_eq!(untouched(now).await, jobs[1..], "a save touches");
    let before = minute(now, 1);
    assert_eq!(untouched(before).await.len(), 6, "leased, but touched by nobody since");
    save(ledger, &jobs[1].cancelled(now).expect("pending")).await;
    jobs.remove(1);
    assert_eq!(
        ids(&untouched(before).await),
        [ids(&jobs[1..]), ids(&jobs[..1])].concat(),
        "what has ended is not open"
    );
    end(ledger, &jobs, now).await;
    assert_eq!(untouched(before).await, []);
}

async fn unclaimed_jobs(ledger: &Adapter, now: Timestamp, seed: Uuid) {
    let workspace = workspace("unclaimed", seed);
    let oldest = async || ledger.oldest_unclaimed().await.expect("reads");
    let before = oldest().await;
    // Longer ago than what anybody else has in there.
    let long_ago = |minutes: i64| minute(now, -1_000_000 + minutes);
    let [first, second] = [("first", 0), ("second", 1)].map(|(key, at)| sample_job(&workspace, key, long_ago(at)));
    for job in [&second, &first] {
        insert(ledger, job).await;
    }
    assert_eq!(oldest().await, Some(long_ago(0)));
    let reminded = first.reminded(now).expect("open");
    save(ledger, &reminded).await;
    assert_eq!(oldest().await, Some(long_ago(0)), "to be reminded of is not to be claimed");
    let claimed = held(&reminded, now);
    save(ledger, &claimed).await;
    assert_eq!(oldest().await, Some(long_ago(1)));
    let waiting = claimed.released(minute(now, 5), now).expect("open");
    save(ledger, &waiting).await;
    assert_eq!(oldest().await, Some(long_ago(1)), "what waits after a worker had it was claimed");
    let cancelled = second.cancelled(now).expect("pending");
    save(ledger, &cancelled).await;
    assert_eq!(oldest().await, before, "what has ended waits for nobody");
    let retried = cancelled.retried(long_ago(2)).expect("failed");
    save(ledger, &retried).await;
    assert_eq!(oldest().await, Some(long_ago(2)), "a retry waits since it was asked for");
    end(ledger, &[waiting, retried], now).await;
    assert_eq!(oldest().await, before);
}

async fn plans_and_outbox(ledger: &Adapter, now: Timestamp, seed: Uuid) {
    let (ours, other) = (workspace("plan", seed), workspace("foreign", seed));
    let new_ids = CountingIds::new(seed.as_u64_pair().0);
    let plan = StoredPlan {
        plan_id: PlanId(engine::ports::Ids::uuid(&new_ids)),
        workspace: ours.clone(),
        sealed: sealed("plan"),
        expires_at: minute(now, 60),
    };
    ledger.put_plan(&plan, &entry(Some(&ours), now, seed, 1)).await.expect("a put");
    ledger.put_plan(&plan, &entry(Some(&ours), now, seed, 1)).await.expect("a repeated put");
    let just_before = plan.expires_at - SignedDuration::from_millis(1);
    assert_eq!(ledger.plan(&ours, plan.plan_id, just_before).await.expect("reads"), Some(plan.clone()));
    assert_eq!(ledger.plan(&ours, plan.plan_id, plan.expires_at).await.expect("reads"), None, "it has expired");
    assert_eq!(ledger.plan(&other, plan.plan_id, now).await.expect("reads"), None, "another workspace's is not found");
    let unknown = PlanId(engine::ports::Ids::uuid(&new_ids));
    assert_eq!(ledger.plan(&ours, unknown, now).await.expect("reads"), None);

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
    assert_eq!(ledger.outbox(&ours, 100).await.expect("reads"), entries, "once per job, newest first");
    assert_eq!(ledger.outbox(&ours, 2).await.expect("reads"), entries[..2], "no more than asked for");
    assert_eq!(ledger.outbox(&other, 100).await.expect("reads"), [], "another workspace's outbox is another");

    let contested = entries[0].clone();
    let workspace = workspace("outbox", seed);
    at_once((0..16).map(|n| {
        let (ledger, mut entry) = (ledger.clone(), contested.clone());
        entry.job_id = sample_job(&workspace, "contested", now).job_id;
        (entry.workspace, entry.written_at) = (workspace.clone(), minute(now, n));
        async move { ledger.put_outbox(&entry).await.expect("a put") }
    }))
    .await;
    assert_eq!(ledger.outbox(&workspace, 100).await.expect("reads").len(), 1, "of 16 at once one stays");
}

async fn keys(ledger: &Adapter, now: Timestamp, seed: Uuid) {
    let make = |n: u8| {
        let mut random = [n; 64];
        random[..16].copy_from_slice(seed.as_bytes());
        let key = ApiKey::of(&random);
        KeyRecord {
            key_id: key.id().clone(),
            workspace_id: workspace("keys", seed),
            scopes: BTreeSet::from([Scope::ActionsPreview, Scope::MetricsRead]),
            bound_actor: Some(ActorHash::of(&workspace("keys", seed), &"ana".parse().expect("an actor id"))),
            allow: Some(std::iter::once("gmail.send".parse().expect("an action")).collect()),
            secret_sha256: key.secret_sha256(),
            created_at: minute(now, i64::from(n)),
            revoked_at: None,
        }
    };
    let (first, mut other) = (make(1), make(2));
    other.key_id = "zzzzzzzzzzz0".parse().expect("a key's id");
    assert_eq!(ledger.key(&first.key_id).await.expect("reads"), None);
    assert!(ledger.put_key(&first).await.expect("writes"));
    assert!(ledger.key(&first.key_id).await.expect("reads").is_some_and(|key| key == first));
    let stranger = KeyRecord { workspace_id: workspace("strangers", seed), ..first.clone() };
    assert!(!ledger.put_key(&stranger).await.expect("writes"), "an id is given once");
    assert_eq!(ledger.key(&first.key_id).await.expect("reads"), Some(first.clone()));
    // Another run of the suite may have left it.
    ledger.put_key(&other).await.expect("writes");
    let listed = ledger.keys().await.expect("reads");
    assert!(listed.contains(&first) && listed.iter().any(|key| key.key_id == other.key_id));
    assert!(listed.is_sorted_by_key(|key| (key.created_at, key.key_id.clone())), "oldest first");

    assert!(ledger.revoke_key(&first.key_id, minute(now, 3)).await.expect("writes"));
    assert!(ledger.revoke_key(&first.key_id, minute(now, 4)).await.expect("writes"), "once more changes nothing");
    let revoked = ledger.key(&first.key_id).await.expect("reads").expect("it is still there");
    assert_eq!(revoked, KeyRecord { revoked_at: Some(minute(now, 3)), ..first.clone() });
    let unknown = "000000000000".parse().expect("a key's id");
    assert!(!ledger.revoke_key(&unknown, now).await.expect("writes"), "there is no such key");
    let told = entries(ledger, Some(&revoked.workspace_id)).await;
    let of_first = [revoked.audit_of_end(minute(now, 3)), revoked.audit_of_making()];
    assert!(of_first.iter().all(|entry| told.contains(entry)), "both are audited, with the time they have");
    assert_eq!(told.iter().filter(|entry| entry.key_id.as_ref() == Some(&revoked.key_id)).count(), 2);
}

async fn rollout(ledger: &Adapter, now: Timestamp, seed: Uuid) {
    let before = ledger.rollout_percent(Provider::Google).await.expect("reads");
    let microsoft = ledger.rollout_percent(Provider::Microsoft).await.expect("reads");
    for percent in [0, 37, 100] {
        ledger.set_rollout_percent(Provider::Google, percent, &entry(None, now, seed, percent)).await.expect("sets");
        assert_eq!(ledger.rollout_percent(Provider::Google).await.expect("reads"), Some(percent));
    }
    let unchanged = ledger.rollout_percent(Provider::Microsoft).await.expect("reads");
    assert_eq!(unchanged, microsoft, "each provider has its own");
    let told = entries(ledger, None).await;
    assert!(told.contains(&entry(None, now, seed, 37)), "a change is audited, for no workspace");
    ledger
        .set_rollout_percent(Provider::Google, before.unwrap_or(100), &entry(None, now, seed, 101))
        .await
        .expect("sets");
}

async fn settings(ledger: &Adapter, now: Timestamp, seed: Uuid) {
    let (ours, other) = (workspace("settings", seed), workspace("unsettled", seed));
    assert_eq!(ledger.workspace(&ours).await.expect("reads"), None);
    let only = |action: &str| std::iter::once(action.parse().expect("an action")).collect();
    for (n, allow) in [Some(only("gmail.send")), Some(Allowlist::default()), None].into_iter().enumerate() {
        let settings = WorkspaceSettings { allow };
        let entry = entry(Some(&ours), now, seed, u8::try_from(n).expect("few"));
        ledger.put_workspace(&ours, &settings, &entry).await.expect("writes");
        assert_eq!(ledger.workspace(&ours).await.expect("reads"), Some(settings));
        assert!(entries(ledger, Some(&ours)).await.contains(&entry));
    }
    assert_eq!(ledger.workspace(&other).await.expect("reads"), None, "each workspace has its own");
}

/// Entries are listed newest first, page by page, each workspace's for itself.
async fn audit(ledger: &Adapter, now: Timestamp, seed: Uuid) {
    let (ours, other) = (workspace("audit", seed), workspace("unaudited", seed));
    let mut told: Vec<AuditEntry> =
        (0..25).map(|n| entry(Some(&ours), minute(now, i64::from(n / 3)), seed, n)).collect();
    for entry in &told {
        ledger.put_audit(entry).await.expect("writes");
        ledger.put_audit(entry).await.expect("the same again");
    }
    ledger.put_audit(&entry(Some(&other), now, seed, 99)).await.expect("writes");
    told.sort_by_key(|entry| std::cmp::Reverse((entry.at, entry.entry_id.to_string())));
    assert_eq!(entries(ledger, Some(&ours)).await, told);
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

/// Every version of a job and a key that is to be audited is, whoever writes it, and once; no other is.
async fn audited(ledger: &Adapter, now: Timestamp, seed: Uuid) {
    let ours = workspace("audited", seed);
    let job = sample_job(&ours, "a", now);
    insert(ledger, &job).await;
    let again = ledger.insert_jobs(&[(job.clone(), contents("a"))]).await.expect("inserts");
    assert_eq!(again, Insert::Taken);
    assert_eq!(ledger.open_jobs(&ours, 10).await.expect("counts"), 1);
    let steps: [fn(&Job, Timestamp) -> Job; 5] = [
        |job, now| held(job, now),
        |job, now| job.failed(error(), now).expect("open"),
        |job, now| job.retried(now).expect("failed"),
        |job, now| job.reminded(now).expect("open"),
        |job, now| job.cancelled(now).expect("pending"),
    ];
    let mut versions = vec![job];
    for (n, step) in (1..).zip(steps) {
        let next = step(versions.last().expect("there is one"), minute(now, n));
        save(ledger, &next).await;
        save(ledger, &next).await;
        versions.push(next);
    }
    let stale = versions[1].failed(error(), minute(now, 9)).expect("open");
    assert_eq!(ledger.save(&stale).await.expect("saves"), Save::Stale);
    let mut expected: Vec<AuditEntry> = versions.iter().filter_map(Job::audit).collect();
    expected.reverse();
    assert_eq!(expected.len(), 4, "accepted, failed, retried, cancelled");
    assert_eq!(entries(ledger, Some(&ours)).await, expected);
    assert_eq!(ledger.open_jobs(&ours, 10).await.expect("counts"), 0);
    let many: Vec<Job> = (0..5).map(|n| sample_job(&ours, &format!("open {n}"), now)).collect();
    for job in &many {
        insert(ledger, job).await;
    }
    save(ledger, &held(&many[0], now)).await;
    assert_eq!(ledger.open_jobs(&ours, 10).await.expect("counts"), 5, "claimed ones too");
    assert_eq!(ledger.open_jobs(&ours, 3).await.expect("counts"), 3, "no further than asked for");
    let mut many = many;
    many[0] = held(&many[0], now);
    end(ledger, &many, now).await;
}

/// An entry that this suite makes.
fn entry(workspace: Option<&WorkspaceId>, at: Timestamp, seed: Uuid, n: u8) -> AuditEntry {
    let mut id = seed.into_bytes();
    id[15] = id[15].wrapping_add(n);
    id[0] = workspace.map_or(0, |workspace| workspace.as_str().as_bytes()[0]);
    id[1] = workspace.map_or(0, |workspace| workspace.as_str().as_bytes()[2]);
    let event = AuditEvent::WorkspaceChanged;
    let mut entry = AuditEntry::new(Uuid::from_bytes(id), workspace.cloned(), event, AuditBy::CommandLine, at);
    entry.value = Some(n.to_string());
    entry
}

async fn entries(ledger: &Adapter, workspace: Option<&WorkspaceId>) -> Vec<AuditEntry> {
    let filter = AuditFilter { workspace: workspace.cloned(), after: None, limit: 100 };
    ledger.list_audit(&filter).await.expect("reads")
}

pub(crate) async fn insert(ledger: &Adapter, job: &Job) {
    let insert = ledger.insert_jobs(&[(job.clone(), contents(job.client_request_id.as_str()))]).await;
    assert_eq!(insert.expect("inserts"), Insert::Done, "a new job is written");
}

pub(crate) async fn save(ledger: &Adapter, job: &Job) {
    assert_eq!(ledger.save(job).await.expect("saves"), Save::Done, "the next version is written");
}

/// Ends open jobs, so that nothing of the suite is left for a sweeper.
async fn end(ledger: &Adapter, jobs: &[Job], now: Timestamp) {
    for job in jobs {
        save(ledger, &job.failed(error(), now).expect("it is open")).await;
    }
}

pub(crate) fn held(job: &Job, now: Timestamp) -> Job {
    let lease = Lease { owner: Uuid::from_u128(7), until: minute(now, 5) };
    job.claimed(lease, now).expect("it can be claimed")
}

pub(crate) fn error() -> JobError {
    JobError {
        code: JobErrorCode::ProviderRejected,
        message: "The provider refused.".to_owned(),
        retriable: true,
        remediation: "Try again.".to_owned(),
    }
}

fn minute(now: Timestamp, minutes: i64) -> Timestamp {
    now + SignedDuration::from_mins(minutes)
}
