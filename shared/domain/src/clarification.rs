//! Questions that a plan asks, as data: the page and the command line never read their English.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Address, in_ascii, sha256_hex};

/// One question of a plan. Its answer goes back with the same prompt under the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct Clarification {
    /// `q_` and 16 hexadecimal digits. Depends only on the request and on what is asked.
    pub id: String,
    /// What kind of answer fits.
    pub kind: ClarificationKind,
    /// The name, address or phrase of the prompt that the question is about.
    pub about: Option<String>,
    /// A JSON Pointer (RFC 6901) into the plan, where the answer belongs to one field.
    pub field: Option<String>,
    /// The question, for a person.
    pub text: String,
    /// The answers to choose from; only for [`ClarificationKind::Choice`].
    pub options: Option<Vec<ChoiceOption>>,
}

/// What kind of answer a question takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub enum ClarificationKind {
    /// An address, or several separated by commas.
    Address,
    /// Any text that is not blank.
    Text,
    /// Yes or no.
    Confirm,
    /// The value of one of the options.
    Choice,
}

/// One answer to choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct ChoiceOption {
    /// What an answer gives.
    pub value: String,
    /// What a person reads.
    pub label: String,
}

/// A question before it has an id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// As in [`Clarification`].
    pub kind: ClarificationKind,
    /// As in [`Clarification`].
    pub about: Option<String>,
    /// A word that says what is asked, whatever the wording. Kind, `about` and topic identify a question of a request.
    pub topic: String,
    /// As in [`Clarification`].
    pub field: Option<String>,
    /// As in [`Clarification`].
    pub text: String,
    /// As in [`Clarification`].
    pub options: Option<Vec<ChoiceOption>>,
}

impl Question {
    /// A question about `about`, without a field and without options.
    pub fn new(kind: ClarificationKind, about: Option<&str>, topic: &str, text: impl Into<String>) -> Self {
        let (about, topic) = (about.map(str::to_owned), topic.to_owned());
        Self { kind, about, topic, field: None, text: text.into(), options: None }
    }

    /// The same question for one field of the plan.
    #[must_use]
    pub fn with_field(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// Whether both ask the same, whatever the wording.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.kind, &self.about, &self.topic) == (other.kind, &other.about, &other.topic)
    }

    /// The question's id within a request.
    pub fn id(&self, request: &RequestHash) -> String {
        let asked = json!([request.0, self.kind, self.about, self.topic]).to_string();
        format!("q_{}", &sha256_hex(asked.as_bytes())[..16])
    }

    /// The question as a plan shows it.
    pub fn with_id(&self, request: &RequestHash) -> Clarification {
        Clarification {
            id: self.id(request),
            kind: self.kind,
            about: self.about.clone(),
            field: self.field.clone(),
            text: self.text.clone(),
            options: self.options.clone(),
        }
    }

    /// Why an answer cannot be used, as the beginning of a sentence; `Ok` if it can.
    pub fn usable(&self, value: &AnswerValue) -> Result<(), String> {
        match (self.kind, value) {
            (ClarificationKind::Confirm, AnswerValue::Bool(_)) => Ok(()),
            (ClarificationKind::Confirm, AnswerValue::Text(_)) => Err("The answer must be true or false.".to_owned()),
            (_, AnswerValue::Bool(_)) => Err("The answer must be a text.".to_owned()),
            (ClarificationKind::Text, AnswerValue::Text(text)) => match text.trim() {
                "" => Err("The answer is empty.".to_owned()),
                _ => Ok(()),
            },
            (ClarificationKind::Address, AnswerValue::Text(text)) => addresses(text).map(drop),
            (ClarificationKind::Choice, AnswerValue::Text(text)) => {
                let values: Vec<&str> = self.options.iter().flatten().map(|option| option.value.as_str()).collect();
                let known = values.contains(&text.as_str());
                if known { Ok(()) } else { Err(format!("The answer must be one of: {}.", values.join(", "))) }
            }
        }
    }
}

/// Names a request: a hash of its prompt and its context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHash(String);

impl RequestHash {
    /// The hash of a prompt and of the text by somebody else that came with it.
    pub fn of(prompt: &str, context: Option<&str>) -> Self {
        Self(sha256_hex(json!([prompt, context]).to_string().as_bytes()))
    }

    /// 64 lower-case hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A person's answer to a question of the same request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// What was asked.
    pub question: Question,
    /// The answer. It fits the question: see [`Question::usable`].
    pub value: AnswerValue,
}

/// An answer, as a client sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub enum AnswerValue {
    /// Yes or no.
    Bool(bool),
    /// An address, a text, or an option's value.
    Text(String),
}

impl AnswerValue {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.trim()),
            Self::Bool(_) => None,
        }
    }

    /// Whether it is a yes.
    pub fn is_yes(&self) -> bool {
        *self == Self::Bool(true)
    }
}

/// The addresses of an answer, separated by commas or semicolons; else why it holds none.
pub fn addresses(text: &str) -> Result<Vec<Address>, String> {
    let found = Address::list(text).map_err(|invalid| format!("{}.", in_ascii(&invalid.to_string())))?;
    if found.is_empty() { Err("The answer holds no address.".to_owned()) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_the_request_and_on_what_is_asked_and_not_on_the_wording() {
        let request = RequestHash::of("Thank John", None);
        let question = Question::new(ClarificationKind::Address, Some("John"), "recipient", "What is John's address?");
        let id = question.id(&request);
        assert_eq!(
            Question { text: "Where?".to_owned(), field: Some("/x".to_owned()), ..question.clone() }.id(&request),
            id
        );
        for other in [
            Question { about: Some("Jon".to_owned()), ..question.clone() }.id(&request),
            Question { topic: "copy".to_owned(), ..question.clone() }.id(&request),
            Question { kind: ClarificationKind::Text, ..question.clone() }.id(&request),
            question.id(&RequestHash::of("Thank John", Some("a mail"))),
            question.id(&RequestHash::of("Thank Jon", None)),
        ] {
            assert_ne!(other, id);
        }
        assert!(id.starts_with("q_") && id.len() == 18);
    }

    #[test]
    fn an_answer_fits_its_question_or_the_refusal_says_why() {
        use ClarificationKind::{Address, Choice, Confirm, Text};
        let text = |text: &str| AnswerValue::Text(text.to_owned());
        let yes = AnswerValue::Bool(true);
        let option = |value: &str| ChoiceOption { value: value.to_owned(), label: value.to_uppercase() };
        let ask = |kind| Question {
            options: Some(vec![option("one"), option("each")]),
            ..Question::new(kind, None, "t", "?")
        };
        for (kind, value) in [
            (Address, text("ana@example.com")),
            (Address, text(" Ana <ana@example.com>; bo@example.com, ")),
            (Text, text("hi")),
            (Confirm, yes.clone()),
            (Choice, text("each")),
        ] {
            assert_eq!(ask(kind).usable(&value), Ok(()), "{kind:?} {value:?}");
        }
        for (kind, value) in [
            (Address, text("ana")),
            (Address, text("ana@example.com, bo")),
            (Address, text("")),
            (Address, yes.clone()),
            (Text, text("  ")),
            (Text, yes),
            (Confirm, text("yes")),
            (Choice, text("both")),
        ] {
            assert!(ask(kind).usable(&value).is_err(), "{kind:?} {value:?}");
        }
    }
}
