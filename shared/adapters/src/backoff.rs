//! Pauses between tries: each twice as long as the one before, by half of its length at random.

use std::time::Duration;

use engine::ports::{Clock, Ids};

/// The tries that are left of an operation, and the pause before the next one.
pub(crate) struct Backoff<'a> {
    clock: &'a dyn Clock,
    ids: &'a dyn Ids,
    tries: u32,
    pause: Duration,
}

impl<'a> Backoff<'a> {
    /// For `tries` in all, the first pause at most this long.
    pub fn new(clock: &'a dyn Clock, ids: &'a dyn Ids, tries: u32, first_pause: Duration) -> Self {
        Self { clock, ids, tries: tries - 1, pause: first_pause }
    }

    /// Pauses and returns true, unless no try is left.
    pub async fn again(&mut self) -> bool {
        if self.tries == 0 {
            return false;
        }
        self.clock.sleep(self.pause.mul_f64(0.5 + self.ids.fraction() / 2.0)).await;
        (self.tries, self.pause) = (self.tries - 1, self.pause * 2);
        true
    }
}
