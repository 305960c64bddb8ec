use app::{
    Config,
    operator::{self, Command, Outcome},
};
use engine::{Engine, Problem, ProblemCode};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

use crate::failed::Failed;

/// Carries out the operator's commands. Everybody who may invoke this function counts as the operator: it has no route and no
/// event source. A new key is in the answer and nowhere else.
pub async fn serve(config: &Config, engine: &Engine) -> Result<(), Error> {
    let handle = async |event: LambdaEvent<Value>| {
        let outcome = run(config, engine, event.payload).await;
        engine.metrics.flush().await;
        answer(outcome)
    };
    lambda_runtime::run(service_fn(handle)).await
}

async fn run(config: &Config, engine: &Engine, event: Value) -> Result<Outcome, Problem> {
    let words = event["command"].as_str().unwrap_or_default().to_owned();
    let outcome = operator::run(config, engine, Command::read(event)?).await?;
    tracing::info!(operator.command = words, "an operator's command was carried out");
    Ok(outcome)
}

/// A command that cannot be carried out as it is has an answer that says what to change; a fault fails the invocation.
fn answer(outcome: Result<Outcome, Problem>) -> Result<Value, Failed> {
    match outcome {
        Ok(Outcome { ok, result, notes }) => Ok(json!({ "ok": ok, "result": result, "notes": notes })),
        Err(problem) if matches!(problem.code, ProblemCode::StoreUnavailable | ProblemCode::Internal) => {
            Err(problem.into())
        }
        Err(Problem { code, detail, errors, .. }) => {
            Ok(json!({ "ok": false, "error": { "code": code.as_str(), "detail": detail, "errors": errors } }))
        }
    }
}
