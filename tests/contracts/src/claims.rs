//! Behaviours of [`engine::ports::Claims`].

use std::{sync::Arc, time::Duration};

use engine::ports::{Cache, Clock};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    ManualClock, sample_job,
    support::{at_once, workspace},
};

/// A key is new to one claim only, under any concurrency.
pub async fn give_each_key_to_one_claim(cache: Arc<dyn Cache>, now: Timestamp, seed: Uuid) {
    let workspace = workspace("claims", seed);
    let [a, b, c] = ["a", "b", "c"].map(|key| sample_job(&workspace, key, now).job_id);
    assert!(cache.claim_keys(&[], None).await.expect("claims").0.is_empty());
    assert_eq!(cache.claim_keys(&[a, b], None).await.expect("claims").0, [true, true]);
    let results = cache.claim_keys(&[c, b, a], None).await.expect("claims").0;
    assert_eq!(results, [true, false, false], "in the order of the claims");

    let contested = sample_job(&workspace, "contested", now).job_id;
    let results = at_once((0..64).map(|_| {
        let cache = cache.clone();
        async move { cache.claim_keys(&[contested], None).await.expect("claims").0.remove(0) }
    }))
    .await;
    let new = results.iter().filter(|is_new| **is_new).count();
    assert_eq!(new, 1, "of 64 claims of one key at once exactly one is new");
}

/// A claim ends after 15 minutes, no sooner.
pub async fn end_after_15_minutes(cache: Arc<dyn Cache>, clock: Arc<ManualClock>, seed: Uuid) {
    let key = [sample_job(&workspace("clock", seed), "a", clock.now()).job_id];
    let claim = async || cache.claim_keys(&key, None).await.expect("claims").0;
    assert_eq!(claim().await, [true]);
    clock.advance(Duration::from_secs(15 * 60 - 1));
    assert_eq!(claim().await, [false], "a claim holds 15 minutes");
    clock.advance(Duration::from_secs(1));
    assert_eq!(claim().await, [true], "and no longer, seen again or not");
    assert_eq!(claim().await, [false], "then it is claimed again");
}
