//! `POST /actions/preview`: shows an action as it would go out.

use engine::preview::Preview;

use crate::endpoint::prelude::*;

endpoint! {
    path: "/actions/preview", function: Plan2, scope: ActionsPreview, tag: "actions",
    problems: [UnknownAction, InvalidParams],
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
    /// Accepted so that an action of a plan can be previewed as it is; has no effect.
    #[serde(rename = "client_request_id")]
    _client_request_id: Option<String>,
}

/// Renders one action with the code that carries it out. Nothing is sent.
#[utoipa::path(
    post, path = ENDPOINT.path,
    responses((status = 200, description = "The action as it would go out", body = Preview))
)]
async fn handler(State(web): State<Web>, may: Authorized, Json(body): Json<PreviewBody>) -> Answer<Preview> {
    let PreviewBody { provider, action, params, .. } = body;
    Ok(Out(web.engine.actions.preview(&may.caller, provider.as_deref(), &action, &params).await?))
}
