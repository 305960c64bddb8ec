//! `GET /dev/outbox`: the actions that sandbox mode recorded.

use domain::Effect;
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
#[derive(Serialize, Deserialize, ToSchema)]
struct OutboxEntry {
    job_id: Uuid,
    written_at: Timestamp,
    provider: String,
    action: String,
    /// `draft`, `change` or `send`; null in an entry of an earlier version.
    #[schema(value_type = Option<String>, example = "send")]
    effect: Option<Effect>,
    from: Option<String>,
    /// The action's title in a list, such as an event's title.
    title: String,
    /// Everyone whom it would have reached.
    recipients: Vec<String>,
    /// The action's params.
    #[schema(value_type = Object)]
    params: Value,
    /// `to` of the params; only for actions that have it.
    #[serde(skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Option<domain::OneOrMany>)]
    to: Value,
    /// `subject` of the params; only for actions that have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// `message/rfc822` or `application/json`.
    content_type: String,
    /// The exact text that would have gone out.
    body: String,
    /// The entry cannot be read: of its fields, only the job's id and the time are known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unreadable: bool,
}

/// Lists the actions that sandbox mode recorded instead of carrying them out.
#[utoipa::path(
    get, path = ENDPOINT.path,
    responses((status = 200, description = "The newest 100 entries", body = Outbox))
)]
async fn handler(State(web): State<Web>, may: Authorized) -> Answer<Outbox> {
    let entries = web.engine.jobs.outbox(&may.caller).await?;
    let data = entries.into_iter().map(|(entry, recorded)| {
        let known = |mut recorded: Value| {
            recorded["job_id"] = json!(entry.job_id);
            recorded["written_at"] = json!(entry.written_at);
            for name in ["to", "subject"] {
                recorded[name] = recorded["params"][name].clone();
            }
            serde_json::from_value(recorded).ok()
        };
        recorded.and_then(known).unwrap_or_else(|| OutboxEntry::unreadable(entry.job_id.0, entry.written_at))
    });
    Ok(Out(Outbox { data: data.collect() }))
}

impl OutboxEntry {
    fn unreadable(job_id: Uuid, written_at: Timestamp) -> Self {
        Self {
            job_id,
            written_at,
            provider: String::new(),
            action: String::new(),
            effect: None,
            from: None,
            title: String::new(),
            recipients: Vec::new(),
            params: json!({}),
            to: Value::Null,
            subject: None,
            content_type: String::new(),
            body: String::new(),
            unreadable: true,
        }
    }
}
