//! `POST /ai/jobs/{job_id}/reject`: rejects a held job.

use super::job_view::{JobView, job_example};
use crate::{body::Maybe, endpoint::prelude::*};

endpoint! {
    path: "/ai/jobs/{job_id}/reject", function: Jobs, scope: ActionsApprove, tag: "jobs",
    problems: [ActionNotAllowed, JobNotFound, NotHeld, ApprovalMismatch],
    example: || json!({
        "request": { "payload_sha256": job_example()["payload_sha256"] }, "response": job_example()
    }),
}

/// What is rejected.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RejectBody {
    /// The job's `payload_sha256`, as it was shown to the one who rejects; optional.
    payload_sha256: Option<String>,
}

/// Rejects a held job, which ends in an error. Nothing of it was done.
#[utoipa::path(
    post, path = ENDPOINT.path, params(("job_id" = uuid::Uuid, Path)), request_body = Option<RejectBody>,
    responses((status = 200, description = "The job, rejected", body = JobView))
)]
async fn handler(
    State(web): State<Web>,
    may: Authorized,
    Segment(id): Segment<JobId>,
    Maybe(body): Maybe<RejectBody>,
) -> Answer<JobView> {
    let job = web.engine.jobs.decide(&may.caller, id, false, body.payload_sha256.as_deref()).await?;
    Ok(Out(JobView::of(&web, &may.caller, job).await?))
}
