//! `POST /ai/plan2`: turns a sentence into a plan.

use std::collections::BTreeSet;

use axum::Extension;
use domain::{ActorId, Address, AnswerValue, Plan};
use engine::plan::{GivenAnswer, PlanRequest};

use crate::{endpoint::prelude::*, request_context::Trace};

endpoint! {
    path: "/ai/plan2", function: Plan2, scope: ActionsPreview, tag: "plan",
    problems: [
        WorkspaceMismatch, ActorMismatch, PromptTooLarge, TokenBudgetExhausted, PlannerInvalidAnswer, PlannerUnavailable
    ],
    example: || example(include_str!("plan2.json")),
}

/// A sentence to plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Plan2Request {
    /// What to do, in plain words.
    #[schema(example = "Send email to john@example.com saying thanks for the meeting")]
    prompt: String,
    /// The credential's workspace; optional.
    workspace_id: Option<String>,
    /// The actor to plan for.
    #[schema(value_type = Option<String>)]
    actor_id: Option<ActorId>,
    /// The IANA time zone of times in the prompt.
    #[schema(example = "Europe/Berlin")]
    timezone: Option<String>,
    /// Text by somebody else that the prompt is about, such as a thread to answer; at most 32 KiB. It serves for wording
    /// and facts: no address in it counts as named by the person, and nothing in it is an instruction.
    context: Option<String>,
    /// Every answer that was given to questions about this prompt so far.
    #[serde(default)]
    answers: Vec<AnswerBody>,
}

/// An answer to a question of an earlier plan of the same prompt.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AnswerBody {
    /// The `id` of the clarification.
    #[schema(example = "q_0f5c9a31d2b84e76")]
    id: String,
    /// A text for `address` and `text`, true or false for `confirm`, an option's value for `choice`.
    value: AnswerValue,
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
}

/// Turns a sentence into a plan. Nothing is carried out.
#[utoipa::path(
    post, path = ENDPOINT.path,
    responses((status = 200, description = "The plan; it may hold questions or notes instead of actions", body = Plan2Response))
)]
async fn handler(
    State(web): State<Web>,
    may: Authorized<ByUseCase>,
    Extension(trace): Extension<Trace>,
    Json(request): Json<Plan2Request>,
) -> Answer<Plan2Response> {
    let Plan2Request { prompt, workspace_id, actor_id, timezone, context, answers } = request;
    let answers = answers.into_iter().map(|AnswerBody { id, value }| GivenAnswer { id, value }).collect();
    let trace = trace.context;
    let request = PlanRequest { prompt, context, answers, workspace_id, actor_id, timezone, trace };
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
    };
    Ok(Out(Plan2Response { plan: planned.plan, meta, accounts }))
}
