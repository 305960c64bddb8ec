//! The queue in SQS.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_sdk_sqs::{
    Client,
    config::Config,
    operation::delete_message::DeleteMessageError,
    types::{BatchResultErrorEntry, MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry},
};
use engine::ports::{Clock, Ids, Queue, QueueError, QueuedMessage, ReceivedMessage};
use futures_util::{StreamExt, stream};
use tokio::sync::OnceCell;

use super::{Sdk, failure, timeouts};
use crate::backoff::Backoff;

/// How often a message was received.
const RECEIVES: MessageSystemAttributeName = MessageSystemAttributeName::ApproximateReceiveCount;
/// The most messages of one call.
const BATCH: usize = 10;
/// The longest delay of a message.
const LONGEST_DELAY: Duration = Duration::from_mins(15);
/// The longest poll.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// How many batches of one send run at once.
const AT_ONCE: usize = 4;
/// How often a message is tried that SQS refuses through a fault of its own.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The queue as a standard SQS queue, fair among workspaces: each is a message group.
///
/// Dead letters and the visibility timeout are settings of the queue itself. A send costs one call for
/// every ten messages; a receive, an acknowledgement and the depth cost one each.
pub struct SqsQueue {
    sdk: Arc<Sdk>,
    url: String,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    client: OnceCell<Client>,
}

impl SqsQueue {
    /// The queue at this URL.
    pub fn new(sdk: Arc<Sdk>, url: impl Into<String>, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self { sdk, url: url.into(), clock, ids, client: OnceCell::new() }
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| async { Client::new(self.sdk.config().await) }).await
    }

    /// Sends one batch. Messages that SQS did not take are sent again, and no others.
    async fn send_batch(&self, messages: &[QueuedMessage]) -> Result<(), QueueError> {
        let mut entries = messages.iter().enumerate().map(entry).collect::<Vec<_>>();
        let code = |failed: &[&BatchResultErrorEntry]| failed.first().map(|failed| failed.code().to_owned());
        let mut refused = None;
        let mut backoff = Backoff::new(&*self.clock, &*self.ids, TRIES, FIRST_PAUSE);
        loop {
            let call = self.client().await.send_message_batch().queue_url(&self.url);
            let answer = call.set_entries(Some(entries.clone())).send().await;
            let answer = answer.map_err(|error| QueueError::new(failure("SendMessageBatch", &error)))?;
            // The sender's fault would only repeat.
            let (lost, not_taken): (Vec<_>, Vec<_>) = answer.failed().iter().partition(|failed| failed.sender_fault());
            refused = refused.or(code(&lost));
            entries.retain(|entry| not_taken.iter().any(|failed| failed.id() == entry.id()));
            if entries.is_empty() || !backoff.again().await {
                let refused = refused.or(code(&not_taken));
                let error = |code| QueueError::new(format!("SendMessageBatch: a message was not taken: {code}"));
                return refused.map_or(Ok(()), |code| Err(error(code)));
            }
        }
    }
}

fn entry((place, message): (usize, &QueuedMessage)) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder()
        .id(place.to_string())
        .message_body(&message.body)
        .message_group_id(message.workspace.as_str())
        .delay_seconds(seconds(message.delay.min(LONGEST_DELAY)))
        .build()
        .expect("it has an id and a body")
}

/// Whole seconds, rounded up.
fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send(&self, messages: &[QueuedMessage]) -> Result<(), QueueError> {
        let batches: Vec<_> = messages.chunks(BATCH).map(|batch| self.send_batch(batch)).collect();
        let sent: Vec<_> = stream::iter(batches).buffer_unordered(AT_ONCE).collect().await;
        sent.into_iter().collect()
    }

    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>, QueueError> {
        let Ok(max @ 1..) = i32::try_from(max.min(BATCH)) else { return Ok(Vec::new()) };
        let wait = wait.min(LONGEST_WAIT);
        let client = self.client().await;
        let call = client.receive_message().queue_url(&self.url).max_number_of_messages(max);
        let call = call.wait_time_seconds(seconds(wait)).message_system_attribute_names(RECEIVES);
        let answer = call.customize().config_override(Config::builder().timeout_config(timeouts(wait))).send().await;
        let answer = answer.map_err(|error| QueueError::new(failure("ReceiveMessage", &error)))?;
        let deliveries = answer.messages.unwrap_or_default().into_iter().map(|message| {
            let count = || message.attributes.as_ref()?.get(&RECEIVES)?.parse().ok();
            let receives = count().unwrap_or(1);
            // A message without a receipt cannot be acknowledged, so it is left to be redelivered.
            Some(ReceivedMessage { body: message.body.unwrap_or_default(), receipt: message.receipt_handle?, receives })
        });
        Ok(deliveries.flatten().collect())
    }

    async fn acknowledge(&self, receipt: &str) -> Result<(), QueueError> {
        match self.client().await.delete_message().queue_url(&self.url).receipt_handle(receipt).send().await {
            Ok(_) => Ok(()),
            // The receipt is unknown or has expired: there is nothing to acknowledge.
            Err(error) if error.as_service_error().is_some_and(DeleteMessageError::is_receipt_handle_is_invalid) => {
                Ok(())
            }
            Err(error) => Err(QueueError::new(failure("DeleteMessage", &error))),
        }
    }

    async fn depth(&self) -> Result<u64, QueueError> {
        let counted =
            [QueueAttributeName::ApproximateNumberOfMessages, QueueAttributeName::ApproximateNumberOfMessagesDelayed];
        let call = self.client().await.get_queue_attributes().queue_url(&self.url);
        let answer = call.set_attribute_names(Some(counted.to_vec())).send().await;
        let answer = answer.map_err(|error| QueueError::new(failure("GetQueueAttributes", &error)))?;
        let count = |name| answer.attributes()?.get(name)?.parse::<u64>().ok();
        Ok(counted.iter().filter_map(count).sum())
    }
}
