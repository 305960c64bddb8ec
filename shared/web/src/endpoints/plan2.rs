//! `POST /ai/plan2`: turns a sentence into a plan.

use engine::plan::PlanRequest;

use super::plan_view::Plan2Response;
use crate::endpoint::prelude::*;

endpoint! {
    path: "/ai/plan2", function: Plan2, scope: ActionsPreview, tag: "plan",
    problems: [
        WorkspaceMismatch, ActorMismatch, PromptTooLarge, TokenBudgetExhausted, PlannerInvalidAnswer, PlannerUnavailable,
        ReauthRequired
    ],
    example: || example(include_str!("plan2.json")),
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
    Ok(Out(plan(&web, &may, request).await?))
}

/// The plan of a request.
pub(crate) async fn plan(web: &Web, may: &Authorized, request: PlanRequest) -> Result<Plan2Response, Problem> {
    let request = PlanRequest { trace: Some(may.context.trace), deadline: may.context.deadline, ..request };
    let planned = web.engine.planner.plan(&may.caller, request).await?;
    Plan2Response::of(web, &may.caller, planned).await
}
