use axum::{
    Extension, Json as Out,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::IntoResponse,
};
use domain::{ActorId, ClientRequestId, PlanId};
use engine::{
    Object, Problem,
    execute::{ExecuteRequest, RequestedAction, What},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    Web,
    body::Json,
    door::{ActionsExecute, ByUseCase, May},
    problem::{Problems, Refused},
    request::Trace,
};

/// Actions to carry out, or the plan that holds them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExecuteBody {
    /// 1 to 10 actions, as plan2 gave them or as a client wrote them.
    #[schema(value_type = Option<Vec<ActionRequest>>)]
    actions: Option<Vec<Object<ActionRequest>>>,
    /// The plan to run exactly as it was shown; instead of actions.
    #[schema(value_type = Option<uuid::Uuid>)]
    plan_id: Option<PlanId>,
    /// The credential's workspace; may be left out.
    workspace_id: Option<String>,
    /// Whom to act for; required with actions.
    #[schema(value_type = Option<String>, example = "user@example.com")]
    actor_id: Option<ActorId>,
}

/// One action.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActionRequest {
    /// Whose service; may be left out.
    #[schema(example = "google")]
    provider: Option<String>,
    /// Which action of the catalogue.
    #[schema(example = "gmail.send")]
    action: String,
    /// Its params, of the schema in the catalogue.
    #[schema(value_type = Object)]
    params: Value,
    /// Its idempotency key, unique in the workspace.
    #[schema(value_type = Option<String>)]
    client_request_id: Option<ClientRequestId>,
}

/// The jobs that will carry the actions out, in the order of the actions.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExecuteResponse {
    #[schema(value_type = Vec<uuid::Uuid>)]
    job_ids: Vec<domain::JobId>,
    jobs: Vec<AcceptedJob>,
}

/// A job that was accepted, now or by an earlier request with the same key.
#[derive(Serialize, ToSchema)]
pub(crate) struct AcceptedJob {
    #[schema(value_type = uuid::Uuid)]
    job_id: domain::JobId,
    #[schema(value_type = String)]
    client_request_id: ClientRequestId,
    #[schema(value_type = super::jobs::StatusSchema)]
    status: domain::JobStatus,
    /// An earlier request made this job.
    replayed: bool,
}

/// Accepts all actions, or none. Each becomes a job, once per idempotency key.
#[utoipa::path(
    post, path = "/ai/execute", tag = "execute", security(("key" = ["actions:execute"])),
    request_body = ExecuteBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes keys for actions that have none")),
    responses(
        (status = 202, description = "The jobs; Location names the first", body = ExecuteResponse),
        Problems,
    )
)]
pub(crate) async fn execute(
    State(web): State<Web>,
    may: May<ActionsExecute, ByUseCase>,
    Extension(trace): Extension<Trace>,
    headers: HeaderMap,
    Json(body): Json<ExecuteBody>,
) -> Result<impl IntoResponse, Refused> {
    let what = match (body.plan_id, body.actions) {
        (Some(plan), None) => What::Plan(plan),
        (None, Some(actions)) => {
            What::Actions(actions.into_iter().map(|Object(action)| action.into_requested()).collect())
        }
        (Some(_), Some(_)) => return Err(Problem::invalid("/plan_id", "give plan_id or actions, not both").into()),
        (None, None) => return Err(Problem::invalid("/actions", "is required, unless plan_id is given").into()),
    };
    let accepted = web
        .engine
        .executor
        .execute(
            &may.caller,
            ExecuteRequest {
                what,
                workspace_id: body.workspace_id,
                actor_id: body.actor_id,
                idempotency_key: text(&headers, &HeaderName::from_static("idempotency-key"))?,
                trace: trace.context,
                trace_given: trace.given,
            },
        )
        .await?;
    let jobs: Vec<AcceptedJob> = accepted
        .into_iter()
        .map(|accepted| AcceptedJob {
            job_id: accepted.job.job_id,
            client_request_id: accepted.job.client_request_id,
            status: accepted.job.state.status(),
            replayed: accepted.replayed,
        })
        .collect();
    let location = jobs.first().map(|job| format!("/ai/jobs/{}", job.job_id)).unwrap_or_default();
    let job_ids = jobs.iter().map(|job| job.job_id).collect();
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Out(ExecuteResponse { job_ids, jobs })))
}

impl ActionRequest {
    fn into_requested(self) -> RequestedAction {
        let Self { provider, action, params, client_request_id } = self;
        RequestedAction { provider, action, params, client_request_id }
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str() {
        Ok(text) if !text.is_empty() => Ok(Some(text.to_owned())),
        _ => Err(Problem::invalid("", format!("the header {name} must be visible ASCII characters"))),
    }
}
