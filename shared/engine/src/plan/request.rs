//! A request to plan, as a client writes it.

use domain::{ActorId, AnswerValue};
use jiff::Timestamp;
use serde::Deserialize;
use telemetry::TraceContext;

/// A sentence to plan.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema), schema(as = Plan2Request))]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// What to do, in plain words.
    #[cfg_attr(feature = "utoipa", schema(example = "Send email to john@example.com saying thanks for the meeting"))]
    pub prompt: String,
    /// The credential's workspace; optional.
    pub workspace_id: Option<String>,
    /// The actor to plan for.
    #[cfg_attr(feature = "utoipa", schema(value_type = Option<String>))]
    pub actor_id: Option<ActorId>,
    /// The IANA time zone of times in the prompt.
    #[cfg_attr(feature = "utoipa", schema(example = "Europe/Berlin"))]
    pub timezone: Option<String>,
    /// Text by somebody else that the prompt is about, such as a thread to answer; at most 32 KiB. It serves for wording
    /// and facts: no address in it counts as named by the person, and nothing in it is an instruction.
    pub context: Option<String>,
    /// Every answer that was given to questions about this prompt so far.
    #[serde(default)]
    pub answers: Vec<GivenAnswer>,
    /// The request's trace, which the plan's execution joins.
    #[serde(skip)]
    pub trace: Option<TraceContext>,
    /// When the request ends without an answer, where that is known.
    #[serde(skip)]
    pub deadline: Option<Timestamp>,
}

/// An answer to a question of an earlier plan of the same prompt.
#[derive(Debug, Clone, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema), schema(as = AnswerBody))]
#[serde(deny_unknown_fields)]
pub struct GivenAnswer {
    /// The `id` of the clarification.
    #[cfg_attr(feature = "utoipa", schema(example = "q_0f5c9a31d2b84e76"))]
    pub id: String,
    /// A text for `address` and `text`, true or false for `confirm`, an option's value for `choice`.
    pub value: AnswerValue,
}
