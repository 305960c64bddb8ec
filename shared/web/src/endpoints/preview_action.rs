//! `POST /actions/preview`: shows an action as it would go out.

use domain::Warning;

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

/// The action as it would go out.
#[derive(Serialize, ToSchema)]
struct PreviewResponse {
    /// `message/rfc822` or `application/json`.
    content_type: &'static str,
    /// The exact text, except for its date and ids.
    body: String,
    /// The SHA-256 of the text without Date and Message-ID and with a fixed boundary; the `content_sha256` of the
    /// completed job is the same.
    sha256: String,
    /// The account's address, if it is known.
    from: Option<String>,
    /// What a person should know.
    warnings: Vec<Warning>,
}

/// Renders one action with the code that carries it out. Nothing is sent.
#[utoipa::path(
    post, path = ENDPOINT.path,
    responses((status = 200, description = "The action as it would go out", body = PreviewResponse))
)]
async fn handler(State(web): State<Web>, may: Authorized, Json(body): Json<PreviewBody>) -> Answer<PreviewResponse> {
    let preview =
        web.engine.previewer.preview(&may.caller, body.provider.as_deref(), &body.action, &body.params).await?;
    Ok(Out(PreviewResponse {
        content_type: preview.rendered.content_type,
        body: preview.rendered.body,
        sha256: preview.sha256,
        from: preview.from.map(|from| from.addr_spec()),
        warnings: preview.warnings,
    }))
}
