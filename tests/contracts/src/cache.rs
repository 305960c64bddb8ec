use std::{sync::Arc, time::Duration};

use domain::{ActionId, ApiKey, Provider, WorkspaceId, payload_hash};
use engine::ports::{CONSENT_WITHIN, Cache, Clock, Consent, FirstSight, Passage, TOLL_WINDOW, Toll};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::{
    ManualClock, sample_job,
    support::{at_once, claim, sealed, workspace},
};

/// What every [`Cache`] does: each key is new to one caller only, and a job is never replaced by an older version.
pub async fn cache(cache: Arc<dyn Cache>, now: Timestamp, seed: Uuid) {
    cache.ping().await.expect("the cache answers");
    claims(&cache, now, seed).await;
    jobs(&cache, now, seed).await;
    rollouts(&cache).await;
    consents(&cache, seed).await;
    locks(&cache, seed).await;
    tolls(&cache, now, seed).await;
}

/// What a [`Cache`] that goes by this clock does over time: a claim ends after 15 minutes, no sooner; and so on.
pub async fn cache_with_clock(cache: Arc<dyn Cache>, clock: &ManualClock, seed: Uuid) {
    let key = claim(&sample_job(&workspace("clock", seed), "a", clock.now()));
    let claims = [key.clone()];
    assert_eq!(cache.claim_keys(&claims, None).await.expect("claims").0, [FirstSight::New]);
    clock.advance(Duration::from_secs(15 * 60 - 1));
    let known = [FirstSight::Seen(key.payload_hash)];
    assert_eq!(cache.claim_keys(&claims, None).await.expect("claims").0, known, "a claim holds 15 minutes");
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        cache.claim_keys(&claims, None).await.expect("claims").0,
        [FirstSight::New],
        "and no longer, seen again or not"
    );
    assert_eq!(cache.claim_keys(&claims, None).await.expect("claims").0, known, "then it is claimed anew");

    let toll = Toll {
        key: ApiKey::of(&[9; 64]).id().clone(),
        per_key: 10,
        workspace: workspace("clock", seed),
        per_workspace: 100,
    };
    let granted = async || {
        let mut granted = 0;
        loop {
            match cache.count(&toll).await.expect("a count") {
                Passage::Free => granted += 1,
                Passage::Refused { retry_after, .. } => return (granted, retry_after),
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

    assert_eq!(cache.rollout_percent(Provider::Microsoft).await.expect("a look"), None, "what was never put");
    cache.put_rollout_percent(Provider::Microsoft, 7).await.expect("a put");
    clock.advance(Duration::from_secs(59));
    assert_eq!(cache.rollout_percent(Provider::Microsoft).await.expect("a look"), Some(7));
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.rollout_percent(Provider::Microsoft).await.expect("a look"), None, "a minute is over");
    consents_and_locks_end(&cache, clock, seed).await;
}

async fn consents_and_locks_end(cache: &Arc<dyn Cache>, clock: &ManualClock, seed: Uuid) {
    let consent = Consent { workspace: workspace("consent", seed), sealed: sealed("consent") };
    for id in ["in time", "late"] {
        cache.put_consent(id, &consent).await.expect("a put");
    }
    clock.advance(Duration::from_secs(CONSENT_WITHIN.as_secs() - 1));
    assert_eq!(cache.take_consent("in time").await.expect("a take"), Some(consent));
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.take_consent("late").await.expect("a take"), None, "ten minutes are over");

    let (name, [slow, next]) = (format!("slow-{seed}"), [1, 2].map(Uuid::from_u128));
    assert!(cache.lock(&name, slow, Duration::from_secs(30)).await.expect("a lock"));
    clock.advance(Duration::from_secs(29));
    assert!(!cache.lock(&name, next, Duration::from_secs(30)).await.expect("a lock"), "it is still held");
    clock.advance(Duration::from_secs(1));
    assert!(cache.lock(&name, next, Duration::from_secs(30)).await.expect("a lock"), "it has ended");
    cache.unlock(&name, slow).await.expect("an unlock");
    assert!(!cache.lock(&name, slow, Duration::from_secs(30)).await.expect("a lock"), "it was another's to give back");
}

async fn consents(cache: &Arc<dyn Cache>, seed: Uuid) {
    let [a, b] = ["a", "b"].map(|name| format!("{name}-{seed}"));
    let consent = |text| Consent { workspace: workspace("consent", seed), sealed: sealed(text) };
    assert_eq!(cache.take_consent(&a).await.expect("a take"), None, "what was never put");
    cache.put_consent(&a, &consent("first")).await.expect("a put");
    cache.put_consent(&b, &consent("other")).await.expect("a put");
    let takers = (0..64).map(|_| {
        let (cache, a) = (cache.clone(), a.clone());
        async move { cache.take_consent(&a).await.expect("a take") }
    });
    let taken: Vec<_> = at_once(takers).await.into_iter().flatten().collect();
    assert_eq!(taken, [consent("first")], "of 64 who take it at once exactly one gets it");
    assert_eq!(cache.take_consent(&b).await.expect("a take"), Some(consent("other")));
    assert_eq!(cache.take_consent(&b).await.expect("a take"), None, "it is taken once");
}

async fn locks(cache: &Arc<dyn Cache>, seed: Uuid) {
    let (name, hour) = (format!("contested-{seed}"), Duration::from_hours(1));
    let attempts = (1..=64).map(|owner| {
        let (cache, name, owner) = (cache.clone(), name.clone(), Uuid::from_u128(owner));
        async move { cache.lock(&name, owner, hour).await.expect("a lock").then_some(owner) }
    });
    let owners: Vec<Uuid> = at_once(attempts).await.into_iter().flatten().collect();
    let [owner] = owners[..] else { panic!("of 64 exactly one has the lock: {owners:?}") };
    assert!(cache.lock(&name, owner, hour).await.expect("a lock"), "the answer may have been lost: it is the owner's");
    let other = Uuid::from_u128(1000);
    cache.unlock(&name, other).await.expect("an unlock");
    assert!(!cache.lock(&name, other, hour).await.expect("a lock"), "only its owner gives it back");
    cache.unlock(&name, owner).await.expect("an unlock");
    cache.unlock(&name, owner).await.expect("an unlock may be repeated");
    assert!(cache.lock(&name, other, hour).await.expect("a lock"), "then it is free");
    cache.unlock(&name, other).await.expect("an unlock");
}

async fn claims(cache: &Arc<dyn Cache>, now: Timestamp, seed: Uuid) {
    let workspace = workspace("claims", seed);
    let [a, b, c] = ["a", "b", "c"].map(|key| claim(&sample_job(&workspace, key, now)));
    assert_eq!(cache.claim_keys(&[], None).await.expect("claims").0, []);
    assert_eq!(
        cache.claim_keys(&[a.clone(), b.clone()], None).await.expect("claims").0,
        [FirstSight::New, FirstSight::New]
    );
    let action: ActionId = "gmail.send".parse().expect("an action's name");
    let mut changed = b.clone();
    changed.payload_hash = payload_hash(Provider::Google, &action, &json!("another payload"));
    let sights = cache.claim_keys(&[c.clone(), changed, a.clone()], None).await.expect("claims").0;
    let expected = [FirstSight::New, FirstSight::Seen(b.payload_hash), FirstSight::Seen(a.payload_hash)];
    assert_eq!(sights, expected, "in the order of the claims, with the payload of the first");

    let contested = claim(&sample_job(&workspace, "contested", now));
    let sights = at_once((0..64).map(|_| {
        let (cache, contested) = (cache.clone(), contested.clone());
        async move { cache.claim_keys(&[contested], None).await.expect("claims").0.remove(0) }
    }))
    .await;
    let new = sights.iter().filter(|sight| **sight == FirstSight::New).count();
    assert_eq!(new, 1, "of 64 claims of one key at once exactly one is new");
    assert!(
        sights.iter().all(|sight| [FirstSight::New, FirstSight::Seen(contested.payload_hash.clone())].contains(sight)),
        "the others see its payload"
    );
}

async fn tolls(cache: &Arc<dyn Cache>, now: Timestamp, seed: Uuid) {
    let key = |n: u8| {
        // The seed keeps runs apart, and the number the keys of one run.
        let mut random = [n; 64];
        random[1..17].copy_from_slice(seed.as_bytes());
        ApiKey::of(&random).id().clone()
    };
    let (ours, other) = (workspace("tolls", seed), workspace("free", seed));
    let toll = |n: u8, workspace: &WorkspaceId| Toll {
        key: key(n),
        per_key: 20,
        workspace: workspace.clone(),
        per_workspace: 30,
    };
    let passed = async |toll: &Toll| cache.count(toll).await.expect("a count") == Passage::Free;
    let first = toll(1, &ours);
    // The minute may turn meanwhile; then the one before counts for almost all.
    let granted = at_once((0..64).map(|_| {
        let (cache, toll) = (cache.clone(), first.clone());
        async move { cache.count(&toll).await.expect("a count") == Passage::Free }
    }));
    let granted = granted.await.into_iter().filter(|free| *free).count();
    assert!((20..=21).contains(&granted), "of 64 at once as many as a key may: {granted}");
    let Passage::Refused { limit: 20, retry_after } = cache.count(&first).await.expect("a count") else {
        panic!("one too many")
    };
    assert!(!retry_after.is_zero() && retry_after <= TOLL_WINDOW + TOLL_WINDOW, "{retry_after:?}");
    let second = toll(2, &ours);
    let mut more = 0;
    while passed(&second).await {
        more += 1;
    }
    assert!((10..=11).contains(&more), "all keys of a workspace together, and what was refused does not count: {more}");
    assert!(matches!(cache.count(&second).await, Ok(Passage::Refused { limit: 30, .. })));
    assert!(passed(&toll(3, &other)).await, "another workspace is another");

    // In one with a claim and a look.
    let job = sample_job(&ours, "tolled", now);
    let (sights, passage) = cache.claim_keys(&[claim(&job)], Some(&second)).await.expect("claims");
    assert!(sights == [FirstSight::New] && passage != Passage::Free);
    let (kept, passage) = cache.job(job.job_id, Some(&second)).await.expect("a look");
    assert!(kept.is_none() && passage != Passage::Free);
    let fourth = toll(4, &other);
    for _ in 0..10 {
        let (_, passage) = cache.claim_keys(&[claim(&job)], Some(&fourth)).await.expect("claims");
        assert_eq!(passage, Passage::Free);
        assert_eq!(cache.job(job.job_id, Some(&fourth)).await.expect("a look").1, Passage::Free);
    }
    assert!(matches!(cache.job(job.job_id, Some(&fourth)).await, Ok((None, Passage::Refused { .. }))), "each counted");
}

async fn rollouts(cache: &Arc<dyn Cache>) {
    for percent in [0, 100, 25] {
        cache.put_rollout_percent(Provider::Google, percent).await.expect("a put");
        assert_eq!(cache.rollout_percent(Provider::Google).await.expect("a look"), Some(percent));
    }
}

async fn jobs(cache: &Arc<dyn Cache>, now: Timestamp, seed: Uuid) {
    let workspace = workspace("jobs", seed);
    let first = sample_job(&workspace, "a", now);
    let other = sample_job(&workspace, "b", now);
    assert_eq!(cache.job(first.job_id, None).await.expect("a look").0, None, "what was never put is not there");
    cache.put_jobs(&[]).await.expect("a put of nothing");
    cache.put_jobs(&[first.clone(), other.clone()]).await.expect("a put");
    assert_eq!(cache.job(first.job_id, None).await.expect("a look").0, Some(first.clone()));
    assert_eq!(cache.job(other.job_id, None).await.expect("a look").0, Some(other));

    let later = first.cancelled(now).expect("it is pending");
    cache.put_jobs(std::slice::from_ref(&later)).await.expect("a put");
    assert_eq!(cache.job(first.job_id, None).await.expect("a look").0, Some(later.clone()), "a later version replaces");
    cache.put_jobs(std::slice::from_ref(&first)).await.expect("a put");
    assert_eq!(cache.job(first.job_id, None).await.expect("a look").0, Some(later), "an earlier one does not");

    let mut versions = vec![sample_job(&workspace, "contested", now)];
    while versions.len() < 32 {
        let last = versions.last().expect("there is one");
        versions.push(if last.error.is_none() { last.cancelled(now) } else { last.retried(now) }.expect("allowed"));
    }
    let last = versions.last().cloned().expect("there is one");
    at_once(versions.into_iter().rev().map(|job| {
        let cache = cache.clone();
        async move { cache.put_jobs(&[job]).await.expect("a put") }
    }))
    .await;
    assert_eq!(
        cache.job(last.job_id, None).await.expect("a look").0,
        Some(last),
        "of 32 puts at once the last version stays"
    );
}
