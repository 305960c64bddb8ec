//! `GET /ai/jobs/{job_id}`: one job, at once or when it has ended.

use std::time::Duration;

use engine::Caller;

use super::job_view::{JobView, job_example};
use crate::endpoint::prelude::*;

endpoint! {
    path: "/ai/jobs/{job_id}", function: Jobs, scope: ActionsPreview, tag: "jobs", problems: [ActionNotAllowed, JobNotFound],
    example: || json!({ "response": job_example() }),
}

/// The longest wait for a job's end, in seconds.
const MAX_WAIT: u64 = 20;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct WaitQuery {
    /// Seconds to wait for the job's end, 0 to 20.
    #[param(maximum = 20)]
    wait: Option<u64>,
}

/// Shows one job; with `wait`, as soon as it has ended or the time is up.
#[utoipa::path(
    get, path = ENDPOINT.path, params(("job_id" = uuid::Uuid, Path), WaitQuery),
    responses((status = 200, description = "The job", body = JobView))
)]
async fn handler(
    State(web): State<Web>,
    ByUseCase(may): ByUseCase,
    Segment(id): Segment<JobId>,
    Query(query): Query<WaitQuery>,
) -> Answer<JobView> {
    Ok(Out(job(&web, &may.caller, id, query.wait).await?))
}

/// A job, at once or when it has ended or these seconds have passed.
pub(crate) async fn job(web: &Web, caller: &Caller, id: JobId, wait: Option<u64>) -> Result<JobView, Problem> {
    let wait = wait.unwrap_or(0);
    if wait > MAX_WAIT {
        return Err(Problem::invalid("/wait", "must be 0 to 20 seconds"));
    }
    let wait = Duration::from_secs(wait).min(web.longest_wait);
    let job = web.engine.jobs.when_ended(caller, id, wait).await?;
    JobView::of(web, caller, job).await
}
