//! The language model.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{ActionId, Answered};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A language model, or rules in its place: a prompt and a schema go in, a JSON text comes out.
#[async_trait]
pub trait Model: Send + Sync {
    /// The name for `meta.model`.
    fn name(&self) -> &str;

    /// The most tokens of an answer; none for a model that is not paid, for which nothing is reserved.
    fn max_output_tokens(&self) -> Option<u32>;

    /// The most tokens that a text can be. By default one a byte, which no tokenizer exceeds.
    fn most_tokens(&self, text: &str) -> u64 {
        text.len() as u64
    }

    /// What the endpoint is asked another way than usual, since it refused the usual one: for `meta.adjusted`.
    fn adjusted(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Asks once. The answer comes before the request's deadline, or an error does.
    async fn ask(&self, request: &ModelRequest) -> Result<Answer, ModelError>;
}

/// One question to the model.
#[derive(Debug, Clone)]
pub struct ModelRequest {
    /// What the model is to do; the same for everyone but for the actions in it.
    pub instructions: String,
    /// What the person wrote, and nothing else: for a planner by rules.
    pub prompt: String,
    /// The same within its fence: for a language model.
    pub message: String,
    /// The JSON Schema, in OpenAI's strict subset, that the answer must fit.
    pub schema: Arc<Value>,
    /// The person's answers to earlier questions about the prompt, for a planner by rules.
    pub answers: Vec<Answered>,
    /// The actions that the schema leaves, for a planner by rules.
    pub actions: Vec<ActionId>,
    /// How long to wait for the answer at most.
    pub timeout: Duration,
}

/// What the model said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How it ended, with the text.
    pub finish: Finish,
    /// The model's own count of tokens.
    pub usage: Usage,
}

/// How an answer ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It is whole: a JSON text, it is hoped.
    Text(String),
    /// It reached its cap and is cut off.
    CutOff,
    /// The model declined, perhaps with a reason.
    Refusal(Option<String>),
    /// There is no answer in the response.
    Empty,
}

/// Tokens, as the model counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the request.
    pub input: u64,
    /// Tokens of the answer.
    pub output: u64,
}

/// There is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The request did not reach the model, or it failed while it was certainly not answering: worth another try.
    #[error("the model cannot be reached: {0}")]
    Unreachable(String),
    /// The model has too much to do, or our account asks for too much; after how long to ask again, if it said.
    #[error("the model is over its limit")]
    Busy(Option<Duration>),
    /// The model does not take our key or our request; another try would go the same way.
    #[error("the model refuses the request: {0}")]
    Refused(String),
    /// The request and the answer are together longer than the model's context.
    #[error("the request is longer than the model's context")]
    TooLong,
    /// The answer did not come in time.
    #[error("the model did not answer in time")]
    TimedOut,
    /// The response is not one of a chat completions endpoint.
    #[error("the model's response cannot be read: {0}")]
    Unreadable(String),
}

impl ModelError {
    /// Whether another model may answer the same request now.
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Busy(_) | Self::TimedOut)
    }
}
