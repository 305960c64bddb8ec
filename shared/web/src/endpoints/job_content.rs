//! `GET /ai/jobs/{job_id}/content`: what a job sent or will send.

use engine::job_contents::JobContent;

use crate::endpoint::prelude::*;

endpoint! {
    path: "/ai/jobs/{job_id}/content", function: Jobs, scope: ActionsPreview, tag: "jobs", problems: [ActionNotAllowed, JobNotFound],
    example: || example(include_str!("job_content.json")),
}

/// Shows what a job sent or will send. Once its contents are erased, seven days after its end, `raw` and the action's
/// fields are gone, and `contents_erased_at` tells since when.
#[utoipa::path(
    get, path = ENDPOINT.path, params(("job_id" = uuid::Uuid, Path)),
    responses((status = 200, description = "The content", body = JobContent))
)]
async fn handler(State(web): State<Web>, may: Authorized, Segment(id): Segment<JobId>) -> Answer<JobContent> {
    Ok(Out(web.engine.jobs.content(&may.caller, id).await?))
}
