//! The loops of a worker: working jobs, settling dead letters, and housekeeping.

use std::{sync::Arc, time::Duration};

use engine::{
    Engine, JobMessage,
    ports::{Clock, Queue},
    work::Disposition,
};
use jiff::SignedDuration;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// How many messages are handled at once.
const CONCURRENCY: usize = 10;
/// How long one receive waits for a message.
const RECEIVE_WAIT: Duration = Duration::from_secs(20);
/// The pause after a queue error.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// Lease and sweep interval. Tests shorten them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerTiming {
    /// Lease length: after this, another worker may take the job.
    pub lease: SignedDuration,
    /// How often the sweep looks for jobs whose message was lost.
    pub sweep: Duration,
}

impl Default for WorkerTiming {
    fn default() -> Self {
        Self { lease: SignedDuration::from_secs(45), sweep: Duration::from_mins(1) }
    }
}

/// Works jobs and delivers webhooks until `stop` is cancelled, then finishes those in progress.
pub async fn run_worker(engine: Arc<Engine>, timing: WorkerTiming, stop: CancellationToken) {
    let work = |message: String| {
        let engine = engine.clone();
        async move {
            let disposition = engine.worker.work(&message, engine.clock.now() + timing.lease).await;
            engine.metrics.flush().await;
            disposition
        }
    };
    drain(&engine.queue, &*engine.clock, &stop, work).await;
}

/// Settles the jobs of dead letters until `stop` is cancelled.
pub async fn run_dead_letters(engine: Arc<Engine>, queue: Arc<dyn Queue>, stop: CancellationToken) {
    let settle = |message: String| {
        let engine = engine.clone();
        async move {
            let disposition = engine.worker.settle_dead(&message).await;
            engine.metrics.flush().await;
            disposition
        }
    };
    drain(&queue, &*engine.clock, &stop, settle).await;
}

/// Handles the messages of a queue, several at once, each in its own task, so that a panic affects one message only.
/// Deliveries of webhooks take no job's place: whoever handles them bounds them.
async fn drain<F>(queue: &Arc<dyn Queue>, clock: &dyn Clock, stop: &CancellationToken, handle: impl Fn(String) -> F)
where
    F: Future<Output = Disposition> + Send + 'static,
{
    let (mut tasks, mut webhooks) = (JoinSet::new(), JoinSet::new());
    while !stop.is_cancelled() {
        while tasks.len() >= CONCURRENCY
            && let Some(ended) = tasks.join_next().await
        {
            report(ended);
        }
        while let Some(ended) = tasks.try_join_next().or_else(|| webhooks.try_join_next()) {
            report(ended);
        }
        let receive = queue.receive(CONCURRENCY - tasks.len(), RECEIVE_WAIT);
        match stop.run_until_cancelled(receive).await {
            None => break,
            Some(Ok(deliveries)) => {
                for delivery in deliveries {
                    let tasks = if JobMessage::is_of_webhook(&delivery.body) { &mut webhooks } else { &mut tasks };
                    let (queue, handled) = (queue.clone(), handle(delivery.body));
                    tasks.spawn(async move {
                        if handled.await == Disposition::Acknowledge
                            && let Err(error) = queue.acknowledge(&delivery.receipt).await
                        {
                            // It is redelivered, and its job has ended.
                            tracing::warn!(%error, "a message was not acknowledged");
                        }
                    });
                }
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "the queue failed; the next receive follows in a second");
                clock.sleep(ERROR_PAUSE).await;
            }
        }
    }
    for tasks in [&mut tasks, &mut webhooks] {
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    }
}

/// Logs a panic. Its message is redelivered.
fn report(ended: Result<(), JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a message's task panicked; the message is redelivered");
    }
}

/// Queues overdue jobs, erases expired records and logs the audit's heads, repeatedly, until `stop` is cancelled.
pub async fn run_housekeeping(engine: Arc<Engine>, timing: WorkerTiming, stop: CancellationToken) {
    while stop.run_until_cancelled(engine.clock.sleep(timing.sweep)).await.is_some() {
        if let Err(error) = engine.sweeper.sweep().await {
            tracing::warn!(%error, "the sweep failed; it runs again later");
        }
        if let Err(error) = engine.sweeper.erase_expired().await {
            tracing::warn!(%error, "expired records were not erased; the next run tries again");
        }
        if let Err(error) = engine.sweeper.log_heads_hourly().await {
            tracing::warn!(%error, "the heads of the audit were not logged");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use adapters::{embedded::MemoryQueue, system::SystemClock};
    use engine::ports::QueuedMessage;

    use super::*;

    #[tokio::test]
    async fn a_panic_affects_one_message_only_and_it_is_redelivered() {
        let visibility = Duration::from_millis(20);
        let queue: Arc<dyn Queue> = Arc::new(MemoryQueue::new(Arc::new(SystemClock), visibility));
        let message = |body: usize| QueuedMessage {
            body: body.to_string(),
            workspace: "local".parse().unwrap(),
            delay: Duration::ZERO,
        };
        // More messages than slots, so that a panic that kept its slot would stop the rest.
        let count = 3 * CONCURRENCY;
        queue.send(&(0..count).map(message).collect::<Vec<_>>()).await.unwrap();

        let seen = Arc::new(Mutex::new(vec![0; count]));
        let stop = CancellationToken::new();
        drain(&queue, &SystemClock, &stop, |body| {
            let (seen, stop) = (Arc::clone(&seen), stop.clone());
            async move {
                let times = {
                    let mut seen = seen.lock().unwrap();
                    let message: usize = body.parse().unwrap();
                    seen[message] += 1;
                    if seen.iter().all(|times| *times >= 2) {
                        stop.cancel();
                    }
                    seen[message]
                };
                assert!(times > 1, "the first time it panics");
                Disposition::Acknowledge
            }
        })
        .await;
        assert!(seen.lock().unwrap().iter().all(|times| *times >= 2));
    }
}
