//! A job as callers see it; shared by the endpoints of jobs.

use domain::{Job, JobError, JobStatus};
use jiff::Timestamp;
use uuid::Uuid;

use crate::endpoint::prelude::*;

/// A job as a caller sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobView {
    job_id: Uuid,
    status: JobStatus,
    /// The result of a completed job: the provider's ids, the account's address, the SHA-256 of the content; `presumed`
    /// if it follows from evidence, not from the provider's answer.
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
    error: Option<JobError>,
    /// From the first claim to the end, in milliseconds.
    duration_ms: Option<u64>,
    #[schema(example = "google")]
    provider: &'static str,
    #[schema(example = "gmail.send")]
    action: String,
    client_request_id: String,
    /// How often a worker claimed it.
    attempts: u32,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl JobView {
    pub async fn of(web: &Web, job: Job) -> Result<Self, Problem> {
        let result = web.engine.jobs.result(&job).await?;
        let duration = job.duration().map(|took| took.unsigned_abs().as_millis());
        Ok(Self {
            duration_ms: duration.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            job_id: job.job_id.0,
            status: job.state.status(),
            result,
            error: job.error,
            provider: job.provider.as_str(),
            action: job.action.into(),
            client_request_id: job.client_request_id.into(),
            attempts: job.attempts,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
        })
    }
}

/// An example of a job.
pub(crate) fn job_example() -> Value {
    example(include_str!("job.json"))
}
