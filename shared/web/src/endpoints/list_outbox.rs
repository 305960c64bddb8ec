//! `GET /dev/outbox`: the actions that sandbox mode recorded.

use jiff::Timestamp;
use uuid::Uuid;

use crate::endpoint::prelude::*;

endpoint! {
    path: "/dev/outbox", function: Jobs, scope: ActionsPreview, tag: "dev", problems: [],
    example: || example(include_str!("list_outbox.json")),
}

/// The newest entries of the sandbox, newest first.
#[derive(Serialize, ToSchema)]
struct Outbox {
    data: Vec<OutboxEntry>,
}

/// An action that sandbox mode recorded instead of carrying it out.
#[derive(Serialize, ToSchema)]
struct OutboxEntry {
    job_id: Uuid,
    written_at: Timestamp,
    #[schema(value_type = String)]
    provider: Value,
    #[schema(value_type = String)]
    action: Value,
    #[schema(value_type = Option<String>)]
    from: Value,
    /// The action's title in a list, such as an event's title.
    #[schema(value_type = String)]
    title: Value,
    /// Everyone whom it would have reached.
    #[schema(value_type = Vec<String>)]
    recipients: Value,
    /// The action's params.
    #[schema(value_type = Object)]
    params: Value,
    /// `to` of the params; only for actions that have it.
    #[serde(skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Option<domain::OneOrMany>)]
    to: Value,
    /// `subject` of the params; only for actions that have it.
    #[serde(skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Option<String>)]
    subject: Value,
    /// `message/rfc822` or `application/json`.
    #[schema(value_type = String)]
    content_type: Value,
    /// The exact text that would have gone out.
    #[schema(value_type = String)]
    body: Value,
}

/// Lists the actions that sandbox mode recorded instead of carrying them out.
#[utoipa::path(
    get, path = ENDPOINT.path,
    responses((status = 200, description = "The newest 100 entries", body = Outbox))
)]
async fn handler(State(web): State<Web>, may: Authorized) -> Answer<Outbox> {
    let entries = web.engine.jobs.outbox(&may.caller).await?;
    let data = entries.into_iter().map(|(entry, mut recorded)| {
        let params = recorded["params"].take();
        OutboxEntry {
            job_id: entry.job_id.0,
            written_at: entry.written_at,
            provider: recorded["provider"].take(),
            action: recorded["action"].take(),
            from: recorded["from"].take(),
            title: recorded["title"].take(),
            recipients: recorded["recipients"].take(),
            to: params["to"].clone(),
            subject: params["subject"].clone(),
            params,
            content_type: recorded["content_type"].take(),
            body: recorded["body"].take(),
        }
    });
    Ok(Out(Outbox { data: data.collect() }))
}
