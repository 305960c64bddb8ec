use axum::{Json as Out, extract::State};
use domain::{ActionId, AuditEntry, JobId, KeyId, PlanId, Provider, Rule};
use engine::{Problem, ports::AuditPosition};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    Web,
    body::Query,
    door::{AuditRead, May},
    problem::{Problems, Refused},
};

/// How many entries of a page, where the request does not say, and the most.
const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

/// A page of the audit, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditList {
    data: Vec<AuditView>,
    /// Give it as `cursor` for the next page.
    next_cursor: Option<String>,
    has_more: bool,
}

/// Who asked for what, which rule decided, what came of it: hashes, never contents.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditView {
    entry_id: Uuid,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    #[schema(example = "job.accepted")]
    event: &'static str,
    /// `key`, `keyless`, `worker` or `command-line`.
    by: &'static str,
    /// The public part of the API key that it was done with, or to.
    #[schema(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// The SHA-256 of `workspace:actor`, in hex.
    actor_sha256: Option<String>,
    /// The rules that said yes; of what was refused, the one that said no.
    #[schema(value_type = Vec<String>, example = json!(["deployment", "rollout 100"]))]
    rules: Vec<Rule>,
    /// The code of the problem, or of the job's error.
    code: Option<String>,
    #[schema(value_type = Option<String>)]
    provider: Option<Provider>,
    #[schema(value_type = Option<String>)]
    action: Option<ActionId>,
    #[schema(value_type = Option<Uuid>)]
    job_id: Option<JobId>,
    #[schema(value_type = Option<Uuid>)]
    plan_id: Option<PlanId>,
    /// The SHA-256 of what was asked: of a job its action with its canonical params, of a plan its prompt.
    sha256: Option<String>,
    /// The SHA-256 of what was sent, as in the job's result.
    content_sha256: Option<String>,
    /// What a setting was changed to.
    value: Option<String>,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        Self {
            entry_id: entry.entry_id,
            at: entry.at,
            event: entry.event.as_str(),
            by: entry.by.as_str(),
            key_id: entry.key_id,
            actor_sha256: entry.actor.map(|actor| actor.as_str().to_owned()),
            rules: entry.rules,
            code: entry.code,
            provider: entry.provider,
            action: entry.action,
            job_id: entry.job_id,
            plan_id: entry.plan_id,
            sha256: entry.sha256,
            content_sha256: entry.content_sha256,
            value: entry.value,
        }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
}

/// What was asked for in the workspace, by whom, and which rule decided; newest first, for 400 days.
#[utoipa::path(
    get, path = "/audit", operation_id = "list_audit", tag = "audit", security(("key" = ["audit:read"])), params(AuditQuery),
    responses(
        (status = 200, description = "A page of the audit", body = AuditList),
        Problems,
    )
)]
pub(crate) async fn list(
    State(web): State<Web>,
    may: May<AuditRead>,
    Query(query): Query<AuditQuery>,
) -> Result<Out<AuditList>, Refused> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid("/limit", "must be 1 to 100").into());
    }
    let after = query.cursor.map(|cursor| read_cursor(&cursor));
    let after = after.map(|after| after.ok_or_else(|| Problem::invalid("/cursor", "is not a next_cursor of ours")));
    let page =
        web.engine.auditor.page(Some(may.caller.workspace), after.transpose()?, limit).await.map_err(Problem::from)?;
    Ok(Out(AuditList {
        has_more: page.next.is_some(),
        next_cursor: page.next.map(|next| format!("{}.{}", next.at.as_microsecond(), next.entry_id)),
        data: page.entries.into_iter().map(AuditView::from).collect(),
    }))
}

fn read_cursor(text: &str) -> Option<AuditPosition> {
    let (at, entry_id) = text.split_once('.')?;
    let at = Timestamp::from_microsecond(at.parse().ok()?).ok()?;
    Some(AuditPosition { at, entry_id: entry_id.parse().ok()? })
}
