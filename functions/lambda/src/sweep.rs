use std::sync::Arc;

use engine::Engine;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

use crate::failed::Failed;

/// Queues the jobs whose message was lost, erases what has expired, and logs the audit's heads, whatever the event. Each is
/// tried when another fails, too; a failure of any is the invocation's.
pub async fn serve(engine: Arc<Engine>) -> Result<(), Error> {
    let handle = async |_: LambdaEvent<Value>| {
        let swept = engine.sweeper.sweep().await;
        let erased = engine.sweeper.erase_expired().await;
        let logged = engine.sweeper.log_heads_hourly().await;
        engine.metrics.flush().await;
        swept?;
        erased?;
        logged?;
        Ok::<(), Failed>(())
    };
    lambda_runtime::run(service_fn(handle)).await
}
