//! Reserves and settles the model's tokens.

use std::{sync::Arc, time::Duration};

use domain::{Violation, WorkspaceId};
use telemetry::record::record_budget_rejection;
use uuid::Uuid;

use crate::{
    Problem, ProblemCode, Quota,
    ports::{Answer, BUDGET_WINDOW, Budget, Ids, Model, ModelError, ModelRequest, Reservation, Reserved},
};

/// The tokens that a chat adds to its two messages.
const FRAME: u64 = 16;
/// The longest hold. A model that is asked too early says so again.
const LONGEST_HOLD: Duration = Duration::from_hours(24);

/// The tokens that were reserved for one question.
pub(super) struct Tokens {
    id: Uuid,
    tokens: u64,
}

/// The deployment's budget, with its limits.
pub(crate) struct TokenBudget {
    pub(crate) budget: Arc<dyn Budget>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) per_minute: u64,
    pub(crate) prompt_bytes: usize,
}

impl TokenBudget {
    /// Reserves the most that the question may cost; nothing for a model that is not paid.
    pub(super) async fn reserve(
        &self,
        model: &dyn Model,
        workspace: &WorkspaceId,
        request: &ModelRequest,
    ) -> Result<Option<Tokens>, Problem> {
        let limit = self.per_minute;
        let too_large = |detail: String| {
            let errors = vec![Violation::new("/prompt", detail.clone())];
            Err(Problem::new(ProblemCode::PromptTooLarge, detail).with_errors(errors))
        };
        let longest = self.prompt_bytes;
        if request.prompt.len() > longest {
            return too_large(format!("the prompt is longer than {longest} bytes"));
        }
        let Some(answer) = model.max_output_tokens() else { return Ok(None) };
        let tokens = most_tokens(request, answer);
        if tokens > limit {
            return too_large("the prompt could never fit AI_MAX_TOKENS_PER_MIN; shorten it".to_owned());
        }
        let id = self.ids.uuid();
        match self.budget.reserve(&Reservation { id, workspace: workspace.clone(), tokens, limit }).await? {
            Reserved::Granted { window_was_lost } => {
                if window_was_lost {
                    tracing::warn!("the token budget's last minute was lost; counting starts over");
                }
                Ok(Some(Tokens { id, tokens }))
            }
            Reserved::Exhausted { retry_after, left } => {
                record_budget_rejection();
                let detail = "the model's tokens of this minute are spent; try again after the time in Retry-After";
                let quota = Quota { name: "tokens", limit, window: BUDGET_WINDOW, left };
                let problem = Problem::new(ProblemCode::TokenBudgetExhausted, detail);
                Err(problem.with_retry_after(Some(retry_after)).with_quota(quota))
            }
            Reserved::Held(left) => {
                let busy = ModelError::Busy(None).to_string();
                Err(Problem::new(ProblemCode::PlannerUnavailable, busy).with_retry_after(Some(left)))
            }
        }
    }

    /// Returns the reservation of a question that is not asked.
    pub(super) async fn release(&self, reserved: Option<Tokens>) {
        if let Some(Tokens { id, .. }) = reserved
            && let Err(error) = self.budget.settle(id, 0).await
        {
            tracing::warn!(%error, "the tokens of a question that was not asked count for a minute");
        }
    }

    /// Settles what the question cost. Where that is not known, the reservation stands: too much is
    /// counted, never too little. If the budget cannot be told, the answer is used all the same.
    pub(super) async fn settle(&self, reserved: Option<Tokens>, asked: &Result<Answer, ModelError>) {
        let Some(Tokens { id, tokens }) = reserved else { return };
        let used = match asked {
            Ok(Answer { usage, .. }) => Some(usage.input.saturating_add(usage.output)).filter(|used| *used > 0),
            Err(ModelError::Unreachable(_) | ModelError::Refused(_) | ModelError::Busy(_)) => Some(0),
            Err(ModelError::TimedOut | ModelError::Unreadable(_)) => None,
        };
        if let Some(used) = used.filter(|used| *used > tokens) {
            tracing::warn!(used, reserved = tokens, "the model counts more tokens than were reserved");
        }
        if let Some(used) = used
            && let Err(error) = self.budget.settle(id, used).await
        {
            tracing::warn!(%error, "the tokens of a plan could not be settled; all that were reserved count");
        }
        if let Err(ModelError::Busy(Some(after))) = asked
            && let Err(error) = self.budget.hold((*after).min(LONGEST_HOLD)).await
        {
            tracing::warn!(%error, "the model is over its limit, and the others could not be told");
        }
    }
}

/// How many tokens a question and its answer are at most, without a tokenizer. A person's text and its
/// fence have at most a token a byte. The fixed part is English and JSON in ASCII, of which tokenizers make a token of four to five
/// bytes; three are taken, to be above them.
fn most_tokens(request: &ModelRequest, answer: u32) -> u64 {
    let fixed = request.instructions.len() + request.schema.to_string().len();
    request.message.len() as u64 + fixed.div_ceil(3) as u64 + FRAME + u64::from(answer)
}
