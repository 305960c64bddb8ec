use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ActionId, ClientRequestId, Intent, PlanId, Provider};

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
        let name = if name.is_empty() { "none" } else { &name };
        name.parse().expect("words of letters and digits make an intent")
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
