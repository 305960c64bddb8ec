//! `POST /ai/plans/{plan_id}/resolve`: looks up in the account what a plan refers to.

use domain::PlanId;
use engine::plan::GivenAnswer;

use super::plan_view::{Plan2Response, plan_example};
use crate::endpoint::prelude::*;

endpoint! {
    path: "/ai/plans/{plan_id}/resolve", function: Plan2, scope: ActionsPreview AccountsRead, tag: "plan",
    problems: [PlanNotFound, RecipientNotAllowed, ConnectionRequired, ReauthRequired, ProviderUnavailable],
    example: || json!({ "request": { "answers": [] }, "response": plan_example() }),
}

/// Answers to the plan's questions.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ResolvePlanBody {
    /// Answers that were not given before.
    #[serde(default)]
    answers: Vec<GivenAnswer>,
}

/// Looks up in the account what a plan refers to, and answers with a new plan that shows it. The model is not asked, and
/// nothing is carried out.
#[utoipa::path(
    post, path = ENDPOINT.path, params(("plan_id" = uuid::Uuid, Path)),
    responses((status = 200, description = "The new plan; it may ask which of several is meant", body = Plan2Response))
)]
async fn handler(
    State(web): State<Web>,
    ByUseCase(may): ByUseCase,
    Segment(id): Segment<PlanId>,
    Json(body): Json<ResolvePlanBody>,
) -> Answer<Plan2Response> {
    let planned = web.engine.resolver.resolve(&may.caller, id, body.answers).await?;
    Ok(Out(Plan2Response::of(&web, &may.caller, planned).await?))
}
