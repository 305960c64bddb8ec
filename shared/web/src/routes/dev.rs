use axum::{Json as Out, Router, extract::State, http::header, response::IntoResponse, routing::get};
use domain::JobId;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    Web,
    door::{ActionsPreview, May},
    problem::{Problems, Refused},
};

/// What the page may load: its own script and style, and this API.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The Dev UI's files, part of the program, so that it runs from any folder.
pub(crate) fn files() -> Router<Web> {
    let file = |content_type: &'static str, text: &'static str| {
        get(async move || {
            ([(header::CONTENT_TYPE, content_type), (header::CONTENT_SECURITY_POLICY, POLICY)], text).into_response()
        })
    };
    let html = include_str!("../../../../static/dev/action-runner.html");
    let script = include_str!("../../../../static/dev/action-runner.js");
    let style = include_str!("../../../../static/dev/style.css");
    Router::new()
        .route("/dev/action-runner.html", file("text/html; charset=utf-8", html))
        .route("/dev/action-runner.js", file("text/javascript; charset=utf-8", script))
        .route("/dev/style.css", file("text/css; charset=utf-8", style))
}

/// What the workspace would have sent, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Outbox {
    data: Vec<OutboxMail>,
}

/// One mail that sandbox mode wrote instead of sending it.
#[derive(Serialize, ToSchema)]
pub(crate) struct OutboxMail {
    #[schema(value_type = uuid::Uuid)]
    job_id: JobId,
    #[schema(value_type = String, format = DateTime)]
    written_at: Timestamp,
    #[schema(value_type = String)]
    provider: Value,
    #[schema(value_type = String)]
    action: Value,
    #[schema(value_type = Option<String>)]
    from: Value,
    #[schema(value_type = Object)]
    to: Value,
    #[schema(value_type = String)]
    subject: Value,
    /// `message/rfc822` or `application/json`.
    #[schema(value_type = String)]
    content_type: Value,
    /// The very text that would have gone out.
    #[schema(value_type = String)]
    body: Value,
}

/// What sandbox mode wrote instead of sending it.
#[utoipa::path(
    get, path = "/dev/outbox", tag = "dev", security(("key" = ["actions:preview"])),
    responses(
        (status = 200, description = "The newest 100 mails", body = Outbox),
        Problems,
    )
)]
pub(crate) async fn outbox(State(web): State<Web>, may: May<ActionsPreview>) -> Result<Out<Outbox>, Refused> {
    let entries = web.engine.outbox(&may.caller).await?;
    let data = entries.into_iter().map(|(entry, mut mail)| {
        let mut params = mail["params"].take();
        OutboxMail {
            job_id: entry.job_id,
            written_at: entry.written_at,
            provider: mail["provider"].take(),
            action: mail["action"].take(),
            from: mail["from"].take(),
            to: params["to"].take(),
            subject: params["subject"].take(),
            content_type: mail["content_type"].take(),
            body: mail["body"].take(),
        }
    });
    Ok(Out(Outbox { data: data.collect() }))
}
