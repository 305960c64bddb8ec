use std::collections::BTreeSet;

use axum::{Extension, Json as Out, extract::State};
use domain::{ActorId, Address, Plan, Provider};
use engine::plan::PlanRequest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Web,
    body::Json,
    door::{ActionsPreview, ByUseCase, May},
    problem::{Problems, Refused},
    request::Trace,
};

/// A sentence to plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan2Request {
    /// What to do, in plain words.
    #[schema(example = "Send email to john@example.com saying thanks for the meeting")]
    prompt: String,
    /// The credential's workspace; may be left out.
    workspace_id: Option<String>,
    /// Whom to act for.
    #[schema(value_type = Option<String>)]
    actor_id: Option<ActorId>,
    /// The IANA time zone that times in the prompt are in.
    #[schema(example = "Europe/Berlin")]
    timezone: Option<String>,
}

/// A plan with how it came about.
#[derive(Serialize, ToSchema)]
pub(crate) struct Plan2Response {
    #[schema(value_type = PlanSchema)]
    plan: Plan,
    meta: Meta,
    /// Who would send the plan's actions, one entry a provider.
    accounts: Vec<Account>,
}

/// Where a provider's mails go.
#[derive(Serialize, ToSchema)]
pub(crate) struct Account {
    #[schema(value_type = String, example = "google")]
    provider: Provider,
    /// `live`, `sandbox`, `needs_reauth` or `not_connected`.
    mode: &'static str,
    /// The address that sends, where it is known.
    address: Option<String>,
}

/// How a plan came about.
#[derive(Serialize, ToSchema)]
pub(crate) struct Meta {
    /// Which model made it.
    model: String,
    /// How long it took, in seconds.
    duration: f64,
    /// Tokens of the request, by the model's own count.
    tokens_in: u64,
    /// Tokens of the answer, by the model's own count.
    tokens_out: u64,
}

/// A plan: actions to execute and questions to answer first.
#[derive(ToSchema)]
#[schema(as = Plan)]
#[expect(dead_code, reason = "describes domain::Plan")]
pub(crate) struct PlanSchema {
    plan_id: uuid::Uuid,
    intent: String,
    confidence: f64,
    actions: Vec<super::execute::ActionRequest>,
    questions: Vec<String>,
    notes: Option<String>,
}

/// Plans what a sentence asks for. Nothing is carried out.
#[utoipa::path(
    post, path = "/ai/plan2", tag = "plan", security(("key" = ["actions:preview"])),
    request_body = Plan2Request,
    responses(
        (status = 200, description = "The plan; perhaps without actions, with questions or notes", body = Plan2Response),
        Problems,
    )
)]
pub(crate) async fn plan2(
    State(web): State<Web>,
    may: May<ActionsPreview, ByUseCase>,
    Extension(trace): Extension<Trace>,
    Json(request): Json<Plan2Request>,
) -> Result<Out<Plan2Response>, Refused> {
    let Plan2Request { prompt, workspace_id, actor_id, timezone } = request;
    let request = PlanRequest { prompt, workspace_id, actor_id, timezone, trace: trace.context };
    let planned = web.engine.planner.plan(&may.caller, request).await?;
    let providers: BTreeSet<Provider> = planned.plan.actions.iter().map(|action| action.provider).collect();
    let mut accounts = Vec::new();
    for provider in providers {
        let connection = web.engine.actions.account(&may.caller, provider).await?;
        let address = connection.address().map(Address::addr_spec);
        accounts.push(Account { provider, mode: connection.mode(), address });
    }
    Ok(Out(Plan2Response {
        plan: planned.plan,
        meta: Meta {
            model: planned.model,
            duration: (planned.duration.as_secs_f64() * 1000.0).round() / 1000.0,
            tokens_in: planned.usage.input,
            tokens_out: planned.usage.output,
        },
        accounts,
    }))
}
