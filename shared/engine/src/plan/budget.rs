//! Reserves and settles the model's tokens.

use std::time::Duration;

use domain::WorkspaceId;
use telemetry::names::BUDGET_REJECTIONS;

use super::Planner;
use crate::{
    Problem, ProblemCode, Quota,
    ports::{Answer, BUDGET_WINDOW, ModelError, ModelRequest, Reservation, Reserved},
};

/// The tokens that a chat adds to its two messages.
const FRAME: u64 = 16;
/// The longest hold. A model that is asked too early says so again.
const LONGEST_HOLD: Duration = Duration::from_hours(24);

impl Planner {
    /// Reserves the most that the question may cost; nothing for a model that is not paid.
    pub(super) async fn reserve(
        &self,
        workspace: &WorkspaceId,
        request: &ModelRequest,
    ) -> Result<Option<Reservation>, Problem> {
        let limit = self.tokens_per_minute;
        let too_large = |detail: String| Err(Problem::at(ProblemCode::PromptTooLarge, "/prompt", detail));
        let longest = self.prompt_bytes;
        if request.prompt.len() > longest {
            return too_large(format!("the prompt is longer than {longest} bytes"));
        }
        let Some(answer) = self.model.max_output_tokens() else { return Ok(None) };
        let tokens = most_tokens(request, answer);
        if tokens > limit {
            return too_large("the prompt could never fit AI_MAX_TOKENS_PER_MIN; shorten it".to_owned());
        }
        let id = self.ids.uuid();
        let reservation = Reservation { id, workspace: workspace.clone(), tokens, limit };
        match self.budget.reserve(&reservation).await? {
            Reserved::Granted { window_was_lost } => {
                if window_was_lost {
                    tracing::warn!("the token budget's last minute was lost; counting starts over");
                }
                Ok(Some(reservation))
            }
            Reserved::Exhausted { retry_after, left } => {
                BUDGET_REJECTIONS.count(&[]);
                let detail = "the model's tokens of this minute are spent; try again after the time in Retry-After";
                let quota = Quota { name: "tokens", limit, window: BUDGET_WINDOW, left };
                let problem = Problem::new(ProblemCode::TokenBudgetExhausted, detail);
                Err(Problem { retry_after: Some(retry_after), quota: Some(quota), ..problem })
            }
            Reserved::Held(left) => {
                let busy = ModelError::Busy(None).to_string();
                let problem = Problem::new(ProblemCode::PlannerUnavailable, busy);
                Err(Problem { retry_after: Some(left), ..problem })
            }
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

    /// Keeps the others from asking a model that is over its limit.
    pub(super) async fn hold(&self, asked: &Result<Answer, ModelError>) {
        if let Err(ModelError::Busy(Some(after))) = asked
            && let Err(error) = self.budget.hold((*after).min(LONGEST_HOLD)).await
        {
            tracing::warn!(%error, "the model is over its limit, and the others could not be told");
        }
    }
}

/// What a question cost, where that is known.
pub(super) fn used(asked: &Result<Answer, ModelError>) -> Option<u64> {
    match asked {
        Ok(Answer { usage, .. }) => Some(usage.input.saturating_add(usage.output)).filter(|used| *used > 0),
        Err(ModelError::Unreachable(_) | ModelError::Refused(_) | ModelError::Busy(_)) => Some(0),
        Err(ModelError::TimedOut | ModelError::Unreadable(_)) => None,
    }
}

/// How many tokens a question and its answer are at most, without a tokenizer. A person's text and its
/// fence have at most a token a byte. The fixed part is English and JSON in ASCII, of which tokenizers make a token of four to five
/// bytes; three are taken, to be above them.
fn most_tokens(request: &ModelRequest, answer: u32) -> u64 {
    let fixed = request.instructions.len() + request.schema.to_string().len();
    request.message.len() as u64 + fixed.div_ceil(3) as u64 + FRAME + u64::from(answer)
}
