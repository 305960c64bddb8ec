use axum::{Json as Out, extract::State};
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
    #[schema(value_type = Recipients)]
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

/// One address, or more.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes what a mail's params hold")]
pub(crate) enum Recipients {
    One(String),
    More(Vec<String>),
}

/// What sandbox mode wrote instead of sending it.
#[utoipa::path(
    get, path = "/dev/outbox", operation_id = "list_outbox", tag = "dev", security(("key" = ["actions:preview"])),
    responses(
        (status = 200, description = "The newest 100 mails", body = Outbox),
        Problems,
    )
)]
pub(crate) async fn outbox(State(web): State<Web>, may: May<ActionsPreview>) -> Result<Out<Outbox>, Refused> {
    let entries = web.engine.jobs.outbox(&may.caller).await?;
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
