//! The system's clock and random ids.

use std::time::Duration;

use async_trait::async_trait;
use engine::ports::{Clock, Ids};
use jiff::Timestamp;
use uuid::Uuid;

/// The system's time, in whole microseconds: every store keeps them exactly.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the adapter of the port")]
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(Timestamp::now().as_microsecond()).expect("truncation keeps a time in range")
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Ids from a generator in the process, which the operating system seeds and seeds again.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "the adapter of the port")]
    fn uuid(&self) -> Uuid {
        Uuid::new_v4()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_no_nanoseconds_and_ids_do_not_repeat() {
        assert_eq!(SystemClock.now().as_nanosecond() % 1000, 0);
        assert_ne!(SystemIds.uuid(), SystemIds.uuid());
        assert!((0..1000).all(|_| (0.0..1.0).contains(&SystemIds.fraction())));
    }
}
