use axum::{Json as Out, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    Web,
    body::Json,
    door::{ActionsPreview, May},
    problem::{Problems, Refused},
};

/// One action to show.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviewBody {
    /// Whose service; may be left out.
    #[schema(example = "google")]
    provider: Option<String>,
    /// Which action of the catalogue.
    #[schema(example = "gmail.send")]
    action: String,
    /// Its params.
    #[schema(value_type = Object)]
    params: Value,
    /// Taken so that an action of a plan can be shown as it is; it changes nothing.
    #[serde(rename = "client_request_id")]
    _client_request_id: Option<String>,
}

/// The action as it would go out.
#[derive(Serialize, ToSchema)]
pub(crate) struct PreviewResponse {
    /// `message/rfc822` or `application/json`.
    content_type: &'static str,
    /// The very text, but for its date and ids.
    body: String,
    /// The SHA-256 of the text without Date and Message-ID and with a fixed boundary; a completed
    /// job's `content_sha256` is the same.
    sha256: String,
    /// The address that would send it, where it is known.
    from: Option<String>,
    /// What a person should know.
    warnings: Vec<String>,
}

/// Renders one action by the code that sends it, and sends nothing.
#[utoipa::path(
    post, path = "/actions/preview", operation_id = "preview_action", tag = "actions", security(("key" = ["actions:preview"])),
    request_body = PreviewBody,
    responses(
        (status = 200, description = "The action as it would go out", body = PreviewResponse),
        Problems,
    )
)]
pub(crate) async fn preview(
    State(web): State<Web>,
    may: May<ActionsPreview>,
    Json(body): Json<PreviewBody>,
) -> Result<Out<PreviewResponse>, Refused> {
    let preview =
        web.engine.previewer.preview(&may.caller, body.provider.as_deref(), &body.action, &body.params).await?;
    Ok(Out(PreviewResponse {
        content_type: preview.rendered.content_type,
        body: preview.rendered.body,
        sha256: preview.sha256,
        from: preview.from.map(|from| from.addr_spec()),
        warnings: preview.rendered.warnings,
    }))
}
