//! Behaviours of [`engine::ports::Locks`].

use std::{sync::Arc, time::Duration};

use engine::ports::Cache;
use jiff::Timestamp;
use uuid::Uuid;

use crate::{ManualClock, support::at_once};

/// A lock has one owner, which alone gives it back.
pub async fn have_one_owner(cache: Arc<dyn Cache>, _: Timestamp, seed: Uuid) {
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

/// A lock ends after its time.
pub async fn end_by_themselves(cache: Arc<dyn Cache>, clock: Arc<ManualClock>, seed: Uuid) {
    let (name, [slow, next]) = (format!("slow-{seed}"), [1, 2].map(Uuid::from_u128));
    assert!(cache.lock(&name, slow, Duration::from_secs(30)).await.expect("a lock"));
    clock.advance(Duration::from_secs(29));
    assert!(!cache.lock(&name, next, Duration::from_secs(30)).await.expect("a lock"), "it is still held");
    clock.advance(Duration::from_secs(1));
    assert!(cache.lock(&name, next, Duration::from_secs(30)).await.expect("a lock"), "it has ended");
    cache.unlock(&name, slow).await.expect("an unlock");
    assert!(!cache.lock(&name, slow, Duration::from_secs(30)).await.expect("a lock"), "it was another's to give back");
}
