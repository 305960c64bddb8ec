//! `POST /ai/jobs/{job_id}/cancel`: cancels a pending job.

use super::job_view::{JobView, job_example};
use crate::endpoint::prelude::*;

endpoint! {
    path: "/ai/jobs/{job_id}/cancel", function: Jobs, scope: ActionsExecute, tag: "jobs",
    problems: [ActionNotAllowed, JobNotFound, JobNotRetriable],
    example: || json!({ "response": job_example() }),
}

/// Cancels a pending job.
#[utoipa::path(
    post, path = ENDPOINT.path, params(("job_id" = uuid::Uuid, Path)),
    responses((status = 200, description = "The job, cancelled", body = JobView))
)]
async fn handler(State(web): State<Web>, may: Authorized, Segment(id): Segment<JobId>, _: NoBody) -> Answer<JobView> {
    let job = web.engine.jobs.cancel(&may.caller, id).await?;
    Ok(Out(JobView::of(&web, &may.caller, job).await?))
}
