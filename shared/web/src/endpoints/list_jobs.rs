//! `GET /ai/jobs`: the caller's jobs.

use domain::{JobStatus, WaitingFor};

use super::job_view::{JobView, job_example};
use crate::{endpoint::prelude::*, paging};

endpoint! {
    path: "/ai/jobs", function: Jobs, scope: ActionsPreview, tag: "jobs", problems: [],
    example: || json!({ "response": { "data": [job_example()], "next_cursor": null, "has_more": false } }),
}

/// A page of jobs, newest first.
#[derive(Serialize, ToSchema)]
struct JobList {
    data: Vec<JobView>,
    /// The `cursor` of the next page.
    next_cursor: Option<String>,
    has_more: bool,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only jobs with this status.
    #[param(inline)]
    status: Option<JobStatus>,
    /// Only jobs that wait for this, such as `approval` or `time`.
    #[param(inline)]
    waiting_for: Option<WaitingFor>,
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Jobs per page, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
}

/// Lists the workspace's jobs, the newest request first, and the jobs of one request in its order. For a key that is bound
/// to an actor or narrowed to actions, only those; or while they wait for
/// one thing, a page may be short although another follows. A key that may approve sees every held job of the workspace, too.
#[utoipa::path(
    get, path = ENDPOINT.path, params(ListQuery),
    responses((status = 200, description = "A page of jobs", body = JobList))
)]
async fn handler(State(web): State<Web>, may: Authorized, Query(query): Query<ListQuery>) -> Answer<JobList> {
    let limit = paging::limit(query.limit)?;
    let after = paging::read_cursor(query.cursor)?;
    let page = web.engine.jobs.list(&may.caller, query.status, query.waiting_for, after, limit).await?;
    let data = JobView::all(&web, &may.caller, page.jobs).await?;
    let next_cursor = page.next.map(paging::cursor);
    Ok(Out(JobList { data, has_more: next_cursor.is_some(), next_cursor }))
}
