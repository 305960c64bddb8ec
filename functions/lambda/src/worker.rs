use std::{sync::Arc, time::Duration};

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use engine::Engine;
use jiff::Timestamp;
use lambda_runtime::{Error, LambdaEvent, service_fn};

use crate::batch;

/// So much before the deadline, what is not done is given up, so that the rest of the batch is not lost with it.
const RESERVE: Duration = Duration::from_secs(1);

/// Works the jobs that messages name, each under a lease until the invocation's deadline.
pub async fn serve(engine: Arc<Engine>) -> Result<(), Error> {
    lambda_runtime::run(service_fn(async |event| handle(&engine, event).await)).await
}

async fn handle(engine: &Arc<Engine>, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
    let deadline = Timestamp::from_millisecond(event.context.deadline.try_into()?)?;
    let left = deadline.duration_since(engine.clock.now());
    let time = Duration::try_from(left).unwrap_or_default().saturating_sub(RESERVE);
    let work = |message: String| {
        let engine = Arc::clone(engine);
        async move { engine.worker.work(&message, deadline).await }
    };
    let response = batch::each(event.payload.records, time, work).await;
    engine.metrics.flush().await;
    Ok(response)
}
