use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ActionId, ClientRequestId, InvalidId, PlanId, Provider};

/// What a planner made of a prompt: the actions it would take and what it has to ask first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Names the plan, for 15 minutes, in an execute request.
    pub plan_id: PlanId,
    /// What the person wants, in a word or two.
    pub intent: Intent,
    /// How sure the planner is, 0 to 1.
    pub confidence: f64,
    /// The actions, valid and allowed; each of their addresses stands in the prompt.
    pub actions: Vec<PlannedAction>,
    /// What has to be known before the rest can be planned.
    pub questions: Vec<String>,
    /// Why there is no action, or what else a person should know.
    pub notes: Option<String>,
}

/// One action of a plan, as execute takes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedAction {
    /// Whose service carries it out.
    pub provider: Provider,
    /// Which action of the catalogue.
    pub action: ActionId,
    /// Its canonical params.
    pub params: Value,
    /// Its idempotency key, made for this plan.
    pub client_request_id: ClientRequestId,
}

/// A short name for what a person wants, such as `send_email`: 1 to 64 of `a-z`, `0-9` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Intent(String);

impl Intent {
    /// Any text made an intent: lower case, everything else an underscore, at most 64 long.
    pub fn from_words(words: &str) -> Self {
        let mut name = String::new();
        for word in words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
            if !name.is_empty() {
                name.push('_');
            }
            name.push_str(&word.to_ascii_lowercase());
        }
        name.truncate(64);
        if name.is_empty() { Self("none".to_owned()) } else { Self(name) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Intent {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId("an intent is 1 to 64 of a-z, 0-9 and _"))
        }
    }
}

impl TryFrom<String> for Intent {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Intent> for String {
    fn from(intent: Intent) -> Self {
        intent.0
    }
}

impl fmt::Display for Intent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_words_make_an_intent() {
        assert_eq!(Intent::from_words("Send E-Mail!").as_str(), "send_e_mail");
        assert_eq!(Intent::from_words("送る").as_str(), "none");
        assert!(Intent::from_words(&"long ".repeat(40)).as_str().parse::<Intent>().is_ok());
    }
}
