//! Plans.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{IntoStaticStr, VariantArray};

use crate::{
    ActionId, Clarification, ClientRequestId, Intent, InvalidId, Lookup, LookupId, Moment, PlanId, Provider, Reference,
    Warning, serde_text::serde_as_text,
};

/// A plan: the actions to carry out, and the questions to answer first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct Plan {
    /// The plan's id in an execute request, valid for 15 minutes.
    #[cfg_attr(feature = "utoipa", schema(value_type = Uuid))]
    pub plan_id: PlanId,
    /// Whether it can be carried out.
    #[serde(default)]
    pub status: PlanStatus,
    /// What the person wants, in one or two words.
    #[cfg_attr(feature = "utoipa", schema(value_type = String))]
    pub intent: Intent,
    /// How certain the planner is, 0 to 1.
    pub confidence: f64,
    /// What the actions need to know of the account.
    #[serde(default)]
    #[cfg_attr(feature = "utoipa", schema(value_type = Vec<crate::lookup::WrittenLookup>))]
    pub lookups: Vec<Lookup>,
    /// The actions, valid and allowed. Each address in them is one of the prompt or of an answer, or was looked up.
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
    /// The action's canonical params. In an unresolved plan, `{ "$ref": "l1.address" }` stands where something is to be
    /// looked up.
    #[cfg_attr(feature = "utoipa", schema(value_type = Object))]
    pub params: Value,
    /// The action's idempotency key, created for this plan.
    #[cfg_attr(feature = "utoipa", schema(value_type = String))]
    pub client_request_id: ClientRequestId,
    /// When it is to be carried out, if the prompt names a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "utoipa", schema(value_type = Option<String>, format = DateTime))]
    pub send_at: Option<Moment>,
    /// Whom it reaches, as far as that is known, and how each address came in.
    #[serde(default)]
    pub recipients: Vec<Recipient>,
}

impl PlannedAction {
    /// How each recipient came in.
    pub fn sources(&self) -> Sources {
        Sources(self.recipients.iter().filter_map(|recipient| recipient.source).collect())
    }

    /// Whether something in it has to be looked up first.
    pub fn is_unresolved(&self) -> bool {
        let is_reference = |value: &Value| Reference::read(value).is_some();
        let holds = |value: &Value| is_reference(value) || value.as_array().is_some_and(|l| l.iter().any(is_reference));
        self.params.as_object().is_some_and(|fields| fields.values().any(holds))
    }
}

/// Whether a plan can be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PlanStatus {
    /// It can.
    #[default]
    Ready,
    /// Something has to be looked up in the account first.
    Unresolved,
}

/// Somebody whom an action reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct Recipient {
    /// The address, without a display name.
    #[cfg_attr(feature = "utoipa", schema(example = "john@example.com"))]
    pub address: String,
    /// How the address came in; null for an action that no plan holds.
    pub source: Option<Source>,
    /// The lookup of the plan that found it.
    #[cfg_attr(feature = "utoipa", schema(value_type = Option<String>))]
    pub lookup: Option<LookupId>,
    /// It is outside the operator's own domains. Without `INTERNAL_DOMAINS` nothing is known to be outside.
    pub external: bool,
}

/// How each recipient of an action came into its plan, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sources(pub Vec<Source>);

impl Sources {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one was looked up.
    pub fn is_derived(&self) -> bool {
        self.0.iter().any(|source| source.is_derived())
    }
}

/// One letter each: a job's record has to stay short.
impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|source| f.write_str(&<&str>::from(source)[..1]))
    }
}

impl FromStr for Sources {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let read =
            |letter: char| Source::VARIANTS.iter().copied().find(|known| <&str>::from(known).starts_with(letter));
        text.chars().map(read).collect::<Option<_>>().map(Self).ok_or(InvalidId("not the sources of recipients"))
    }
}

serde_as_text!(Sources);

/// How an address came into a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, VariantArray)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Source {
    /// The request holds it.
    Prompt,
    /// A person gave it in an answer.
    Answer,
    /// The account's own contacts.
    Contact,
    /// The directory of the account's organisation.
    Directory,
    /// An event that the account organises or has accepted.
    Event,
}

impl Source {
    /// Whether it was looked up, rather than written by the person.
    pub const fn is_derived(self) -> bool {
        matches!(self, Self::Contact | Self::Directory | Self::Event)
    }
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
