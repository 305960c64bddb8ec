use axum::{Json as Out, extract::State};
use domain::Provider;
use engine::{Problem, ProblemCode, catalogue::Mode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    Web,
    body::Segment,
    door::{ActionsPreview, May},
    problem::{Problems, Refused},
};

/// A workspace's connection with a provider.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConnectionStatus {
    #[schema(value_type = String, example = "google")]
    provider: Provider,
    connected: bool,
    /// `live`, `sandbox` or `not_connected`.
    mode: &'static str,
    /// The address that sends, where it is known.
    address: Option<String>,
}

/// Whether a provider is connected, and as which address.
#[utoipa::path(
    get, path = "/oauth/{provider}/status", operation_id = "connection_status", tag = "connections", security(("key" = ["actions:preview"])),
    params(("provider" = String, Path, example = "google")),
    responses(
        (status = 200, description = "The connection", body = ConnectionStatus),
        Problems,
    )
)]
pub(crate) async fn status(
    State(web): State<Web>,
    may: May<ActionsPreview>,
    Segment(provider): Segment,
) -> Result<Out<ConnectionStatus>, Refused> {
    let provider: Provider = provider.parse().map_err(|_| {
        Problem::new(ProblemCode::NotFound, "there is no such provider; there are google and microsoft")
    })?;
    let (mode, address) = web.engine.mode(&may.caller, provider).await?;
    Ok(Out(ConnectionStatus {
        provider,
        connected: mode == Mode::Live,
        mode: mode.as_str(),
        address: address.map(|address| address.addr_spec()),
    }))
}
