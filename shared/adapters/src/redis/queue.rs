use std::{pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use engine::ports::{Clock, Delivery, Ids, Queue, QueueError, QueuedMessage};
use jiff::Timestamp;
use redis::{Cmd, FromRedisValue, Value, from_redis_value};
use tokio::sync::Notify;

use super::{
    connection::{Fault, RedisConnection},
    milliseconds,
    script::Script,
};

/// The pauses of a receiver between its looks: the first, and the longest. A message that another
/// process sent comes this much later at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));

/// A queue on a Redis list, by the server's time.
///
/// Each operation is one script, so a crash falls before or after it, never between. A receive moves messages
/// to the set of those in flight, with a deadline; the first receive after it brings back what
/// was not acknowledged, whichever worker it was that died.
///
/// A receiver that waits looks again and again. A blocking command would tell it sooner, but it would need a
/// connection of its own per receiver, on a cluster too, and could be told from a dead server only by waiting longer.
pub struct RedisQueue {
    connection: Arc<RedisConnection>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    visibility: Duration,
    keys: [String; 5],
    scripts: Scripts,
    /// Wakes the receivers of this process at once.
    sent: Notify,
}

struct Scripts {
    send: Script,
    receive: Script,
    acknowledge: Script,
    depth: Script,
}

impl RedisQueue {
    /// The queue of this name (letters, digits, `-` and `_`), whose deliveries come again when they
    /// are not acknowledged for as long as `visibility`. `clock` is for the pauses of a receiver only.
    pub fn new(
        connection: Arc<RedisConnection>,
        name: &str,
        visibility: Duration,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
    ) -> Self {
        let keys = ["ready", "delayed", "flight", "messages", "receives"].map(|part| format!("orc:{{{name}}}:{part}"));
        let scripts = Scripts {
            send: Script::new(include_str!("lua/send.lua")),
            receive: Script::new(include_str!("lua/receive.lua")),
            acknowledge: Script::new(include_str!("lua/acknowledge.lua")),
            depth: Script::new(include_str!("lua/depth.lua")),
        };
        Self { connection, clock, ids, visibility, keys, scripts, sent: Notify::new() }
    }

    async fn call<T: FromRedisValue>(&self, script: &Script, call: Cmd) -> Result<T, QueueError> {
        let answer = script.query(&self.connection, [call]).await?.pop().unwrap_or(Value::Nil);
        from_redis_value(answer).map_err(|_| QueueError::permanent("the answer cannot be read"))
    }

    /// Takes what can be seen now. Repeating it does harm to nothing: what a lost answer held comes again after
    /// the visibility timeout, as it would if the receiver had died.
    async fn take(&self, max: usize) -> Result<Vec<Delivery>, QueueError> {
        let mut call = self.scripts.receive.call(&self.keys);
        call.arg(max).arg(milliseconds(self.visibility));
        let taken: Vec<(String, String, u32)> = self.call(&self.scripts.receive, call).await?;
        let delivery = |(id, body, receives)| Delivery { body, receipt: format!("{id}.{receives}"), receives };
        Ok(taken.into_iter().map(delivery).collect())
    }
}

#[async_trait]
impl Queue for RedisQueue {
    async fn send(&self, messages: &[QueuedMessage]) -> Result<(), QueueError> {
        if messages.is_empty() {
            return Ok(());
        }
        // Each message has its id before it goes out, so a repeated send finds those that arrived.
        let mut call = self.scripts.send.call(&self.keys);
        for message in messages {
            call.arg(self.ids.uuid().to_string()).arg(&message.body).arg(milliseconds(message.delay));
        }
        self.call::<()>(&self.scripts.send, call).await?;
        self.sent.notify_waiters();
        Ok(())
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, QueueError> {
        let deadline = self.clock.now().checked_add(wait).unwrap_or(Timestamp::MAX);
        let (mut pause, longest) = PAUSES;
        loop {
            // Listening begins before the look, so that no message slips in between.
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
        // A receipt that is none of ours names nothing. Of the same acknowledgement twice, the second finds nothing.
        let Some((id, receives)) = receipt.rsplit_once('.') else { return Ok(()) };
        let mut call = self.scripts.acknowledge.call(&self.keys);
        call.arg(id).arg(receives);
        self.call::<u8>(&self.scripts.acknowledge, call).await?;
        Ok(())
    }

    async fn depth(&self) -> Result<u64, QueueError> {
        self.call(&self.scripts.depth, self.scripts.depth.call(&self.keys)).await
    }
}

impl From<Fault> for QueueError {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}
