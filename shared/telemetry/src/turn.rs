use std::sync::atomic::{AtomicU64, Ordering, fence};

use tokio::sync::watch;

/// Something that one does for all who wait: whoever comes while it is under way waits for its end, and then one of them
/// does it for everybody who had come by then. So nobody waits for more than two.
#[derive(Debug)]
pub struct Turns {
    /// How many have begun: as many as have ended, or one more while it is under way.
    begun: AtomicU64,
    ended: watch::Sender<u64>,
}

/// The turn to do it, which ends when this is dropped.
#[derive(Debug)]
pub struct Turn<'t> {
    turns: &'t Turns,
    number: u64,
}

impl Turns {
    pub fn new() -> Self {
        Self { begun: AtomicU64::new(0), ended: watch::Sender::new(0) }
    }

    /// The turn to do it; none when somebody has done it who began after this was called.
    pub async fn next(&self) -> Option<Turn<'_>> {
        // Either this sees the turn that begins now, or that turn sees everything that was written before this.
        fence(Ordering::SeqCst);
        let before = self.begun.load(Ordering::SeqCst);
        let mut ended = self.ended.subscribe();
        loop {
            let last = *ended.borrow_and_update();
            if last > before {
                return None;
            }
            if let Some(turn) = self.begin_after(last) {
                return Some(turn);
            }
            // It never closes, since what closes it is here.
            let _ = ended.changed().await;
        }
    }

    /// The next turn, unless it has begun already.
    fn begin_after(&self, last: u64) -> Option<Turn<'_>> {
        let number = last + 1;
        self.begun.compare_exchange(last, number, Ordering::SeqCst, Ordering::Relaxed).ok()?;
        fence(Ordering::SeqCst);
        Some(Turn { turns: self, number })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.ended.send_replace(self.number);
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
    fn who_waits_is_served_by_one_of_them() {
        let turns = Turns::new();
        let Poll::Ready(Some(first)) = poll(pin!(turns.next())) else { panic!("nobody is before it") };
        let (mut second, mut third) = (pin!(turns.next()), pin!(turns.next()));
        assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
        drop(first);
        // It began before they came, so it may not have seen what they wrote.
        let Poll::Ready(Some(turn)) = poll(third.as_mut()) else { panic!("the first has ended") };
        let mut late = pin!(turns.next());
        assert!(poll(second.as_mut()).is_pending() && poll(late.as_mut()).is_pending());
        drop(turn);
        assert!(matches!(poll(second.as_mut()), Poll::Ready(None)), "the third did it for the second");
        assert!(matches!(poll(late.as_mut()), Poll::Ready(Some(_))), "and not for who came after it had begun");
    }
}
