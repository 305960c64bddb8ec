//! Reserves and settles the model's tokens.

use std::time::Duration;

use domain::WorkspaceId;
use telemetry::names::BUDGET_REJECTIONS;

use super::{Planner, Unanswered};
use crate::{
    Problem, ProblemCode, Quota,
    ports::{Answer, BUDGET_WINDOW, Model, ModelError, ModelRequest, Reservation, Reserved},
};

/// The tokens that a chat adds to its messages, and an adapter to the schema.
const FRAME: u64 = 64;
/// The longest hold, whatever a model says: after it, one call finds out whether the model has recovered.
const LONGEST_HOLD: Duration = Duration::from_mins(1);

impl Planner {
    /// Reserves the most that the question may cost; nothing for a model that is not paid.
    pub(super) async fn reserve(
        &self,
        model: &dyn Model,
        workspace: &WorkspaceId,
        request: &ModelRequest,
    ) -> Result<Option<Reservation>, Unanswered> {
        let limit = self.tokens_per_minute;
        let longest = self.prompt_bytes;
        if request.prompt.len() > longest {
            return Err(too_large(&format!("the prompt is longer than {longest} bytes (LIMIT_PROMPT_BYTES)")).into());
        }
        let Some(answer) = model.max_output_tokens() else { return Ok(None) };
        let text = [&*request.instructions, &*request.message, &request.schema.to_string()];
        let text: u64 = text.into_iter().map(|text| model.most_tokens(text)).sum();
        let tokens = text + FRAME + u64::from(answer);
        if tokens > limit {
            let detail = format!(
                "the prompt, its context, the instructions and an answer of AI_MAX_OUTPUT_TOKENS ({answer}) may be \
                 {tokens} tokens, where AI_MAX_TOKENS_PER_MIN allows {limit}; shorten the texts, or raise that setting"
            );
            return Err(too_large(&detail).into());
        }
        let id = self.ids.uuid();
        let (workspace, model) = (workspace.clone(), model.name().to_owned());
        let reservation = Reservation { id, workspace, model, tokens, limit };
        match self.budget.reserve(&reservation).await.map_err(Problem::from)? {
            Reserved::Granted { window_was_lost } => {
                if window_was_lost {
                    tracing::warn!("the token budget's last minute was lost; counting starts over");
                }
                Ok(Some(reservation))
            }
            Reserved::Exhausted { retry_after, left } => {
                BUDGET_REJECTIONS.count(&[]);
                let detail = "the model's tokens of this minute (AI_MAX_TOKENS_PER_MIN) are spent; try again after the \
                              time in Retry-After";
                let quota = Quota { name: "tokens", limit, window: BUDGET_WINDOW, left };
                let problem = Problem::new(ProblemCode::TokenBudgetExhausted, detail);
                Err(Problem { retry_after: Some(retry_after), quota: Some(quota), ..problem }.into())
            }
            Reserved::Held(left) => Err(ModelError::Busy(Some(left)).into()),
        }
    }

    /// Puts what was used in place of what was reserved. Where that is not known, the reservation stands: too much is
    /// counted, never too little. If the budget cannot be told, the answer is used all the same.
    pub(super) async fn settle(&self, reserved: Option<Reservation>, used: Option<u64>) {
        let (Some(Reservation { id, tokens, .. }), Some(used)) = (reserved, used) else { return };
        if used > tokens {
            tracing::warn!(used, reserved = tokens, "the model counts more tokens than were reserved");
        }
        if let Err(error) = self.budget.settle(id, used).await {
            tracing::warn!(%error, "the tokens of a plan could not be settled; all that were reserved count");
        }
    }

    /// Keeps the others from asking a model that is over its limit. Gives the answer back, with no longer wait.
    pub(super) async fn hold(
        &self,
        model: &dyn Model,
        asked: Result<Answer, ModelError>,
    ) -> Result<Answer, ModelError> {
        let Err(ModelError::Busy(Some(after))) = asked else { return asked };
        let after = after.min(LONGEST_HOLD);
        if let Err(error) = self.budget.hold(model.name(), after).await {
            tracing::warn!(%error, "the model is over its limit, and the others could not be told");
        }
        Err(ModelError::Busy(Some(after)))
    }
}

/// A request that can never be planned here.
pub(super) fn too_large(detail: &str) -> Problem {
    Problem::at(ProblemCode::PromptTooLarge, "/prompt", detail)
}

/// What a question cost, where that is known.
pub(super) fn used(asked: &Result<Answer, ModelError>) -> Option<u64> {
    match asked {
        Ok(Answer { usage, .. }) => Some(usage.input.saturating_add(usage.output)).filter(|used| *used > 0),
        Err(ModelError::Unreachable(_) | ModelError::Refused(_) | ModelError::Busy(_) | ModelError::TooLong) => Some(0),
        Err(ModelError::TimedOut | ModelError::Unreadable(_)) => None,
    }
}
