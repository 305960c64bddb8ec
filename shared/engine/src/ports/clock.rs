//! Time, ids and chance.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

/// Time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Returns after `duration`.
    async fn sleep(&self, duration: Duration);
}

/// Fresh identifiers and chance.
pub trait Ids: Send + Sync {
    /// A random UUID (version 4) that nobody can guess.
    fn uuid(&self) -> Uuid;

    /// Fills blocks of 16 bytes with UUIDs: nobody can guess 122 bits of each block.
    fn fill(&self, bytes: &mut [u8]) {
        for block in bytes.chunks_exact_mut(16) {
            block.copy_from_slice(self.uuid().as_bytes());
        }
    }

    /// A number from 0 up to, but not including, 1; for jitter.
    fn fraction(&self) -> f64 {
        // The top 53 bits, which is what an f64 holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64")]
        let numerator = (self.uuid().as_u128() >> 75) as u64 as f64;
        numerator / 9_007_199_254_740_992.0
    }
}
