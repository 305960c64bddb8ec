//! Behaviours of [`engine::ports::Claims`].

use std::{sync::Arc, time::Duration};

use domain::{ActionId, Provider, payload_hash};
use engine::ports::{Cache, ClaimResult, Clock};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use crate::{
    ManualClock, sample_job,
    support::{at_once, claim, workspace},
};

/// A key is new to one claim only, under any concurrency.
pub async fn give_each_key_to_one_claim(cache: Arc<dyn Cache>, now: Timestamp, seed: Uuid) {
    let workspace = workspace("claims", seed);
    let [a, b, c] = ["a", "b", "c"].map(|key| claim(&sample_job(&workspace, key, now)));
    assert_eq!(cache.claim_keys(&[], None).await.expect("claims").0, []);
    assert_eq!(
        cache.claim_keys(&[a.clone(), b.clone()], None).await.expect("claims").0,
        [ClaimResult::New, ClaimResult::New]
    );
    let action: ActionId = "gmail.send".parse().expect("an action's name");
    let mut changed = b.clone();
    changed.payload_hash = payload_hash(Provider::Google, &action, &json!("another payload"));
    let results = cache.claim_keys(&[c.clone(), changed, a.clone()], None).await.expect("claims").0;
    let expected = [ClaimResult::New, ClaimResult::Seen(b.payload_hash), ClaimResult::Seen(a.payload_hash)];
    assert_eq!(results, expected, "in the order of the claims, with the payload of the first");

    let contested = claim(&sample_job(&workspace, "contested", now));
    let results = at_once((0..64).map(|_| {
        let (cache, contested) = (cache.clone(), contested.clone());
        async move { cache.claim_keys(&[contested], None).await.expect("claims").0.remove(0) }
    }))
    .await;
    let new = results.iter().filter(|result| **result == ClaimResult::New).count();
    assert_eq!(new, 1, "of 64 claims of one key at once exactly one is new");
    assert!(
        results
            .iter()
            .all(|result| [ClaimResult::New, ClaimResult::Seen(contested.payload_hash.clone())].contains(result)),
        "the others see its payload"
    );
}

/// A claim ends after 15 minutes, no sooner.
pub async fn end_after_15_minutes(cache: Arc<dyn Cache>, clock: Arc<ManualClock>, seed: Uuid) {
    let key = claim(&sample_job(&workspace("clock", seed), "a", clock.now()));
    let claims = [key.clone()];
    assert_eq!(cache.claim_keys(&claims, None).await.expect("claims").0, [ClaimResult::New]);
    clock.advance(Duration::from_secs(15 * 60 - 1));
    let known = [ClaimResult::Seen(key.payload_hash)];
    assert_eq!(cache.claim_keys(&claims, None).await.expect("claims").0, known, "a claim holds 15 minutes");
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        cache.claim_keys(&claims, None).await.expect("claims").0,
        [ClaimResult::New],
        "and no longer, seen again or not"
    );
    assert_eq!(cache.claim_keys(&claims, None).await.expect("claims").0, known, "then it is claimed anew");
}
