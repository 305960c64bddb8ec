//! A batch of SQS's: each message by itself, some side by side, and only those that failed come again.

use std::{convert::Infallible, sync::Arc, time::Duration};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use engine::{Engine, work::Disposition};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use tokio::time::{Instant, timeout_at};

/// How many messages are processed at once.
const SIDE_BY_SIDE: usize = 10;
/// The work stops this long before the deadline, so that the rest of the batch is not lost with what is not done.
const RESERVE: Duration = Duration::from_secs(1);
/// Dead letters that are not settled within this time are delivered again.
const SETTLE_TIME: Duration = Duration::from_secs(20);

/// Works the jobs that messages name, each under a lease until the invocation's deadline.
pub async fn work(engine: &Arc<Engine>) -> Result<(), Error> {
    let handle = async |event: LambdaEvent<SqsEvent>| {
        let deadline = i64::try_from(event.context.deadline).ok();
        let deadline = deadline.and_then(|at| Timestamp::from_millisecond(at).ok()).unwrap_or(Timestamp::MAX);
        let left = deadline.duration_since(engine.clock.now());
        let time = Duration::try_from(left).unwrap_or_default().saturating_sub(RESERVE);
        let work = |message: String| {
            let engine = engine.clone();
            async move { engine.worker.work(&message, deadline).await }
        };
        let response = each(event.payload.records, time, work).await;
        engine.metrics.flush().await;
        Ok::<_, Infallible>(response)
    };
    lambda_runtime::run(service_fn(handle)).await
}

/// Settles the jobs of messages that were delivered too often. A message of a later version stays in the queue, for an
/// upgrade; one that nobody can read is counted and gone.
pub async fn settle_dead(engine: &Arc<Engine>) -> Result<(), Error> {
    let handle = async |event: LambdaEvent<SqsEvent>| {
        let settle = |message: String| {
            let engine = engine.clone();
            async move { engine.worker.settle_dead(&message).await }
        };
        let response = each(event.payload.records, SETTLE_TIME, settle).await;
        engine.metrics.flush().await;
        Ok::<_, Infallible>(response)
    };
    lambda_runtime::run(service_fn(handle)).await
}

/// Gives each message to `handle`, in a task of its own, so that a panic ends one message's handling alone. A message
/// that has not ended after `time` is stopped. It comes again, and so does one that `handle` leaves.
async fn each<F>(messages: Vec<SqsMessage>, time: Duration, handle: impl Fn(String) -> F) -> SqsBatchResponse
where
    F: Future<Output = Disposition> + Send + 'static,
{
    let end = Instant::now() + time;
    let handled = messages.into_iter().map(|message| {
        let task = handle(message.body.unwrap_or_default());
        async move {
            let mut task = tokio::spawn(task);
            let failed = match timeout_at(end, &mut task).await {
                Ok(Ok(disposition)) => disposition == Disposition::Leave,
                Ok(Err(_)) => {
                    tracing::error!("a message's task panicked; the message comes again");
                    true
                }
                Err(_) => {
                    task.abort();
                    tracing::error!("a message was not done in time; it comes again");
                    true
                }
            };
            // An empty name among the failures would fail the whole batch.
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = message.message_id.filter(|_| failed)?;
            Some(failure)
        }
    });
    let failures = stream::iter(handled).buffer_unordered(SIDE_BY_SIDE).filter_map(std::future::ready);
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
