//! Behaviours of [`engine::ports::RolloutCache`].

use std::{sync::Arc, time::Duration};

use domain::Provider;
use engine::ports::Cache;
use jiff::Timestamp;
use uuid::Uuid;

use crate::ManualClock;

/// The percent that was put last is found, and the cache answers.
pub async fn keeps_the_last_percent(cache: Arc<dyn Cache>, _: Timestamp, _: Uuid) {
    cache.ping().await.expect("the cache answers");
    for percent in [0, 100, 25] {
        cache.put_rollout_percent(Provider::Google, percent).await.expect("a put");
        assert_eq!(cache.rollout_percent(Provider::Google).await.expect("a look"), Some(percent));
    }
}

/// A percent is found for a minute.
pub async fn forgets_after_a_minute(cache: Arc<dyn Cache>, clock: Arc<ManualClock>, _: Uuid) {
    assert_eq!(cache.rollout_percent(Provider::Microsoft).await.expect("a look"), None, "what was never put");
    cache.put_rollout_percent(Provider::Microsoft, 7).await.expect("a put");
    clock.advance(Duration::from_secs(59));
    assert_eq!(cache.rollout_percent(Provider::Microsoft).await.expect("a look"), Some(7));
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.rollout_percent(Provider::Microsoft).await.expect("a look"), None, "a minute is over");
}
