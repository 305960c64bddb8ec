//! `POST /ai/jobs/{job_id}/retry`: tries a failed job again.

use super::job_view::{JobView, job_example};
use crate::endpoint::prelude::*;

endpoint! {
    path: "/ai/jobs/{job_id}/retry", function: Jobs, scope: ActionsExecute, tag: "jobs",
    problems: [ActionNotAllowed, JobNotFound, JobNotRetriable],
    example: || json!({ "response": job_example() }),
}

/// Tries a job again whose error shows that nothing was sent.
#[utoipa::path(
    post, path = ENDPOINT.path, params(("job_id" = uuid::Uuid, Path)),
    responses((status = 200, description = "The job, pending again", body = JobView))
)]
async fn handler(State(web): State<Web>, may: Authorized, Segment(id): Segment<JobId>, _: NoBody) -> Answer<JobView> {
    let job = web.engine.jobs.retry(&may.caller, id).await?;
    Ok(Out(JobView::of(&web, &may.caller, job).await?))
}
