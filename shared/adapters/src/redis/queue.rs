//! The queue in Redis.

use std::{pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use engine::ports::{Clock, Ids, Queue, QueueError, QueuedMessage, ReceivedMessage};
use jiff::Timestamp;
use tokio::sync::Notify;

use super::{connection::RedisConnection, key, milliseconds, script::Script};

static SEND: Script = Script::new(include_str!("lua/send.lua"));
static RECEIVE: Script = Script::new(include_str!("lua/receive.lua"));
static ACKNOWLEDGE: Script = Script::new(include_str!("lua/acknowledge.lua"));
static DEPTH: Script = Script::new(include_str!("lua/depth.lua"));

/// The first and the longest pause of a receiver between polls. The longest is the most that a message of another
/// process is late.
const POLL_PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));

/// A queue on a Redis list, by the server's time.
///
/// Each operation is one script, so a crash happens before or after it, never within. A receive moves messages
/// to the set of those in flight, with a deadline. The first receive after the deadline, by any worker, redelivers
/// those that were not acknowledged.
///
/// A waiting receiver polls. A blocking command would be faster, but it would need its own connection per receiver,
/// on a cluster too, and a dead server would look like an empty queue.
pub struct RedisQueue {
    connection: Arc<RedisConnection>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    visibility: Duration,
    keys: [String; 5],
    /// Wakes the receivers of this process.
    sent: Notify,
}

impl RedisQueue {
    /// The queue with this name (letters, digits, `-` and `_`). A message that is not acknowledged within `visibility`
    /// is redelivered. `clock` is only for the pauses of a receiver.
    pub fn new(
        connection: Arc<RedisConnection>,
        name: &str,
        visibility: Duration,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Self {
        let keys = ["ready", "delayed", "flight", "messages", "receives"].map(|part| key(name, part));
        Self { connection, clock, ids, visibility, keys, sent: Notify::new() }
    }

    /// Takes visible messages. It may be repeated: the messages of a lost answer are redelivered after
    /// the visibility timeout, as if the receiver had died.
    async fn take(&self, max: usize) -> Result<Vec<ReceivedMessage>, QueueError> {
        let call = RECEIVE.call(&self.keys, (max, milliseconds(self.visibility)));
        let taken: Vec<(String, String, u32)> = self.connection.query_one(call).await.map_err(QueueError::new)?;
        let delivery = |(id, body, receives)| ReceivedMessage { body, receipt: format!("{id}.{receives}"), receives };
        Ok(taken.into_iter().map(delivery).collect())
    }
}

#[async_trait]
impl Queue for RedisQueue {
    async fn send(&self, messages: &[QueuedMessage]) -> Result<(), QueueError> {
        if messages.is_empty() {
            return Ok(());
        }
        // Each message gets its id before it is sent, so a repeated send skips those that arrived.
        let messages = messages.iter().map(|m| (self.ids.uuid().to_string(), &m.body, milliseconds(m.delay)));
        let messages: Vec<_> = messages.collect();
        self.connection.query_one::<()>(SEND.call(&self.keys, messages)).await.map_err(QueueError::new)?;
        self.sent.notify_waiters();
        Ok(())
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>, QueueError> {
        let deadline = self.clock.now().checked_add(wait).unwrap_or(Timestamp::MAX);
        let (mut pause, longest) = POLL_PAUSES;
        loop {
            // Listen before polling, so that no message is missed in between.
            let mut sent = pin!(self.sent.notified());
            sent.as_mut().enable();
            let deliveries = self.take(max).await?;
            let left = Duration::try_from(deadline.duration_since(self.clock.now())).unwrap_or_default();
            if !deliveries.is_empty() || left.is_zero() || max == 0 {
                return Ok(deliveries);
            }
            tokio::select! {
                () = sent => {}
                () = self.clock.sleep(pause.min(left)) => {}
            }
            pause = (pause * 2).min(longest);
        }
    }

    async fn acknowledge(&self, receipt: &str) -> Result<(), QueueError> {
        // An unknown receipt and a repeated acknowledgement change nothing.
        let Some((id, receives)) = receipt.rsplit_once('.') else { return Ok(()) };
        self.connection.query_one(ACKNOWLEDGE.call(&self.keys, (id, receives))).await.map_err(QueueError::new)
    }

    async fn depth(&self) -> Result<u64, QueueError> {
        self.connection.query_one(DEPTH.call(&self.keys, None::<u8>)).await.map_err(QueueError::new)
    }
}
