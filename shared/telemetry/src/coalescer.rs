//! Single flight for flushes: one flush serves every caller that waits.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

/// Coalesces flushes. A caller that arrives during a flush waits for its end, then one of the waiters flushes for all.
/// No caller waits for more than two flushes.
#[derive(Debug, Default)]
pub struct FlushCoalescer<T> {
    /// The number of flushes begun.
    begun: AtomicU64,
    /// What one flush leaves to the next.
    flushing: Mutex<T>,
}

impl<T> FlushCoalescer<T> {
    /// Waits for the right to flush; none after a flush that began later than this call, since it served this caller.
    /// The flush ends when the guard is dropped.
    pub async fn lead(&self) -> Option<MutexGuard<'_, T>> {
        // A read-modify-write, so that it synchronizes with the one that begins the next flush: that flush sees
        // everything recorded before this call.
        let before = self.begun.fetch_add(0, Ordering::AcqRel);
        let lead = self.flushing.lock().await;
        if self.begun.load(Ordering::Acquire) > before {
            return None;
        }
        self.begun.fetch_add(1, Ordering::AcqRel);
        Some(lead)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn one_waiter_flushes_for_all_that_waited_and_for_no_later_one() {
        let coalescer = FlushCoalescer::<()>::default();
        let Poll::Ready(Some(first)) = poll(pin!(coalescer.lead())) else { panic!("no flush is running") };
        let (mut second, mut third) = (pin!(coalescer.lead()), pin!(coalescer.lead()));
        assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
        drop(first);
        // The first flush began before these two came, so it may have missed their counts.
        let Poll::Ready(Some(lead)) = poll(second.as_mut()) else { panic!("the first flush has ended") };
        let mut late = pin!(coalescer.lead());
        assert!(poll(third.as_mut()).is_pending() && poll(late.as_mut()).is_pending());
        drop(lead);
        assert!(matches!(poll(third.as_mut()), Poll::Ready(None)), "the second flushed for the third");
        assert!(matches!(poll(late.as_mut()), Poll::Ready(Some(_))), "but not for a caller that came during the flush");
    }
}
