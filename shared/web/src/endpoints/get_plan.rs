//! `GET /ai/plans/{plan_id}`: shows a plan again.

use domain::PlanId;

use super::plan_view::{Plan2Response, plan_example};
use crate::endpoint::prelude::*;

endpoint! {
    path: "/ai/plans/{plan_id}", function: Plan2, scope: ActionsPreview, tag: "plan", problems: [PlanNotFound],
    example: || json!({ "response": plan_example() }),
}

/// Shows a plan again, for 15 minutes.
#[utoipa::path(
    get, path = ENDPOINT.path, params(("plan_id" = uuid::Uuid, Path)),
    responses((status = 200, description = "The plan", body = Plan2Response))
)]
async fn handler(
    State(web): State<Web>,
    ByUseCase(may): ByUseCase,
    Segment(id): Segment<PlanId>,
) -> Answer<Plan2Response> {
    let planned = web.engine.resolver.plan(&may.caller, id).await?;
    Ok(Out(Plan2Response::of(&web, &may.caller, planned).await?))
}
