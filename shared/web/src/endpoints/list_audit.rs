//! `GET /audit`: the audit log of the workspace.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{endpoint::prelude::*, paging};

endpoint! {
    path: "/audit", function: Jobs, scope: AuditRead, tag: "audit", problems: [],
    example: || example(include_str!("list_audit.json")),
}

/// A page of the audit log, newest first.
#[derive(Serialize, ToSchema)]
struct AuditList {
    data: Vec<AuditView>,
    /// The `cursor` of the next page.
    next_cursor: Option<String>,
    has_more: bool,
}

/// A request, the rules that decided, and the result: hashes, never contents.
#[derive(Serialize, Deserialize, ToSchema)]
struct AuditView {
    entry_id: Uuid,
    at: Timestamp,
    #[schema(example = "job.accepted")]
    event: String,
    /// `key`, `keyless`, `worker` or `command-line`.
    by: String,
    /// The public part of the API key that was used or changed.
    key_id: Option<String>,
    /// Whom it is for: the SHA-256 of `workspace:actor`, in hex.
    #[serde(rename(deserialize = "actor"))]
    actor_sha256: Option<String>,
    /// Who asked for it: the same of the actor that the key is bound to, or of the key's id; null for what a worker did.
    #[serde(rename(deserialize = "by_actor"))]
    by_actor_sha256: Option<String>,
    /// The rules that allowed it; for a refusal, the rule that refused.
    #[schema(example = json!(["deployment", "rollout 100"]), required = true)]
    #[serde(default)]
    rules: Vec<String>,
    /// The code of the problem, or of the job's error.
    code: Option<String>,
    provider: Option<String>,
    action: Option<String>,
    job_id: Option<Uuid>,
    plan_id: Option<Uuid>,
    /// The SHA-256 of the request: for a job, its action and canonical params; for a plan, its prompt.
    sha256: Option<String>,
    /// The SHA-256 of what was sent, as in the job's result.
    content_sha256: Option<String>,
    /// The new value of a setting.
    value: Option<String>,
    /// The chain of the workspace that the entry is in; null for an entry from before there were chains.
    chain: Option<u8>,
    /// The entry's number in its chain, from 1.
    sequence: Option<u64>,
    /// The `hash` of the entry before it in its chain.
    previous_hash: Option<String>,
    /// The SHA-256 of the stored entry with `previous_hash`.
    hash: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct AuditQuery {
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Entries per page, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
}

/// Lists the workspace's requests of the last 400 days, with the rules that decided; newest first. A key that is bound
/// to an actor or narrowed to actions sees only those of its own; then a page may be short although another follows.
#[utoipa::path(
    get, path = ENDPOINT.path, params(AuditQuery),
    responses((status = 200, description = "A page of the audit log", body = AuditList))
)]
async fn handler(State(web): State<Web>, may: Authorized, Query(query): Query<AuditQuery>) -> Answer<AuditList> {
    let limit = paging::limit(query.limit)?;
    let after = paging::read_cursor(query.cursor)?;
    let caller = &may.caller;
    let page = web.engine.auditor.page(Some(caller.workspace.clone()), Some(caller), after, limit).await;
    let page = page.map_err(Problem::from)?;
    // A stored entry has the fields of its view, but leaves out those that are not set.
    let data = serde_json::from_value(json!(page.entries));
    Ok(Out(AuditList {
        has_more: page.next.is_some(),
        next_cursor: page.next.map(paging::cursor),
        data: data.map_err(|error| Problem::new(ProblemCode::Internal, error.to_string()))?,
    }))
}
