//! Behaviours of [`engine::ports::Consents`].

use std::{sync::Arc, time::Duration};

use engine::ports::{CONSENT_WITHIN, Cache, Consent};
use jiff::Timestamp;
use uuid::Uuid;

use crate::{
    ManualClock,
    support::{at_once, sealed, workspace},
};

/// A pending consent is taken once, under any concurrency.
pub async fn are_taken_once(cache: Arc<dyn Cache>, _: Timestamp, seed: Uuid) {
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

/// A pending consent ends after ten minutes.
pub async fn end_after_ten_minutes(cache: Arc<dyn Cache>, clock: Arc<ManualClock>, seed: Uuid) {
    let consent = Consent { workspace: workspace("consent", seed), sealed: sealed("consent") };
    for id in ["in time", "late"] {
        cache.put_consent(id, &consent).await.expect("a put");
    }
    clock.advance(Duration::from_secs(CONSENT_WITHIN.as_secs() - 1));
    assert_eq!(cache.take_consent("in time").await.expect("a take"), Some(consent));
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.take_consent("late").await.expect("a take"), None, "ten minutes are over");
}
