//! `POST /actions/preview`: shows an action as it would go out.

use domain::{ClientRequestId, PlanId, SendAt, Sources};
use engine::{catalogue::RequestedAction, preview::Preview};

use serde::de::IgnoredAny;

use crate::endpoint::prelude::*;

endpoint! {
    path: "/actions/preview", function: Plan2, scope: ActionsPreview, tag: "actions",
    problems: [UnknownAction, InvalidParams, PlanNotFound],
    example: || example(include_str!("preview_action.json")),
}

/// One action to show.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PreviewBody {
    /// The action's provider; optional.
    #[schema(example = "google")]
    provider: Option<String>,
    /// The action's id in the catalogue.
    #[schema(example = "gmail.send")]
    action: String,
    /// Its params.
    #[schema(value_type = Object)]
    params: Value,
    /// Its idempotency key: a job of this key is no duplicate of it.
    #[schema(value_type = Option<String>)]
    client_request_id: Option<ClientRequestId>,
    /// When it is to be carried out, as a plan's action says; it changes nothing of what goes out.
    #[schema(value_type = Option<String>, format = DateTime)]
    send_at: Option<SendAt>,
    /// What a plan says of its recipients. It may stay, and is not read.
    #[serde(default, rename = "recipients")]
    #[schema(value_type = Option<Vec<Object>>)]
    _recipients: Option<IgnoredAny>,
    /// The plan that holds it, whose prompt and answers tell which links are foreign.
    #[schema(value_type = Option<uuid::Uuid>)]
    plan_id: Option<PlanId>,
}

/// Renders one action with the code that carries it out. Nothing is sent.
#[utoipa::path(
    post, path = ENDPOINT.path,
    responses((status = 200, description = "The action as it would go out", body = Preview))
)]
async fn handler(State(web): State<Web>, may: Authorized, Json(body): Json<PreviewBody>) -> Answer<Preview> {
    let PreviewBody { provider, action, params, client_request_id, send_at, plan_id, .. } = body;
    let sources = Sources::default();
    let asked = RequestedAction { provider, action, params, client_request_id, send_at, recipients: None, sources };
    Ok(Out(web.engine.actions.preview(&may.caller, &asked, plan_id).await?))
}
