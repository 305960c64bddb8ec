//! `POST /ai/jobs/{job_id}/resolve`: records what a person found out about an unknown outcome.

use domain::Outcome;

use super::job_view::{JobView, job_example};
use crate::endpoint::prelude::*;

endpoint! {
    path: "/ai/jobs/{job_id}/resolve", function: Jobs, scope: ActionsExecute, tag: "jobs",
    problems: [ActionNotAllowed, JobNotFound, JobNotRetriable],
    example: || json!({ "request": { "outcome": "sent" }, "response": job_example() }),
}

/// What a person found out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResolveBody {
    outcome: Outcome,
}

/// Records the real outcome of a job whose outcome is unknown.
#[utoipa::path(
    post, path = ENDPOINT.path, params(("job_id" = uuid::Uuid, Path)),
    responses((status = 200, description = "The job, resolved", body = JobView))
)]
async fn handler(
    State(web): State<Web>,
    may: Authorized,
    Segment(id): Segment<JobId>,
    Json(body): Json<ResolveBody>,
) -> Answer<JobView> {
    let job = web.engine.jobs.resolve(&may.caller, id, body.outcome).await?;
    Ok(Out(JobView::of(&web, &may.caller, job).await?))
}
