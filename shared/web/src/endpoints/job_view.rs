//! A job as callers see it; shared by the endpoints of jobs.

use domain::{Because, Effect, Job, JobError, JobStatus, Scope, WaitingFor};
use engine::{Caller, job_contents::JobSummary, jobs::Opened};
use futures_util::future::try_join_all;
use jiff::Timestamp;
use uuid::Uuid;

use crate::endpoint::prelude::*;

/// A job as a caller sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobView {
    pub job_id: Uuid,
    pub status: JobStatus,
    /// What the job is about, as long as its contents are kept, for callers with the scope actions:preview.
    pub summary: Option<JobSummary>,
    /// When its contents were erased: seven days after its end.
    contents_erased_at: Option<Timestamp>,
    /// What it waits for, if it does.
    pub waiting_for: Option<WaitingFor>,
    /// Until when it waits, where that is known. A held job expires then.
    pub waiting_until: Option<Timestamp>,
    /// Why a person has to approve it, or had to; empty if nobody has to.
    because: Vec<Because>,
    /// The time that the request asked for.
    send_at: Option<Timestamp>,
    /// The result of a completed job: the provider's ids, the account's address, the SHA-256 of the content; `presumed`
    /// if it follows from evidence, not from the provider's answer.
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
    pub error: Option<JobErrorView>,
    /// From the first claim to the end, in milliseconds.
    duration_ms: Option<u64>,
    #[schema(example = "google")]
    provider: &'static str,
    #[schema(example = "gmail.send")]
    pub action: String,
    /// `draft`, `change` or `send`; `draft` also for a send that ends after its draft.
    #[schema(value_type = Option<String>, example = "send")]
    effect: Option<Effect>,
    client_request_id: String,
    /// The SHA-256 of provider, action and params: what the idempotency key stands for.
    payload_sha256: String,
    /// How often a worker claimed it.
    attempts: u32,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    /// A sealed part of the job cannot be read, and is left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unreadable: bool,
}

/// Why a job ended without a result.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobErrorView {
    #[serde(flatten)]
    pub error: JobError,
    /// What the provider said, if it gave a reason: at most 200 characters, addresses masked; for callers with the scope
    /// actions:preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_says: Option<String>,
}

impl JobView {
    pub async fn of(web: &Web, caller: &Caller, job: Job) -> Result<Self, Problem> {
        let mut views = Self::all(web, caller, vec![job]).await?;
        Ok(views.pop().expect("each job has a view"))
    }

    pub async fn all(web: &Web, caller: &Caller, jobs: Vec<Job>) -> Result<Vec<Self>, Problem> {
        let summaries = web.engine.jobs.summaries(caller, &jobs).await;
        let views = jobs.into_iter().zip(summaries).map(|(job, summary)| Self::with(web, caller, job, summary));
        try_join_all(views).await
    }

    async fn with(web: &Web, caller: &Caller, job: Job, summary: Option<JobSummary>) -> Result<Self, Problem> {
        let service = &web.engine.jobs;
        let Opened { result, provider_says, is_partial } = service.opened(caller, &job).await?;
        let erased_at = job.contents_erased_at(web.engine.clock.now());
        let draft = service.draft_of(&job, result.as_ref());
        let summary = summary.map(|summary| summary.with_draft(draft));
        let has_no_summary = summary.is_none() && erased_at.is_none() && caller.scopes.contains(&Scope::ActionsPreview);
        let duration = job.duration().map(|took| took.unsigned_abs().as_millis());
        Ok(Self {
            duration_ms: duration.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            job_id: job.job_id.0,
            status: job.state.status(),
            summary,
            contents_erased_at: erased_at,
            waiting_for: job.waiting_for,
            waiting_until: job.waiting_until(),
            effect: service.effect(&job),
            payload_sha256: job.payload_hash.as_str().to_owned(),
            because: job.because,
            send_at: job.send_at,
            result,
            error: job.error.map(|error| JobErrorView { error, provider_says }),
            provider: job.provider.as_str(),
            action: job.action.into(),
            client_request_id: job.client_request_id.into(),
            attempts: job.attempts,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            unreadable: is_partial || has_no_summary,
        })
    }
}

/// An example of a job.
pub(crate) fn job_example() -> Value {
    example(include_str!("job.json"))
}
