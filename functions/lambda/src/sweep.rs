use std::sync::Arc;

use engine::Engine;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

/// Queues the jobs whose message was lost, and erases what has expired, whatever the event. The second is tried
/// when the first fails, too; a failure of either is the invocation's.
pub async fn serve(engine: Arc<Engine>) -> Result<(), Error> {
    let handle = async |_: LambdaEvent<Value>| {
        let swept = engine.sweeper.sweep().await;
        let erased = engine.sweeper.erase_expired().await;
        engine.metrics.flush().await;
        swept?;
        erased?;
        Ok::<(), Error>(())
    };
    lambda_runtime::run(service_fn(handle)).await
}
