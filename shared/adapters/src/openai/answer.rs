//! What an endpoint answers: a completion, or a refusal in one of many shapes.

use std::time::Duration;

use engine::ports::{Answer, Finish, ModelError, ModelRequest, Usage};
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use crate::http::{self, Failure, is_code};

/// How refusals say that a filter withheld the answer: Azure, OpenAI, OpenRouter.
const FILTERED: &[&str] =
    &["content_filter", "responsibleaipolicyviolation", "content_policy_violation", "input_was_flagged"];
/// How they say that the request is longer than the model's context: OpenAI and vLLM, llama.cpp, Anthropic, Gemini,
/// Bedrock, Cohere.
const TOO_LONG: &[&str] = &[
    "context_length",
    "context_size",
    "context_window",
    "prompt_is_too_long",
    "request_too_large",
    "input_token_count",
    "input_is_too_long",
    "too_many_tokens",
];
/// The codes of an account without money: asking later does not help.
const UNPAID: &[&str] = &["insufficient_quota", "billing_hard_limit_reached", "billing_not_active"];

/// An endpoint's no.
pub(super) struct Refusal {
    status: StatusCode,
    retry_after: Option<Duration>,
    /// Its texts, as [`words`] spells them.
    words: String,
    /// The person's own text in the same spelling. Endpoints repeat it, so a word of it says nothing.
    said: String,
    /// The status with code and type.
    label: String,
}

impl Refusal {
    /// The refusal in a reply, if it is one. Gateways send some with status 200.
    pub fn of(reply: &http::Answer, request: &ModelRequest, key: Option<&SecretString>) -> Option<Self> {
        let body = reply.json();
        // Gemini writes a list of one error.
        let body = body.get(0).unwrap_or(&body);
        let nested = [&body["error"], &body["choices"][0]["error"]].into_iter().find(|error| error.is_object());
        let status = if reply.status.is_success() { status_of(nested?)? } else { reply.status };
        let error = nested.unwrap_or(body);
        let said = words(&Value::from(request.message.as_str()));
        Some(Self {
            status,
            retry_after: reply.retry_after,
            words: words(error),
            said,
            label: label(key, status, error),
        })
    }

    /// Whether it is about a parameter, and says one of these words.
    pub fn names(&self, parameter: &[&str]) -> bool {
        let is_about_one = matches!(self.status.as_u16(), 400 | 404 | 422 | 501);
        is_about_one && !self.is_filtered() && !self.is_too_long() && self.says(parameter)
    }

    /// What it means for the planner.
    pub fn meaning(self) -> Result<Answer, ModelError> {
        match self.status {
            _ if self.is_filtered() => Ok(Answer { finish: Finish::Refusal(None), usage: Usage::default() }),
            _ if self.is_too_long() => Err(ModelError::TooLong),
            StatusCode::TOO_MANY_REQUESTS if !self.says(UNPAID) => Err(ModelError::Busy(self.retry_after)),
            StatusCode::SERVICE_UNAVAILABLE if self.retry_after.is_some() => Err(ModelError::Busy(self.retry_after)),
            status if status.is_server_error() => Err(ModelError::Unreachable(self.label)),
            _ => Err(ModelError::Refused(self.label)),
        }
    }

    fn is_filtered(&self) -> bool {
        self.status.is_client_error() && self.says(FILTERED)
    }

    fn is_too_long(&self) -> bool {
        self.status == StatusCode::PAYLOAD_TOO_LARGE || (self.status.is_client_error() && self.says(TOO_LONG))
    }

    fn says(&self, any: &[&str]) -> bool {
        any.iter().any(|word| self.words.contains(word) && !self.said.contains(word))
    }
}

/// The status that an error within a 200 stands for.
fn status_of(error: &Value) -> Option<StatusCode> {
    let of_field = |field: &str| {
        let text = error[field].as_str().unwrap_or_default();
        let number = error[field].as_u64().or_else(|| text.parse().ok());
        let known = match text {
            "rate_limit_exceeded" | "insufficient_quota" => 429,
            "content_filter" | "context_length_exceeded" | "exceed_context_size_error" => 400,
            "server_error" | "internal_error" | "overloaded_error" => 500,
            _ => u16::try_from(number?).ok()?,
        };
        StatusCode::from_u16(known).ok().filter(|status| status.is_client_error() || status.is_server_error())
    };
    ["code", "status", "type"].into_iter().find_map(of_field)
}

/// The status with the endpoint's error code and type. Its message is left out: it may repeat the key or the prompt.
fn label(key: Option<&SecretString>, status: StatusCode, error: &Value) -> String {
    let words = ["code", "type"].into_iter().filter_map(|field| {
        let word = match &error[field] {
            Value::String(word) => word.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let has_key = key.is_some_and(|key| word.contains(key.expose_secret()));
        (is_code(&word) && !has_key).then(|| format!(", {field} {word}"))
    });
    format!("status {}{}", status.as_u16(), words.collect::<String>())
}

/// The texts in a value, in lower case and with one underscore for all between letters and digits: "Response format",
/// `response_format` and `["body", "response_format"]` read alike.
fn words(value: &Value) -> String {
    fn add(value: &Value, words: &mut String) {
        match value {
            Value::String(text) => words.extend(text.chars().chain([' '])),
            Value::Array(items) => items.iter().for_each(|item| add(item, words)),
            Value::Object(fields) => fields.values().for_each(|field| add(field, words)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut text = String::new();
    add(value, &mut text);
    let plain = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    plain.collect::<Vec<_>>().join("_").to_lowercase()
}

/// A completion, as far as it is used. Other fields may come and go.
#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Value,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Message>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<Content>,
    refusal: Option<String>,
}

/// A text, or the parts of one. Reasoning models write their thoughts into parts of another type.
#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    r#type: String,
    text: Option<String>,
}

impl Content {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Parts(parts) => {
                let said = parts.into_iter().filter(|part| matches!(&*part.r#type, "text" | "output_text"));
                said.filter_map(|part| part.text).collect()
            }
        }
    }
}

/// Reads a completion.
pub(super) fn read(body: Result<Vec<u8>, Failure>) -> Result<Answer, ModelError> {
    let body = body.map_err(unreadable)?;
    // serde_json's message quotes the input, which may be personal: only the position is reported.
    let completion: Completion = serde_json::from_slice(&body).map_err(|error| {
        let what = if error.is_data() { "no chat completion" } else { "no JSON" };
        ModelError::Unreadable(format!("{what}: line {}, column {}", error.line(), error.column()))
    })?;
    let tokens = |name: &str| completion.usage[name].as_u64().unwrap_or(0);
    let usage = Usage { input: tokens("prompt_tokens"), output: tokens("completion_tokens") };
    let finish = completion.choices.into_iter().next().map_or(Finish::Empty, finish);
    Ok(Answer { finish, usage })
}

fn unreadable(failure: Failure) -> ModelError {
    match failure {
        Failure::TimedOut => ModelError::TimedOut,
        Failure::TooLong => ModelError::Unreadable("larger than 1 MiB".to_owned()),
        _ => ModelError::Unreadable("the connection broke within the answer".to_owned()),
    }
}

/// How a choice ended. A cut-off answer has content and a filtered one may, so `finish_reason` counts first. Gemini
/// writes the category behind `content_filter`, Mistral `model_length`.
fn finish(choice: Choice) -> Finish {
    let said = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let (content, refusal) =
        choice.message.map_or((None, None), |m| (said(m.content.map(Content::text)), said(m.refusal)));
    let reason = choice.finish_reason.unwrap_or_default().to_ascii_lowercase();
    let is_filtered =
        reason.starts_with("content_filter") || ["safety", "prohibited_content", "refusal"].contains(&&*reason);
    match (&*reason, refusal, content) {
        (_, refusal, _) if is_filtered || refusal.is_some() => Finish::Refusal(refusal),
        ("length" | "model_length" | "max_tokens" | "max_output_tokens", ..) => Finish::CutOff,
        (_, _, Some(content)) => Finish::Text(content),
        (_, _, None) => Finish::Empty,
    }
}
