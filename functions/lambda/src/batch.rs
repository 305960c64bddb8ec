//! A batch of SQS's: each message by itself, some side by side, and only those that failed come again.

use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsMessage};
use engine::work::Disposition;
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout_at};

/// How many messages are processed at once.
const SIDE_BY_SIDE: usize = 10;

/// Gives each message to `handle`, in a task of its own, so that a panic ends one message's handling alone. What
/// has not ended after `time` is stopped and comes again, and so does what `handle` leaves.
pub async fn each<F>(messages: Vec<SqsMessage>, time: Duration, handle: impl Fn(String) -> F) -> SqsBatchResponse
where
    F: Future<Output = Disposition> + Send + 'static,
{
    let end = Instant::now() + time;
    let handled = messages.into_iter().map(|message| {
        let task = handle(message.body.unwrap_or_default());
        async move {
            let mut task = tokio::spawn(task);
            let done = match timeout_at(end, &mut task).await {
                Ok(Ok(disposition)) => disposition == Disposition::Acknowledge,
                Ok(Err(_)) => {
                    tracing::error!("a message's task panicked; the message comes again");
                    false
                }
                Err(_) => {
                    task.abort();
                    tracing::error!("a message was not done in time; it comes again");
                    false
                }
            };
            // An empty name among the failures would fail the whole batch.
            message.message_id.filter(|_| !done)
        }
    });
    let failed = stream::iter(handled).buffer_unordered(SIDE_BY_SIDE).filter_map(async |id| id);
    let failures = failed.map(|id| {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id;
        failure
    });
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failures.collect().await;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> SqsMessage {
        let mut message = SqsMessage::default();
        message.message_id = Some(format!("id of {body}"));
        message.body = Some(body.to_owned());
        message
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_fails_fails_alone() {
        let mut bodies: Vec<String> = (0..25).map(|n| format!("good {n}")).collect();
        bodies.extend(["panics", "is left", "hangs"].map(str::to_owned));
        let messages = bodies.iter().map(|body| message(body)).collect();
        let response = each(messages, Duration::from_secs(5), |body| async move {
            match body.as_str() {
                "panics" => panic!("on purpose"),
                "hangs" => std::future::pending().await,
                "is left" => Disposition::Leave,
                _ => Disposition::Acknowledge,
            }
        })
        .await;
        let mut failed: Vec<_> = response.batch_item_failures.iter().map(|failure| &failure.item_identifier).collect();
        failed.sort();
        assert_eq!(failed, ["id of hangs", "id of is left", "id of panics"]);
    }
}
