//! The planner for when there is no language model: rules that understand how people ask for a mail.
//!
//! A prompt passes through these steps, one file each:
//!
//! 1. [`tokens`]: words, addresses, quotations, marks, each with its place in the prompt
//! 2. [`requests`]: where one request ends and the next begins
//! 3. [`opening`]: what is asked for, and whether that is a mail
//! 4. [`command`]: who gets it in which role, with which account, and where the message begins
//! 5. [`message`]: what it says, and the subject; [`wording`] makes sentences of it
//! 6. [`answer`]: the plan. What is missing or unclear becomes a question, never a guess
//!
//! The words it knows are in [`vocabulary`], in English, German, Spanish and French. Once a message has
//! begun, nothing in it counts as a command, but for copies and the like that stand behind it.

mod answer;
mod command;
mod message;
mod opening;
mod phrases;
mod reading;
mod requests;
mod tokens;
mod vocabulary;
mod wording;

#[cfg(test)]
mod sentences;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use domain::{ActionId, Address, mentions};
use engine::ports::{Answer, Finish, Model, ModelError, ModelRequest, Usage};
use serde_json::Value;

use answer::Planner;
use reading::Reader;
use tokens::{Kind, Token};

/// Plans mails by rules, with no model and no network.
#[derive(Debug, Clone, Copy, Default)]
pub struct OfflinePlanner;

impl OfflinePlanner {
    /// The planner; it holds nothing.
    pub const fn new() -> Self {
        Self
    }
}

#[async_trait]
impl Model for OfflinePlanner {
    fn name(&self) -> &'static str {
        "offline-rules"
    }

    fn max_output_tokens(&self) -> Option<u32> {
        None
    }

    async fn ask(&self, request: &ModelRequest) -> Result<Answer, ModelError> {
        let plan = plan(&request.prompt, &request.actions);
        Ok(Answer { finish: Finish::Text(plan.to_string()), usage: Usage::default() })
    }
}

/// The plan for a prompt, in the shape of the model's schema.
fn plan(prompt: &str, allowed: &[ActionId]) -> Value {
    let tokens = tokens::tokenise(prompt);
    let mut planner = Planner::new(allowed);
    let (mut hindrances, mut accounts) = (Vec::new(), Vec::new());
    for request in requests::split(prompt, &tokens) {
        let mut reader = Reader::new(prompt, &tokens[request.tokens]);
        if !reader.open() {
            continue;
        }
        // `Tomorrow mail a@example.com … and b@example.com …`: what opens a sentence counts for all of it.
        if request.continues {
            for &hindrance in &hindrances {
                reader.reading.hinder(hindrance);
            }
        }
        hindrances.clone_from(&reader.reading.hindrances);
        reader.command();
        if request.continues && reader.reading.accounts.is_empty() {
            reader.reading.accounts.clone_from(&accounts);
        }
        accounts.clone_from(&reader.reading.accounts);
        planner.add(&reader.reading);
    }
    planner.finish(every_address(prompt, &tokens))
}

/// Every whole address of the prompt, those in quotations too.
fn every_address(prompt: &str, tokens: &[Token]) -> impl Iterator<Item = Address> {
    tokens.iter().flat_map(|token| match &token.kind {
        Kind::Address(address) => vec![address.clone()],
        Kind::Quote { inner_start, inner_end } => {
            mentions(&prompt[*inner_start..*inner_end]).into_iter().map(|mention| mention.address).collect()
        }
        _ => Vec::new(),
    })
}
