//! Webhook endpoints as the operator sees them: their URLs and secrets are sealed, and stay so.

use domain::{Endpoint, EndpointId, WorkspaceId};
use engine::{Engine, Problem, webhooks::By};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Outcome, Workspace};

/// A workspace's webhook endpoints.
pub enum Webhooks {
    /// List them.
    List(Workspace),
    /// Send a test to one. If it was disabled since it failed, it is active again once a test reaches it.
    Test(One),
    /// Remove one.
    Remove(One),
}

/// A webhook endpoint.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct One {
    workspace: WorkspaceId,
    id: EndpointId,
}

pub(super) async fn run(engine: &Engine, command: Webhooks) -> Result<Outcome, Problem> {
    match command {
        Webhooks::List(Workspace { workspace }) => {
            let endpoints = engine.webhooks.endpoints(By::Operator(&workspace)).await?;
            Ok(Outcome::of(endpoints.iter().map(row).collect()))
        }
        Webhooks::Test(One { workspace, id }) => {
            let delivery = engine.webhooks.test(By::Operator(&workspace), id).await?;
            let note = "A worker sends the test now; `webhooks list` tells whether the endpoint is active.".to_owned();
            Ok(Outcome { notes: vec![note], ..Outcome::of(json!({ "webhook_id": delivery.delivery_id })) })
        }
        Webhooks::Remove(One { workspace, id }) => {
            engine.webhooks.remove(By::Operator(&workspace), id).await?;
            Ok(Outcome::of(json!({ "done": format!("{id} is removed") })))
        }
    }
}

fn row(endpoint: &Endpoint) -> Value {
    json!({
        "id": endpoint.endpoint_id,
        "events": endpoint.events,
        "status": endpoint.status(),
        "disabled_because": endpoint.disabled.map(|disabled| disabled.because),
        "disabled_at": endpoint.disabled.map(|disabled| disabled.at),
        "created_at": endpoint.created_at,
    })
}
