//! What of a request an endpoint takes.

use std::borrow::Cow;

use engine::ports::ModelRequest;
use serde::Serialize;
use serde_json::Value;

use super::answer::Refusal;

/// The parameters that an endpoint takes: OpenAI's own at first. Each only ever steps down, so learning ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Dialect {
    /// The limit of an answer goes by its older name: endpoints other than OpenAI's know no other.
    older_limit: bool,
    /// The model keeps its own temperature: reasoning models refuse another.
    own_temperature: bool,
    /// The instructions go with the message: some chat templates have no system role.
    one_message: bool,
    format: Format,
}

/// How the endpoint is told which JSON to write, from the strictest down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Format {
    /// A schema that the answer is held to.
    #[default]
    Strict,
    /// A schema, without `strict`.
    Schema,
    /// Any JSON object. From here on, the instructions hold the schema.
    Object,
    /// No format at all.
    Text,
}

/// What refusals call each parameter, as [`Refusal`] spells them. Gemini and llama.cpp name a field or grammar of their
/// own.
const LIMIT: &[&str] = &["max_completion_tokens"];
const TEMPERATURE: &[&str] = &["temperature"];
const SYSTEM_ROLE: &[&str] =
    &["system_role", "does_not_support_system", "roles_must_alternate", "developer_instruction"];
const FORMAT: &[&str] = &[
    "response_format",
    "response_schema",
    "json_schema",
    "json_object",
    "json_mode",
    "structured_output",
    "additionalproperties",
    "invalid_schema",
    "unsupported_schema",
    "grammar",
    "_strict",
];

/// A request, as it goes out.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat<'a> {
    JsonSchema { json_schema: Named<'a> },
    JsonObject,
}

/// A schema with its name.
#[derive(Serialize)]
struct Named<'a> {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    schema: &'a Value,
}

impl Dialect {
    /// The next dialect to try, if a refusal names a parameter that can be said another way.
    pub fn after(self, refusal: &Refusal) -> Option<Self> {
        let next = Self {
            older_limit: self.older_limit || refusal.names(LIMIT),
            own_temperature: self.own_temperature || refusal.names(TEMPERATURE),
            one_message: self.one_message || refusal.names(SYSTEM_ROLE),
            format: if refusal.names(FORMAT) { self.format.below() } else { self.format },
        };
        (next != self).then_some(next)
    }

    /// The request's body.
    pub fn body<'a>(self, model: &'a str, limit: u32, request: &'a ModelRequest) -> Body<'a> {
        let ModelRequest { instructions, message, schema, .. } = request;
        let told = match self.format {
            Format::Strict | Format::Schema => String::new(),
            Format::Object | Format::Text => {
                format!("\n\nAnswer with one JSON object that fits this JSON Schema, and with nothing else:\n{schema}")
            }
        };
        let messages = if self.one_message {
            vec![("user", format!("{instructions}{told}\n\n{message}").into())]
        } else {
            let instructions =
                if told.is_empty() { instructions.into() } else { format!("{instructions}{told}").into() };
            vec![("system", instructions), ("user", message.into())]
        };
        let of_schema = |strict| ResponseFormat::JsonSchema { json_schema: Named { name: "plan", strict, schema } };
        let response_format = match self.format {
            Format::Strict => Some(of_schema(Some(true))),
            Format::Schema => Some(of_schema(None)),
            Format::Object => Some(ResponseFormat::JsonObject),
            Format::Text => None,
        };
        Body {
            model,
            messages: messages.into_iter().map(|(role, content)| Message { role, content }).collect(),
            response_format,
            // The likeliest answer, and so the same one each time.
            temperature: (!self.own_temperature).then_some(0),
            max_tokens: self.older_limit.then_some(limit),
            max_completion_tokens: (!self.older_limit).then_some(limit),
        }
    }

    /// What is asked another way than OpenAI is, for `meta.adjusted`.
    pub fn adjusted(self) -> Vec<&'static str> {
        let format = match self.format {
            Format::Strict => None,
            Format::Schema => Some("not_strict"),
            Format::Object => Some("json_object"),
            Format::Text => Some("no_response_format"),
        };
        let limit = self.older_limit.then_some("max_tokens");
        let temperature = self.own_temperature.then_some("own_temperature");
        let roles = self.one_message.then_some("no_system_role");
        [limit, temperature, roles, format].into_iter().flatten().collect()
    }
}

impl Format {
    fn below(self) -> Self {
        match self {
            Self::Strict => Self::Schema,
            Self::Schema => Self::Object,
            Self::Object | Self::Text => Self::Text,
        }
    }
}
