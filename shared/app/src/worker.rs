//! Drains the queue and keeps house, until it is told to stop.

use std::{sync::Arc, time::Duration};

use engine::{Engine, ports::Queue, work::Disposition};
use jiff::SignedDuration;
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
};

/// So many jobs side by side.
const SIDE_BY_SIDE: usize = 10;
/// How long to wait for a message at a time.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long things take; the default is the product's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// A worker is done with a job by then, or counts as dead.
    pub lease: SignedDuration,
    /// How often to look for jobs whose message was lost.
    pub sweep: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { lease: SignedDuration::from_secs(45), sweep: Duration::from_mins(1) }
    }
}

/// Works jobs until `stop` turns true; then finishes those in hand.
pub async fn run_worker(engine: Arc<Engine>, pace: Pace, stop: watch::Receiver<bool>) {
    let queue = Arc::clone(&engine.queue);
    let work = move |engine: Arc<Engine>, message: String| async move {
        engine.work(&message, engine.clock.now() + pace.lease).await
    };
    drain(engine, queue, stop, work).await;
}

/// Settles the jobs of messages that went to the dead letters, until `stop` turns true.
pub async fn run_dead_letters(engine: Arc<Engine>, queue: Arc<dyn Queue>, stop: watch::Receiver<bool>) {
    let settle = |engine: Arc<Engine>, message: String| async move { engine.settle_dead(&message).await };
    drain(engine, queue, stop, settle).await;
}

/// Gives each message of a queue to `handle`, some side by side, each in a task of its own.
async fn drain<H, F>(engine: Arc<Engine>, queue: Arc<dyn Queue>, mut stop: watch::Receiver<bool>, handle: H)
where
    H: Fn(Arc<Engine>, String) -> F,
    F: Future<Output = Disposition> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut tasks = JoinSet::new();
    while !*stop.borrow() {
        let Ok(first) = Arc::clone(&slots).acquire_owned().await else { break };
        drop(first);
        let received = tokio::select! {
            _ = stop.changed() => break,
            received = queue.receive(slots.available_permits().max(1), PATIENCE) => received,
        };
        match received {
            Ok(deliveries) => {
                for delivery in deliveries {
                    let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { break };
                    let handled = handle(Arc::clone(&engine), delivery.body);
                    let queue = Arc::clone(&queue);
                    tasks.spawn(async move {
                        if handled.await == Disposition::Acknowledge
                            && let Err(error) = queue.acknowledge(&delivery.receipt).await
                        {
                            // It comes again, and finds its job ended.
                            tracing::warn!(%error, "a message was not acknowledged");
                        }
                        drop(slot);
                    });
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the queue is asked again in a second");
                engine.clock.sleep(Duration::from_secs(1)).await;
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

/// A panic ends one job's task, and its message comes again.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if ended.is_err_and(|error| error.is_panic()) {
        tracing::error!("a job's task panicked; its message comes again");
    }
}

/// Looks for overdue jobs and erases what has expired, again and again, until `stop` turns true.
pub async fn run_housekeeping(engine: Arc<Engine>, pace: Pace, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            () = engine.clock.sleep(pace.sweep) => {}
        }
        if let Err(error) = engine.sweep().await {
            tracing::warn!(%error, "the sweep is tried again later");
        }
        if let Err(error) = engine.ledger.erase_expired(engine.clock.now()).await {
            tracing::warn!(%error, "what has expired is erased later");
        }
    }
}
