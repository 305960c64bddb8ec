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
#[cfg(test)]
mod measure;
mod message;
mod opening;
mod phrases;
mod reading;
mod requests;
mod tokens;
mod vocabulary;
mod wording;

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use domain::{ActionId, Address, mentions};
use engine::ports::{Answer, Finish, Model, ModelError, ModelRequest, Usage};
use serde_json::Value;

use answer::Planner;
use reading::{Hindrance, Reader};
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
    let mut before = Context::default();
    for request in requests::split(&tokens) {
        let mut reader = Reader::new(prompt, &tokens[request.tokens]);
        let opened = reader.open();
        if request.continues {
            if before.refused {
                continue;
            }
            before.hindrances.iter().for_each(|&hindrance| reader.reading.hinder(hindrance));
        }
        before = Context { refused: !opened, hindrances: reader.reading.hindrances.clone(), accounts: before.accounts };
        if !opened {
            continue;
        }
        reader.command();
        let mut reading = reader.reading;
        if reading.accounts.is_empty() && request.continues {
            reading.accounts.clone_from(&before.accounts);
        }
        before.accounts.clone_from(&reading.accounts);
        planner.add(reading);
    }
    planner.finish(every_address(prompt, &tokens))
}

/// What a request says of the next one in the same sentence.
#[derive(Default)]
struct Context {
    /// It asks for no mail, or for none to be sent.
    refused: bool,
    hindrances: Vec<Hindrance>,
    accounts: Vec<reading::Account>,
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
