//! The loops of a worker: working jobs, settling dead letters, and housekeeping.

use std::{sync::Arc, time::Duration};

use engine::{
    Engine,
    ports::{Clock, Queue},
    work::Disposition,
};
use jiff::SignedDuration;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

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

/// Works jobs until `stop` becomes true, then finishes those in progress.
pub async fn run_worker(engine: Arc<Engine>, timing: WorkerTiming, stop: watch::Receiver<bool>) {
    let (queue, clock) = (Arc::clone(&engine.queue), Arc::clone(&engine.clock));
    let work = |message: String| {
        let engine = Arc::clone(&engine);
        async move {
            let disposition = engine.worker.work(&message, engine.clock.now() + timing.lease).await;
            engine.metrics.flush().await;
            disposition
        }
    };
    drain(&queue, &*clock, stop, work).await;
}

/// Settles the jobs of dead letters until `stop` becomes true.
pub async fn run_dead_letters(engine: Arc<Engine>, queue: Arc<dyn Queue>, stop: watch::Receiver<bool>) {
    let clock = Arc::clone(&engine.clock);
    let settle = |message: String| {
        let engine = Arc::clone(&engine);
        async move {
            let disposition = engine.worker.settle_dead(&message).await;
            engine.metrics.flush().await;
            disposition
        }
    };
    drain(&queue, &*clock, stop, settle).await;
}

/// Handles the messages of a queue, several at once, each in its own task, so that a panic affects one message only.
async fn drain<F>(
    queue: &Arc<dyn Queue>,
    clock: &dyn Clock,
    mut stop: watch::Receiver<bool>,
    handle: impl Fn(String) -> F,
) where
    F: Future<Output = Disposition> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(CONCURRENCY));
    let mut tasks = JoinSet::new();
    while !*stop.borrow() {
        let Ok(first) = Arc::clone(&slots).acquire_owned().await else { break };
        drop(first);
        let received = tokio::select! {
            _ = stop.changed() => break,
            received = queue.receive(slots.available_permits().max(1), RECEIVE_WAIT) => received,
        };
        match received {
            Ok(deliveries) => {
                for delivery in deliveries {
                    let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
                    let handled = handle(delivery.body);
                    let queue = Arc::clone(queue);
                    tasks.spawn(async move {
                        if handled.await == Disposition::Acknowledge
                            && let Err(error) = queue.acknowledge(&delivery.receipt).await
                        {
                            // It is redelivered, and its job has ended.
                            tracing::warn!(%error, "a message was not acknowledged");
                        }
                        drop(slot);
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the queue failed; the next receive follows in a second");
                clock.sleep(ERROR_PAUSE).await;
            }
        }
        while let Some(ended) = tasks.try_join_next() {
            report(ended);
        }
    }
    while let Some(ended) = tasks.join_next().await {
        report(ended);
    }
}

/// Logs a panic. Its message is redelivered.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a job's task panicked; its message is redelivered");
    }
}

/// Queues overdue jobs and erases expired records, repeatedly, until `stop` becomes true.
pub async fn run_housekeeping(engine: Arc<Engine>, timing: WorkerTiming, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            () = engine.clock.sleep(timing.sweep) => {}
        }
        if let Err(error) = engine.sweeper.sweep().await {
            tracing::warn!(%error, "the sweep failed; it runs again later");
        }
        if let Err(error) = engine.sweeper.erase_expired().await {
            tracing::warn!(%error, "expired records were not erased; the next run tries again");
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
        let (stop, stopped) = watch::channel(false);
        let stop = Arc::new(stop);
        drain(&queue, &SystemClock, stopped, |body| {
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            async move {
                let times = {
                    let mut seen = seen.lock().unwrap();
                    let message: usize = body.parse().unwrap();
                    seen[message] += 1;
                    if seen.iter().all(|times| *times >= 2) {
                        stop.send_replace(true);
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
