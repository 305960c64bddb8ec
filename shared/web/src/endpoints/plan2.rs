//! `POST /ai/plan2`: turns a sentence into a plan.

use std::collections::BTreeSet;

use domain::{Address, Plan};
use engine::plan::PlanRequest;

use crate::endpoint::prelude::*;

endpoint! {
    path: "/ai/plan2", function: Plan2, scope: ActionsPreview, tag: "plan",
    problems: [
        WorkspaceMismatch, ActorMismatch, PromptTooLarge, TokenBudgetExhausted, PlannerInvalidAnswer, PlannerUnavailable,
        ReauthRequired
    ],
    example: || example(include_str!("plan2.json")),
}

/// A plan, and how it was made.
#[derive(Serialize, ToSchema)]
struct Plan2Response {
    plan: Plan,
    meta: Meta,
    /// The accounts that the plan's actions would use, one per provider.
    accounts: Vec<Account>,
}

/// The account of a provider.
#[derive(Serialize, ToSchema)]
struct Account {
    #[schema(example = "google")]
    provider: &'static str,
    /// `live`, `sandbox`, `needs_reauth` or `not_connected`.
    mode: &'static str,
    /// The account's address, if it is known.
    address: Option<String>,
}

/// How a plan was made.
#[derive(Serialize, ToSchema)]
struct Meta {
    /// The model that made it.
    model: String,
    /// The time it took, in seconds.
    duration: f64,
    /// Tokens of the request, as the model counts them.
    tokens_in: u64,
    /// Tokens of the answer, as the model counts them.
    tokens_out: u64,
    /// What the model's endpoint was asked another way than OpenAI's, since it refused that: `max_tokens` (by its older
    /// name), `own_temperature`, `no_system_role`, and one of `not_strict`, `json_object`, `no_response_format`. Not there if nothing was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    adjusted: Vec<&'static str>,
}

/// Turns a sentence into a plan. Nothing is carried out.
#[utoipa::path(
    post, path = ENDPOINT.path,
    responses((status = 200, description = "The plan; it may hold questions or notes instead of actions", body = Plan2Response))
)]
async fn handler(
    State(web): State<Web>,
    ByUseCase(may): ByUseCase,
    Json(request): Json<PlanRequest>,
) -> Answer<Plan2Response> {
    let request = PlanRequest { trace: Some(may.context.trace), deadline: may.context.deadline, ..request };
    let planned = web.engine.planner.plan(&may.caller, request).await?;
    let providers: BTreeSet<Provider> = planned.plan.actions.iter().map(|action| action.provider).collect();
    let mut accounts = Vec::new();
    for provider in providers {
        let connection = web.engine.actions.account(&may.caller, provider).await?;
        let address = connection.address().map(Address::addr_spec);
        accounts.push(Account { provider: provider.as_str(), mode: connection.mode(), address });
    }
    let meta = Meta {
        model: planned.model,
        duration: (planned.duration.as_secs_f64() * 1000.0).round() / 1000.0,
        tokens_in: planned.usage.input,
        tokens_out: planned.usage.output,
        adjusted: planned.adjusted,
    };
    Ok(Out(Plan2Response { plan: planned.plan, meta, accounts }))
}
