use std::{sync::Arc, time::Duration};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use engine::Engine;
use lambda_runtime::{Error, LambdaEvent, service_fn};

use crate::batch;

/// Messages that are not settled by then are delivered again.
const TIME: Duration = Duration::from_secs(20);

/// Settles the jobs of messages that were delivered too often. A message of a later version stays in the queue, for an
/// upgrade; one that nobody can read is counted and gone.
pub async fn serve(engine: Arc<Engine>) -> Result<(), Error> {
    lambda_runtime::run(service_fn(async |event| handle(&engine, event).await)).await
}

async fn handle(engine: &Arc<Engine>, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    let settle = |message: String| {
        let engine = Arc::clone(engine);
        async move { engine.worker.settle_dead(&message).await }
    };
    let response = batch::each(event.payload.records, TIME, settle).await;
    engine.metrics.flush().await;
    Ok(response)
}
