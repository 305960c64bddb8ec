//! Plans.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ActionId, Clarification, ClientRequestId, Intent, Moment, PlanId, Provider, Warning};

/// A plan: the actions to carry out, and the questions to answer first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct Plan {
    /// The plan's id in an execute request, valid for 15 minutes.
    #[cfg_attr(feature = "utoipa", schema(value_type = Uuid))]
    pub plan_id: PlanId,
    /// What the person wants, in one or two words.
    #[cfg_attr(feature = "utoipa", schema(value_type = String))]
    pub intent: Intent,
    /// How certain the planner is, 0 to 1.
    pub confidence: f64,
    /// The actions, valid and allowed. Each address in them is one of the prompt or of an answer.
    pub actions: Vec<PlannedAction>,
    /// What has to be known before the rest can be planned: the texts of the clarifications.
    pub questions: Vec<String>,
    /// The same as data, in the same order.
    #[serde(default)]
    pub clarifications: Vec<Clarification>,
    /// What a person should know before the plan is carried out.
    #[serde(default)]
    pub warnings: Vec<Warning>,
    /// Why there is no action, or what else a person should know.
    pub notes: Option<String>,
    /// Sends of this plan end after their drafts.
    #[serde(default)]
    pub draft_only: bool,
}

/// One action of a plan, as execute accepts it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct PlannedAction {
    /// The action's provider.
    #[cfg_attr(feature = "utoipa", schema(value_type = String, example = "google"))]
    pub provider: Provider,
    /// The action's id in the catalogue.
    #[cfg_attr(feature = "utoipa", schema(value_type = String, example = "gmail.send"))]
    pub action: ActionId,
    /// The action's canonical params.
    #[cfg_attr(feature = "utoipa", schema(value_type = Object))]
    pub params: Value,
    /// The action's idempotency key, created for this plan.
    #[cfg_attr(feature = "utoipa", schema(value_type = String))]
    pub client_request_id: ClientRequestId,
    /// When it is to be carried out, if the prompt names a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "utoipa", schema(value_type = Option<String>, format = DateTime))]
    pub send_at: Option<Moment>,
}

impl Intent {
    /// Any text made an intent: lower case, everything else an underscore, at most 64 long.
    pub fn from_words(words: &str) -> Self {
        let words = words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let mut name = words.collect::<Vec<_>>().join("_").to_ascii_lowercase();
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
