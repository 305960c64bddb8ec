//! `POST /ai/jobs/{job_id}/approve`: approves a held job.

use super::job_view::{JobView, job_example};
use crate::endpoint::prelude::*;

endpoint! {
    path: "/ai/jobs/{job_id}/approve", function: Jobs, scope: ActionsApprove, tag: "jobs",
    problems: [ActionNotAllowed, SecondPersonRequired, JobNotFound, NotHeld, ApprovalMismatch],
    example: || json!({
        "request": { "payload_sha256": job_example()["payload_sha256"] }, "response": job_example()
    }),
}

/// What is approved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ApproveBody {
    /// The job's `payload_sha256`, as it was shown to the one who approves.
    payload_sha256: String,
}

/// Approves a held job, which then goes at its time. Nothing of it changes, and everything is checked again before it goes.
#[utoipa::path(
    post, path = ENDPOINT.path, params(("job_id" = uuid::Uuid, Path)),
    responses((status = 200, description = "The job, approved", body = JobView))
)]
async fn handler(
    State(web): State<Web>,
    may: Authorized,
    Segment(id): Segment<JobId>,
    Json(body): Json<ApproveBody>,
) -> Answer<JobView> {
    let job = web.engine.jobs.decide(&may.caller, id, true, Some(&body.payload_sha256)).await?;
    Ok(Out(JobView::of(&web, &may.caller, job).await?))
}
