//! `POST /ai/execute`: turns actions into jobs.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use domain::{JobStatus, WaitingFor};
use engine::execute::ExecuteRequest;
use jiff::Timestamp;
use uuid::Uuid;

use crate::endpoint::prelude::*;

endpoint! {
    path: "/ai/execute", function: Execute, scope: ActionsExecute, tag: "execute",
    problems: [
        WorkspaceMismatch, ActorMismatch, ActionNotAllowed, RecipientNotAllowed, RolloutDenied, UnknownAction,
        InvalidParams, IdempotencyKeyMissing, IdempotencyKeyReused, ConnectionRequired, ReauthRequired, PlanNotFound
    ],
    example: || example(include_str!("execute.json")),
}

/// One job per action, in the order of the actions.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExecuteResponse {
    pub job_ids: Vec<Uuid>,
    pub jobs: Vec<AcceptedJob>,
}

/// A job that this request, or an earlier one with the same idempotency key, created.
#[derive(Serialize, ToSchema)]
pub(crate) struct AcceptedJob {
    job_id: Uuid,
    client_request_id: String,
    pub status: JobStatus,
    /// An earlier request created this job.
    replayed: bool,
    /// What it waits for, if it does: a person's approval, or its time.
    pub waiting_for: Option<WaitingFor>,
    /// Until when it waits, where that is known. A held job expires then.
    pub waiting_until: Option<Timestamp>,
}

/// Accepts all actions, or none. Each becomes one job per idempotency key.
#[utoipa::path(
    post, path = ENDPOINT.path,
    params(("Idempotency-Key" = Option<String>, Header, description = "Derives keys for actions without one")),
    responses((status = 202, description = "The jobs; Location names the first", body = ExecuteResponse))
)]
async fn handler(
    State(web): State<Web>,
    ByUseCase(may): ByUseCase,
    headers: HeaderMap,
    Json(request): Json<ExecuteRequest>,
) -> Result<impl IntoResponse, Refused> {
    let request = ExecuteRequest { idempotency_key: idempotency_key(&headers)?, ..request };
    let response = execute(&web, &may, request).await?;
    let location = response.jobs.first().map(|job| format!("/ai/jobs/{}", job.job_id)).unwrap_or_default();
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Out(response)))
}

/// The jobs of a request.
pub(crate) async fn execute(web: &Web, may: &Authorized, request: ExecuteRequest) -> Result<ExecuteResponse, Problem> {
    let request = ExecuteRequest { trace: Some(may.context.trace), trace_given: may.context.trace_given, ..request };
    let accepted = web.engine.executor.execute(&may.caller, request).await?;
    let jobs: Vec<AcceptedJob> = accepted
        .into_iter()
        .map(|accepted| AcceptedJob {
            job_id: accepted.job.job_id.0,
            waiting_for: accepted.job.waiting_for,
            waiting_until: accepted.job.waiting_until(),
            client_request_id: accepted.job.client_request_id.into(),
            status: accepted.job.state.status(),
            replayed: accepted.replayed,
        })
        .collect();
    Ok(ExecuteResponse { job_ids: jobs.iter().map(|job| job.job_id).collect(), jobs })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all("idempotency-key").iter().map(HeaderValue::to_str);
    match (keys.next(), keys.next()) {
        (None, _) => Ok(None),
        (Some(Ok(text)), None) if !text.is_empty() => Ok(Some(text.to_owned())),
        (_, Some(_)) => Err(Problem::invalid("", "send the header Idempotency-Key once")),
        _ => Err(Problem::invalid("", "the header Idempotency-Key must be visible ASCII characters")),
    }
}
