//! Single flight for flushes: one flush serves every caller that waits.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Coalesces flushes. A caller that arrives during a flush waits for its end, then one of the waiters flushes for all.
/// No caller waits for more than two flushes.
#[derive(Debug)]
pub struct FlushCoalescer {
    /// The number of flushes begun: equal to those ended, or one more during a flush.
    begun: AtomicU64,
    /// The number of flushes ended.
    ended: watch::Sender<u64>,
}

/// The right to flush. The flush ends when this is dropped.
#[derive(Debug)]
pub struct Lead<'c> {
    coalescer: &'c FlushCoalescer,
    number: u64,
}

impl FlushCoalescer {
    pub fn new() -> Self {
        Self { begun: AtomicU64::new(0), ended: watch::Sender::new(0) }
    }

    /// Waits for the right to flush; none after a flush that began later than this call, since it served this caller.
    pub async fn lead(&self) -> Option<Lead<'_>> {
        // A read-modify-write, so that it synchronizes with the one that begins the next flush: that flush sees
        // everything recorded before this call.
        let before = self.begun.fetch_add(0, Ordering::AcqRel);
        let mut ended = self.ended.subscribe();
        loop {
            let last = *ended.borrow_and_update();
            if last > before {
                return None;
            }
            let number = last + 1;
            if self.begun.compare_exchange(last, number, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Some(Lead { coalescer: self, number });
            }
            // The channel never closes: its sender is part of this value.
            let _ = ended.changed().await;
        }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        self.coalescer.ended.send_replace(self.number);
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
        let coalescer = FlushCoalescer::new();
        let Poll::Ready(Some(first)) = poll(pin!(coalescer.lead())) else { panic!("no flush is running") };
        let (mut second, mut third) = (pin!(coalescer.lead()), pin!(coalescer.lead()));
        assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
        drop(first);
        // The first flush began before these two came, so it may have missed their counts.
        let Poll::Ready(Some(lead)) = poll(third.as_mut()) else { panic!("the first flush has ended") };
        let mut late = pin!(coalescer.lead());
        assert!(poll(second.as_mut()).is_pending() && poll(late.as_mut()).is_pending());
        drop(lead);
        assert!(matches!(poll(second.as_mut()), Poll::Ready(None)), "the third flushed for the second");
        assert!(matches!(poll(late.as_mut()), Poll::Ready(Some(_))), "but not for a caller that came during the flush");
    }
}
