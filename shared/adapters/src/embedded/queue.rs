use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use engine::ports::{Clock, Delivery, Queue, QueueError, QueuedMessage};
use jiff::Timestamp;
use tokio::sync::Notify;

/// The queue of one process: messages wait by the clock, and come in the order in which they
/// become visible. What it holds is lost with the process; the ledger knows which jobs are open.
pub struct MemoryQueue {
    clock: Arc<dyn Clock>,
    visibility: Duration,
    messages: Mutex<Messages>,
    /// Wakes everyone who waits when what there is to wait for has changed.
    changed: Notify,
}

/// When a message becomes visible, and a number that no other has.
type Place = (Timestamp, u64);

#[derive(Default)]
struct Messages {
    waiting: BTreeMap<Place, Message>,
    in_flight: BTreeMap<Place, Message>,
    last_number: u64,
}

struct Message {
    body: String,
    receives: u32,
}

impl MemoryQueue {
    /// An empty queue, whose deliveries come again when they are not acknowledged for as long as `visibility`.
    pub fn new(clock: Arc<dyn Clock>, visibility: Duration) -> Self {
        Self { clock, visibility, messages: Mutex::default(), changed: Notify::new() }
    }

    fn messages(&self) -> MutexGuard<'_, Messages> {
        // Each change leaves the two maps whole, so a panic elsewhere cannot have broken them.
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is visible now, or says when something will be.
    fn take(&self, max: usize, now: Timestamp) -> Result<Vec<Delivery>, Option<Timestamp>> {
        let mut messages = self.messages();
        messages.return_overdue(now);
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some(entry) = messages.waiting.first_entry().filter(|entry| entry.key().0 <= now) else { break };
            let mut message = entry.remove();
            message.receives += 1;
            let place = messages.place(later(now, self.visibility));
            let receipt = format!("{}.{}", place.0.as_nanosecond(), place.1);
            taken.push(Delivery { body: message.body.clone(), receipt, receives: message.receives });
            messages.in_flight.insert(place, message);
        }
        if taken.is_empty() && max > 0 { Err(messages.next_visible()) } else { Ok(taken) }
    }
}

impl Messages {
    fn place(&mut self, visible: Timestamp) -> Place {
        self.last_number += 1;
        (visible, self.last_number)
    }

    /// Deliveries that nobody acknowledged in time wait again.
    fn return_overdue(&mut self, now: Timestamp) {
        while let Some(entry) = self.in_flight.first_entry().filter(|entry| entry.key().0 <= now) {
            let (place, message) = entry.remove_entry();
            self.waiting.insert(place, message);
        }
    }

    fn next_visible(&self) -> Option<Timestamp> {
        let first = |map: &BTreeMap<Place, Message>| map.first_key_value().map(|(place, _)| place.0);
        first(&self.waiting).into_iter().chain(first(&self.in_flight)).min()
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn send(&self, messages: &[QueuedMessage]) -> Result<(), QueueError> {
        let now = self.clock.now();
        {
            let mut queued = self.messages();
            for message in messages {
                let place = queued.place(later(now, message.delay));
                queued.waiting.insert(place, Message { body: message.body.clone(), receives: 0 });
            }
        }
        self.changed.notify_waiters();
        Ok(())
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let deadline = later(self.clock.now(), wait);
        loop {
            // Listening begins before the look, so that no message slips in between.
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = self.clock.now();
            let next = match self.take(max, now) {
                Ok(deliveries) => return Ok(deliveries),
                Err(_) if now >= deadline => return Ok(Vec::new()),
                Err(next) => next.map_or(deadline, |next| next.min(deadline)),
            };
            // Never negative, as `take` found nothing to be visible yet.
            let pause = Duration::try_from(next.duration_since(now)).unwrap_or_default();
            tokio::select! {
                () = changed => {}
                () = self.clock.sleep(pause) => {}
            }
        }
    }

    async fn acknowledge(&self, receipt: &str) -> Result<(), QueueError> {
        // A late acknowledgement counts until the message has come again: then its place is another
        // one, and the receipt names nothing, like one that never was.
        if let Some(place) = read_receipt(receipt) {
            let mut messages = self.messages();
            if messages.in_flight.remove(&place).is_none() {
                messages.waiting.remove(&place);
            }
        }
        Ok(())
    }

    async fn depth(&self) -> Result<u64, QueueError> {
        let mut messages = self.messages();
        messages.return_overdue(self.clock.now());
        Ok(messages.waiting.len() as u64)
    }
}

fn read_receipt(receipt: &str) -> Option<Place> {
    let (visible, number) = receipt.split_once('.')?;
    Some((Timestamp::from_nanosecond(visible.parse().ok()?).ok()?, number.parse().ok()?))
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
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
    async fn depth_counts_what_waits_and_not_what_is_in_flight() {
        let clock = ManualClock::new();
        let queue = MemoryQueue::new(clock.clone(), VISIBILITY);
        queue.send(&[message("a", 0), message("b", 0), message("c", 60)]).await.unwrap();
        assert_eq!(queue.depth().await.unwrap(), 3);
        let taken = queue.receive(1, Duration::ZERO).await.unwrap();
        assert_eq!(queue.depth().await.unwrap(), 2);
        clock.advance(VISIBILITY);
        assert_eq!(queue.depth().await.unwrap(), 3, "it was not acknowledged in time");
        queue.acknowledge(&taken[0].receipt).await.unwrap();
        assert_eq!(queue.depth().await.unwrap(), 2, "a late acknowledgement counts until the message has come again");
    }

    #[tokio::test]
    async fn an_overtaken_or_foreign_receipt_acknowledges_nothing() {
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
    async fn a_waiting_receiver_wakes_for_what_comes_sooner_than_it_knew() {
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
    async fn a_receiver_waits_no_longer_than_it_said_and_sleeps_meanwhile() {
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
