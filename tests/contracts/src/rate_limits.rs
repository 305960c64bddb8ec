//! Behaviours of [`engine::ports::RateLimits`], and of the calls that count a request along.

use std::{sync::Arc, time::Duration};

use domain::{ApiKey, WorkspaceId};
use engine::ports::{Cache, Clock, Decision, RATE_LIMIT_WINDOW, REVOKED_FOR, RateLimit};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    ManualClock, sample_job,
    support::{at_once, workspace},
};

/// A key and its workspace have limits of their own, whichever call counts, under any concurrency.
pub async fn count_keys_and_workspaces(cache: Arc<dyn Cache>, now: Timestamp, seed: Uuid) {
    let key = |n: u8| {
        // The seed keeps runs apart, and the number the keys of one run.
        let mut random = [n; 64];
        random[1..17].copy_from_slice(seed.as_bytes());
        ApiKey::of(&random).id().clone()
    };
    let (ours, other) = (workspace("limits", seed), workspace("free", seed));
    let limit = |n: u8, workspace: &WorkspaceId| RateLimit {
        key: key(n),
        per_key: 20,
        workspace: workspace.clone(),
        per_workspace: 30,
    };
    let passed = async |limit: &RateLimit| cache.count(limit).await.expect("a count") == Decision::Allowed;
    let first = limit(1, &ours);
    // The minute may turn meanwhile; then the one before counts for almost all.
    let granted = at_once((0..64).map(|_| {
        let (cache, limit) = (cache.clone(), first.clone());
        async move { cache.count(&limit).await.expect("a count") == Decision::Allowed }
    }));
    let granted = granted.await.into_iter().filter(|free| *free).count();
    assert!((20..=21).contains(&granted), "of 64 at once as many as a key may: {granted}");
    let Decision::Refused { limit: 20, retry_after } = cache.count(&first).await.expect("a count") else {
        panic!("one too many")
    };
    assert!(!retry_after.is_zero() && retry_after <= RATE_LIMIT_WINDOW + RATE_LIMIT_WINDOW, "{retry_after:?}");
    let second = limit(2, &ours);
    let mut more = 0;
    while passed(&second).await {
        more += 1;
    }
    assert!((10..=11).contains(&more), "all keys of a workspace together, and what was refused does not count: {more}");
    assert!(matches!(cache.count(&second).await, Ok(Decision::Refused { limit: 30, .. })));
    assert!(passed(&limit(3, &other)).await, "another workspace is another");

    // In one with a claim and a look.
    let job = sample_job(&ours, "limited", now);
    let (results, decision) = cache.claim_keys(&[job.job_id], Some(&second)).await.expect("claims");
    assert!(results == [true] && decision != Decision::Allowed);
    let (kept, decision) = cache.cached_job(&job.workspace_id, job.job_id, Some(&second)).await.expect("a look");
    assert!(kept.is_none() && decision != Decision::Allowed);
    let fourth = limit(4, &other);
    for _ in 0..10 {
        let (_, decision) = cache.claim_keys(&[job.job_id], Some(&fourth)).await.expect("claims");
        assert_eq!(decision, Decision::Allowed);
        assert_eq!(
            cache.cached_job(&job.workspace_id, job.job_id, Some(&fourth)).await.expect("a look").1,
            Decision::Allowed
        );
    }
    assert!(
        matches!(
            cache.cached_job(&job.workspace_id, job.job_id, Some(&fourth)).await,
            Ok((None, Decision::Refused { .. }))
        ),
        "each counted"
    );
}

/// A revoked key is refused from now on, whichever call counts and whatever is left of its limit, and no other is.
pub async fn refuse_revoked_keys(cache: Arc<dyn Cache>, now: Timestamp, seed: Uuid) {
    let (ours, other) = (workspace("revoked", seed), workspace("others", seed));
    let limit = |n: u8, workspace: &WorkspaceId| {
        let mut random = [n; 64];
        random[1..17].copy_from_slice(seed.as_bytes());
        RateLimit { key: ApiKey::of(&random).id().clone(), per_key: 2, workspace: workspace.clone(), per_workspace: 9 }
    };
    let (revoked, beside, elsewhere) = (limit(1, &ours), limit(2, &ours), limit(3, &other));
    assert_eq!(cache.count(&revoked).await.expect("a count"), Decision::Allowed);
    for _ in 0..2 {
        cache.revoke(&revoked.workspace, &revoked.key).await.expect("a revocation");
    }
    let job = sample_job(&ours, "revoked", now);
    for _ in 0..20 {
        assert_eq!(cache.count(&revoked).await.expect("a count"), Decision::Revoked);
        let (_, decision) = cache.claim_keys(&[job.job_id], Some(&revoked)).await.expect("claims");
        assert_eq!(decision, Decision::Revoked);
        assert_eq!(
            cache.cached_job(&job.workspace_id, job.job_id, Some(&revoked)).await.expect("a look").1,
            Decision::Revoked
        );
    }
    for good in [&beside, &elsewhere] {
        assert_eq!(cache.count(good).await.expect("a count"), Decision::Allowed, "refused requests do not count");
    }
}

/// By then nobody goes by the key as it was.
pub async fn forget_revoked_keys_in_two_minutes(cache: Arc<dyn Cache>, clock: Arc<ManualClock>, seed: Uuid) {
    let workspace = workspace("forgotten", seed);
    let limit = RateLimit { key: ApiKey::of(&[8; 64]).id().clone(), per_key: 9, workspace, per_workspace: 9 };
    cache.revoke(&limit.workspace, &limit.key).await.expect("a revocation");
    clock.advance(REVOKED_FOR.saturating_sub(Duration::from_millis(1)));
    assert_eq!(cache.count(&limit).await.expect("a count"), Decision::Revoked);
    clock.advance(Duration::from_millis(1));
    assert_eq!(cache.count(&limit).await.expect("a count"), Decision::Allowed);
}

/// The previous minute counts by the part of it still inside the window.
pub async fn slide_with_the_clock(cache: Arc<dyn Cache>, clock: Arc<ManualClock>, seed: Uuid) {
    // Whatever was counted before is over.
    clock.advance(Duration::from_mins(2));
    let limit = RateLimit {
        key: ApiKey::of(&[9; 64]).id().clone(),
        per_key: 10,
        workspace: workspace("clock", seed),
        per_workspace: 100,
    };
    let granted = async || {
        let mut granted = 0;
        loop {
            match cache.count(&limit).await.expect("a count") {
                Decision::Allowed => granted += 1,
                Decision::Refused { retry_after, .. } => return (granted, retry_after),
                Decision::Revoked => panic!("nobody revoked it"),
            }
        }
    };
    clock.advance(Duration::from_millis(60_000 - clock.now().as_millisecond().rem_euclid(60_000).unsigned_abs()));
    let (all, wait) = granted().await;
    assert_eq!((all, wait), (10, Duration::from_secs(66)), "one of ten is over six seconds into the next minute");
    clock.advance(Duration::from_secs(65));
    assert_eq!(granted().await.0, 0);
    clock.advance(Duration::from_secs(1));
    assert_eq!(granted().await.0, 1);
    clock.advance(Duration::from_secs(24));
    assert_eq!(granted().await.0, 4, "half a minute later half of them are free");
    clock.advance(Duration::from_mins(2));
    assert_eq!(granted().await.0, 10);
}

/// A hold is of one account, and is only ever made longer.
pub async fn hold_accounts(cache: Arc<dyn Cache>, now: Timestamp, seed: Uuid) {
    let (ours, other) = (format!("W#hold-{seed}#google#a"), format!("W#hold-{seed}#google#b"));
    let job = sample_job(&workspace("hold", seed), "held", now);
    let held = async |account: &str| cache.put_claimed(&job, account).await.expect("a put");
    let minutes = async |account: &str| held(account).await.as_secs().div_ceil(60);
    assert_eq!(minutes(&ours).await, 0);
    for (wait, expected) in [(10, 10), (1, 10), (0, 10), (20, 20), (24 * 60, 24 * 60)] {
        cache.hold(&ours, Duration::from_mins(wait)).await.expect("a hold");
        assert_eq!(minutes(&ours).await, expected, "{wait} minutes");
    }
    assert_eq!(minutes(&other).await, 0, "another account is another");
    assert_eq!(
        cache.cached_job(&job.workspace_id, job.job_id, None).await.expect("a look").0,
        Some(job),
        "the job was put"
    );
}

/// A hold ends by itself.
pub async fn end_holds_with_the_clock(cache: Arc<dyn Cache>, clock: Arc<ManualClock>, seed: Uuid) {
    let account = format!("W#hold-{seed}#google#a");
    let job = sample_job(&workspace("hold", seed), "held", clock.now());
    cache.hold(&account, Duration::from_secs(30)).await.expect("a hold");
    clock.advance(Duration::from_secs(20));
    assert_eq!(cache.put_claimed(&job, &account).await.expect("a put"), Duration::from_secs(10));
    clock.advance(Duration::from_secs(10));
    assert_eq!(cache.put_claimed(&job, &account).await.expect("a put"), Duration::ZERO);
}
