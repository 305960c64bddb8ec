use std::time::Duration;

use axum::{Json as Out, extract::State};
use domain::{ActionId, ClientRequestId, Job, JobError, JobId, JobStatus, Outcome, Provider};
use engine::{Problem, ProblemCode, ports::Position};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::IntoDeserializer};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{
    Web,
    body::{Json, Nothing, Query, Segment},
    door::{ActionsExecute, ActionsPreview, ByUseCase, May},
    problem::{Problems, Refused},
};

/// The longest that a look at a job may wait for its end, in seconds.
const MAX_WAIT: u64 = 20;
const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

/// A job as a caller sees it.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobView {
    #[schema(value_type = uuid::Uuid)]
    job_id: JobId,
    #[schema(value_type = StatusSchema)]
    status: JobStatus,
    /// What a completed job came to: the provider's ids of the message, the address that sent it,
    /// the SHA-256 of its content; `presumed` where the evidence says so and not the send's own answer.
    #[schema(value_type = Option<Object>)]
    result: Option<Value>,
    #[schema(value_type = Option<ErrorSchema>)]
    error: Option<JobError>,
    /// From the first claim to the end, in milliseconds.
    duration_ms: Option<u64>,
    #[schema(value_type = String, example = "google")]
    provider: Provider,
    #[schema(value_type = String, example = "gmail.send")]
    action: ActionId,
    #[schema(value_type = String)]
    client_request_id: ClientRequestId,
    /// How often a worker took it up.
    attempts: u32,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
}

/// How far a job is.
#[derive(ToSchema)]
#[schema(as = JobStatus, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes domain::JobStatus")]
pub(crate) enum StatusSchema {
    Pending,
    Running,
    Completed,
    Error,
}

/// Why a job ended without a result.
#[derive(ToSchema)]
#[schema(as = JobError)]
#[expect(dead_code, reason = "describes domain::JobError")]
pub(crate) struct ErrorSchema {
    #[schema(example = "outcome-unknown")]
    code: String,
    message: String,
    /// Whether retry may help.
    retriable: bool,
    /// What a person can do.
    remediation: String,
}

impl JobView {
    async fn of(web: &Web, job: Job) -> Result<Self, Problem> {
        let result = web.engine.jobs.result(&job).await?;
        let duration = job.duration().map(|took| took.unsigned_abs().as_millis());
        Ok(Self {
            duration_ms: duration.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)),
            job_id: job.job_id,
            status: job.state.status(),
            result,
            error: job.error,
            provider: job.provider,
            action: job.action,
            client_request_id: job.client_request_id,
            attempts: job.attempts,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
        })
    }
}

/// A page of jobs, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobList {
    data: Vec<JobView>,
    /// Give it as `cursor` for the next page.
    next_cursor: Option<String>,
    has_more: bool,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only jobs of this status.
    #[param(value_type = Option<StatusSchema>, inline)]
    status: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// How many, 1 to 100.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<usize>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WaitQuery {
    /// Seconds to wait for the job's end, 0 to 20.
    #[param(maximum = 20)]
    wait: Option<u64>,
}

/// What a person found out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResolveBody {
    #[serde(deserialize_with = "outcome")]
    #[schema(value_type = OutcomeSchema)]
    outcome: Outcome,
}

/// A name alone: a derived enum would also take `{ "sent": null }`.
fn outcome<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Outcome, D::Error> {
    Outcome::deserialize(String::deserialize(deserializer)?.into_deserializer())
}

/// What became of a mail.
#[derive(ToSchema)]
#[schema(as = Outcome, rename_all = "snake_case")]
#[expect(dead_code, reason = "describes domain::Outcome")]
pub(crate) enum OutcomeSchema {
    Sent,
    NotSent,
}

/// The workspace's jobs, newest first.
#[utoipa::path(
    get, path = "/ai/jobs", operation_id = "list_jobs", tag = "jobs", security(("key" = ["actions:preview"])), params(ListQuery),
    responses(
        (status = 200, description = "A page of jobs", body = JobList),
        Problems,
    )
)]
pub(crate) async fn list(
    State(web): State<Web>,
    may: May<ActionsPreview>,
    Query(query): Query<ListQuery>,
) -> Result<Out<JobList>, Refused> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::invalid("/limit", "must be 1 to 100").into());
    }
    let status = query.status.map(|status| status.parse::<JobStatus>());
    let status = status.transpose().map_err(|invalid| Problem::invalid("/status", invalid.to_string()))?;
    let after = query.cursor.map(|cursor| read_cursor(&cursor));
    let after = after.map(|after| after.ok_or_else(|| Problem::invalid("/cursor", "is not a next_cursor of ours")));
    let page = web.engine.jobs.list(&may.caller, status, after.transpose()?, limit).await?;
    let mut data = Vec::with_capacity(page.jobs.len());
    for job in page.jobs {
        data.push(JobView::of(&web, job).await?);
    }
    Ok(Out(JobList { data, has_more: page.next.is_some(), next_cursor: page.next.map(write_cursor) }))
}

/// One job; with `wait`, once it has ended or the seconds have passed.
#[utoipa::path(
    get, path = "/ai/jobs/{job_id}", operation_id = "get_job", tag = "jobs", security(("key" = ["actions:preview"])),
    params(("job_id" = uuid::Uuid, Path), WaitQuery),
    responses(
        (status = 200, description = "The job", body = JobView),
        Problems,
    )
)]
pub(crate) async fn get(
    State(web): State<Web>,
    may: May<ActionsPreview, ByUseCase>,
    Segment(id): Segment,
    Query(query): Query<WaitQuery>,
) -> Result<Out<JobView>, Refused> {
    let wait = query.wait.unwrap_or(0);
    if wait > MAX_WAIT {
        return Err(Problem::invalid("/wait", "must be 0 to 20 seconds").into());
    }
    let job = web.engine.jobs.when_ended(&may.caller, job_id(&id)?, Duration::from_secs(wait)).await?;
    Ok(Out(JobView::of(&web, job).await?))
}

/// Takes back a pending job.
#[utoipa::path(
    post, path = "/ai/jobs/{job_id}/cancel", operation_id = "cancel_job", tag = "jobs", security(("key" = ["actions:execute"])),
    params(("job_id" = uuid::Uuid, Path)),
    responses(
        (status = 200, description = "The job, cancelled", body = JobView),
        Problems,
    )
)]
pub(crate) async fn cancel(
    State(web): State<Web>,
    may: May<ActionsExecute>,
    Segment(id): Segment,
    MaybeNothing: MaybeNothing,
) -> Result<Out<JobView>, Refused> {
    let job = web.engine.jobs.cancel(&may.caller, job_id(&id)?).await?;
    Ok(Out(JobView::of(&web, job).await?))
}

/// Tries a job again that ended in an error and certainly sent nothing.
#[utoipa::path(
    post, path = "/ai/jobs/{job_id}/retry", operation_id = "retry_job", tag = "jobs", security(("key" = ["actions:execute"])),
    params(("job_id" = uuid::Uuid, Path)),
    responses(
        (status = 200, description = "The job, pending again", body = JobView),
        Problems,
    )
)]
pub(crate) async fn retry(
    State(web): State<Web>,
    may: May<ActionsExecute>,
    Segment(id): Segment,
    MaybeNothing: MaybeNothing,
) -> Result<Out<JobView>, Refused> {
    let job = web.engine.jobs.retry(&may.caller, job_id(&id)?).await?;
    Ok(Out(JobView::of(&web, job).await?))
}

/// Says what became of a mail whose outcome is unknown.
#[utoipa::path(
    post, path = "/ai/jobs/{job_id}/resolve", operation_id = "resolve_job", tag = "jobs", security(("key" = ["actions:execute"])),
    params(("job_id" = uuid::Uuid, Path)), request_body = ResolveBody,
    responses(
        (status = 200, description = "The job, resolved", body = JobView),
        Problems,
    )
)]
pub(crate) async fn resolve(
    State(web): State<Web>,
    may: May<ActionsExecute>,
    Segment(id): Segment,
    Json(body): Json<ResolveBody>,
) -> Result<Out<JobView>, Refused> {
    let job = web.engine.jobs.resolve(&may.caller, job_id(&id)?, body.outcome).await?;
    Ok(Out(JobView::of(&web, job).await?))
}

/// The body of a request that has nothing to say: none, or an empty object.
pub(crate) struct MaybeNothing;

impl<S: Send + Sync> axum::extract::FromRequest<S> for MaybeNothing {
    type Rejection = Refused;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Refused> {
        use axum::body::HttpBody as _;
        if !request.body().is_end_stream() {
            Json::<Nothing>::from_request(request, state).await?;
        }
        Ok(Self)
    }
}

/// What is not an id is the id of no job.
fn job_id(text: &str) -> Result<JobId, Problem> {
    text.parse().map_err(|_| Problem::new(ProblemCode::JobNotFound, "there is no such job in this workspace"))
}

fn write_cursor(position: Position) -> String {
    format!("{}.{}", position.created_at.as_microsecond(), position.job_id)
}

fn read_cursor(text: &str) -> Option<Position> {
    let (created_at, job_id) = text.split_once('.')?;
    let created_at = Timestamp::from_microsecond(created_at.parse().ok()?).ok()?;
    Some(Position { created_at, job_id: job_id.parse().ok()? })
}
