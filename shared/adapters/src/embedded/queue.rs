//! The queue in memory.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use engine::ports::{Clock, Queue, QueueError, QueuedMessage, ReceivedMessage};
use jiff::Timestamp;
use tokio::sync::Notify;

use super::later;

/// The queue of one process. Messages are delivered in the order in which they become visible. They are lost with the
/// process, but the ledger knows which jobs are open.
pub struct MemoryQueue {
    clock: Arc<dyn Clock>,
    visibility: Duration,
    /// All messages. A delivered one is at the end of its visibility timeout.
    messages: Mutex<BTreeMap<Place, Message>>,
    last_number: AtomicU64,
    /// Wakes waiting receivers after a send.
    changed: Notify,
}

/// When a message becomes visible, and a unique number.
type Place = (Timestamp, u64);

struct Message {
    body: String,
    receives: u32,
}

impl MemoryQueue {
    /// An empty queue. A message that is not acknowledged within `visibility` is redelivered.
    pub fn new(clock: Arc<dyn Clock>, visibility: Duration) -> Self {
        Self { clock, visibility, messages: Mutex::default(), last_number: AtomicU64::new(0), changed: Notify::new() }
    }

    fn messages(&self) -> MutexGuard<'_, BTreeMap<Place, Message>> {
        // No change can panic halfway, so the map is intact.
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, visible: Timestamp) -> Place {
        (visible, self.last_number.fetch_add(1, Ordering::Relaxed))
    }

    /// Takes visible messages; and when the next one is visible.
    fn take(&self, max: usize, now: Timestamp) -> (Vec<ReceivedMessage>, Option<Timestamp>) {
        let mut messages = self.messages();
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some(entry) = messages.first_entry().filter(|entry| entry.key().0 <= now) else { break };
            let Message { body, receives } = entry.remove();
            let (place, receives) = (self.place(later(now, self.visibility)), receives + 1);
            messages.insert(place, Message { body: body.clone(), receives });
            taken.push(ReceivedMessage { body, receipt: format!("{}.{}", place.0.as_nanosecond(), place.1), receives });
        }
        (taken, messages.first_key_value().map(|(place, _)| place.0))
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn send(&self, messages: &[QueuedMessage]) -> Result<(), QueueError> {
        let now = self.clock.now();
        let new = |message: &QueuedMessage| Message { body: message.body.clone(), receives: 0 };
        let new = messages.iter().map(|message| (self.place(later(now, message.delay)), new(message)));
        self.messages().extend(new);
        self.changed.notify_waiters();
        Ok(())
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>, QueueError> {
        let deadline = later(self.clock.now(), wait);
        loop {
            // Listen before the check, so that no message is missed in between.
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = self.clock.now();
            let (deliveries, next) = self.take(max, now);
            if !deliveries.is_empty() || now >= deadline || max == 0 {
                return Ok(deliveries);
            }
            let next = next.map_or(deadline, |next| next.min(deadline));
            // Never negative: `take` found nothing visible yet.
            let pause = Duration::try_from(next.duration_since(now)).unwrap_or_default();
            tokio::select! {
                () = changed => {}
                () = self.clock.sleep(pause) => {}
            }
        }
    }

    async fn acknowledge(&self, receipt: &str) -> Result<(), QueueError> {
        // A late acknowledgement counts until the message is redelivered: then it has another place, and the old
        // receipt refers to nothing.
        if let Some(place) = read_receipt(receipt) {
            self.messages().remove(&place);
        }
        Ok(())
    }

    async fn depth(&self) -> Result<u64, QueueError> {
        let now = self.clock.now();
        let waits = |(place, message): &(&Place, &Message)| place.0 <= now || message.receives == 0;
        Ok(self.messages().iter().filter(waits).count() as u64)
    }
}

fn read_receipt(receipt: &str) -> Option<Place> {
    let (visible, number) = receipt.split_once('.')?;
    Some((Timestamp::from_nanosecond(visible.parse().ok()?).ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use contracts::ManualClock;

    use super::*;

    const VISIBILITY: Duration = Duration::from_secs(30);

    fn message(body: &str, delay: u64) -> QueuedMessage {
        let workspace = "local".parse().unwrap();
        QueuedMessage { body: body.to_owned(), workspace, delay: Duration::from_secs(delay) }
    }

    #[tokio::test]
    async fn depth_counts_waiting_messages_and_not_those_in_flight() {
        let clock = ManualClock::new();
        let queue = MemoryQueue::new(clock.clone(), VISIBILITY);
        queue.send(&[message("a", 0), message("b", 0), message("c", 60)]).await.unwrap();
        assert_eq!(queue.depth().await.unwrap(), 3);
        let taken = queue.receive(1, Duration::ZERO).await.unwrap();
        assert_eq!(queue.depth().await.unwrap(), 2);
        clock.advance(VISIBILITY);
        assert_eq!(queue.depth().await.unwrap(), 3, "it was not acknowledged in time");
        queue.acknowledge(&taken[0].receipt).await.unwrap();
        assert_eq!(queue.depth().await.unwrap(), 2, "a late acknowledgement counts until the redelivery");
    }

    #[tokio::test]
    async fn an_outdated_or_unknown_receipt_acknowledges_nothing() {
        let clock = ManualClock::new();
        let queue = MemoryQueue::new(clock.clone(), VISIBILITY);
        queue.send(&[message("a", 0)]).await.unwrap();
        let first = queue.receive(1, Duration::ZERO).await.unwrap().remove(0);
        clock.advance(VISIBILITY);
        let second = queue.receive(1, Duration::ZERO).await.unwrap().remove(0);
        for receipt in [first.receipt.as_str(), "", ".", "1.1", "x.y", "99999999999999999999999999999999999999.1"] {
            queue.acknowledge(receipt).await.unwrap();
        }
        clock.advance(VISIBILITY);
        let third = queue.receive(1, Duration::ZERO).await.unwrap().remove(0);
        assert_eq!((second.receives, third.receives), (2, 3));
    }

    #[tokio::test]
    async fn a_waiting_receiver_wakes_for_a_message_that_becomes_visible_sooner() {
        let clock = ManualClock::new();
        let queue = Arc::new(MemoryQueue::new(clock.clone(), VISIBILITY));
        queue.send(&[message("later", 60)]).await.unwrap();
        let receiver = tokio::spawn({
            let queue = queue.clone();
            async move { queue.receive(1, Duration::from_mins(10)).await.unwrap() }
        });
        clock.until_sleepers(1).await;
        queue.send(&[message("soon", 20)]).await.unwrap();
        clock.until_sleepers(2).await;
        clock.advance(Duration::from_secs(20));
        assert_eq!(receiver.await.unwrap()[0].body, "soon");
    }

    #[tokio::test]
    async fn a_receiver_waits_as_long_as_asked_and_sleeps_once() {
        let clock = ManualClock::new();
        let queue = Arc::new(MemoryQueue::new(clock.clone(), VISIBILITY));
        let receiver = tokio::spawn({
            let queue = queue.clone();
            async move { queue.receive(1, Duration::from_secs(10)).await.unwrap() }
        });
        clock.until_sleepers(1).await;
        clock.advance(Duration::from_secs(9));
        tokio::task::yield_now().await;
        assert!(!receiver.is_finished());
        clock.advance(Duration::from_secs(1));
        assert!(receiver.await.unwrap().is_empty());
        assert_eq!(clock.sleepers(), 1, "one sleep for the whole wait");
    }
}
