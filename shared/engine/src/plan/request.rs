//! A request to plan, as a client writes it and as planning takes it.

use domain::{ActorId, AnswerValue, Answered};
use jiff::{Timestamp, Zoned, tz::TimeZone};
use serde::Deserialize;
use telemetry::TraceContext;

use super::lookups::{Findings, is_about_lookup};
use crate::Problem;

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

/// What a person asked for: the prompt, and the answers to earlier questions about it.
#[derive(Clone, Copy)]
pub(crate) struct Request<'a> {
    pub prompt: &'a str,
    /// Text by somebody else. No address in it counts.
    pub context: Option<&'a str>,
    pub answers: &'a [Answered],
    /// What the account holds for the lookups of the answer; nothing while it was not read.
    pub findings: &'a Findings,
    pub timezone: Option<&'a str>,
    pub began: Timestamp,
    pub deadline: Option<Timestamp>,
}

impl Request<'_> {
    /// The time of the request, in its time zone.
    pub fn now(&self) -> Result<Zoned, Problem> {
        let zone = match self.timezone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name)
                .map_err(|_| Problem::invalid("/timezone", "must be an IANA time zone, such as Europe/Berlin"))?,
        };
        Ok(self.began.to_zoned(zone))
    }

    /// The answers that a model is told. What was asked about a lookup depends on the account.
    pub fn told(&self) -> Vec<Answered> {
        let told = self.answers.iter().filter(|answered| !is_about_lookup(&answered.question));
        told.cloned().collect()
    }
}
