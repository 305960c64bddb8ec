//! `GET /ai/jobs`: the caller's jobs.

use domain::{JobStatus, WaitingFor};
use engine::{Caller, jobs::JobQuery};

use super::job_view::{JobView, job_example};
use crate::{endpoint::prelude::*, paging};

endpoint! {
    path: "/ai/jobs", function: Jobs, scope: ActionsPreview, tag: "jobs", problems: [],
    example: || json!({ "response": { "data": [job_example()], "next_cursor": null, "has_more": false } }),
}

/// The longest text that is searched for, in characters.
const LONGEST_SEARCH: usize = 200;

/// A page of jobs, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobList {
    pub data: Vec<JobView>,
    /// The `cursor` of the next page.
    pub next_cursor: Option<String>,
    has_more: bool,
}

#[derive(Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// Only jobs with this status.
    #[param(inline)]
    #[schema(inline)]
    status: Option<JobStatus>,
    /// Only jobs that wait for this, such as `approval` or `time`.
    #[param(inline)]
    #[schema(inline)]
    waiting_for: Option<WaitingFor>,
    /// Only jobs with all of these words, or parts of words, in their title, their recipients or their action, or with
    /// these ids. A page looks through two hundred jobs at most, so it may be short although another follows.
    #[param(max_length = 200)]
    #[schema(max_length = 200)]
    search: Option<String>,
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
    /// Jobs per page, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    #[schema(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
}

/// Lists the workspace's jobs, the newest request first, and the jobs of one request in its order. A key that is bound to an
/// actor or narrowed to actions sees only those jobs; a key that may approve also sees every held job of the workspace. For a
/// bound or narrowed key, or with `waiting_for`, a page may be short although another follows.
#[utoipa::path(
    get, path = ENDPOINT.path, params(ListQuery),
    responses((status = 200, description = "A page of jobs", body = JobList))
)]
async fn handler(State(web): State<Web>, may: Authorized, Query(query): Query<ListQuery>) -> Answer<JobList> {
    Ok(Out(list(&web, &may.caller, query).await?))
}

/// A page of the caller's jobs.
pub(crate) async fn list(web: &Web, caller: &Caller, query: ListQuery) -> Result<JobList, Problem> {
    let limit = paging::limit(query.limit)?;
    let after = paging::read_cursor(query.cursor)?;
    let ListQuery { status, waiting_for, search, .. } = query;
    if search.as_ref().is_some_and(|words| words.chars().count() > LONGEST_SEARCH) {
        return Err(Problem::invalid("/search", format!("must have at most {LONGEST_SEARCH} characters")));
    }
    let page = web.engine.jobs.list(caller, JobQuery { status, waiting_for, search, after, limit }).await?;
    let data = JobView::all(web, caller, page.jobs).await?;
    let next_cursor = page.next.map(paging::cursor);
    Ok(JobList { data, has_more: next_cursor.is_some(), next_cursor })
}
