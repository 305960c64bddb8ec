//! How endpoints differ that call themselves compatible: where they are, what they refuse, and how they write. Each
//! refuses in the words of the real one, as its documentation or its users' reports have them.

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

use super::{Request, bedrock, strict};

/// Whose dialect a fake endpoint speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    /// OpenAI's own.
    OpenAi,
    /// A deployment on Azure: key in `api-key`, and no newer name of the limit before API version 2024-12.
    Azure,
    /// Mistral: pydantic refuses what it does not know; reasoning models answer in parts.
    Mistral,
    /// Gemini: no type lists; an error is a list of one.
    Gemini,
    /// Ollama: ignores what it does not know.
    Ollama,
    /// vLLM before structured outputs: no schema; flat errors.
    Vllm,
    /// OpenRouter before a model without any response format: the upstream's words are a text in its own error.
    OpenRouter,
    /// llama.cpp with a chat template that has no system role.
    LlamaCpp,
    /// Amazon Bedrock: a key by AWS's credentials; thoughts stand before the answer.
    Bedrock,
}

/// An answer of another status than 200.
pub(super) type Refused = (StatusCode, Value);

impl Vendor {
    /// Every one.
    pub const ALL: [Self; 9] = [
        Self::OpenAi,
        Self::Azure,
        Self::Mistral,
        Self::Gemini,
        Self::Ollama,
        Self::Vllm,
        Self::OpenRouter,
        Self::LlamaCpp,
        Self::Bedrock,
    ];

    /// What is before `/chat/completions`, and the query.
    pub(super) fn base(self) -> (&'static str, &'static str) {
        match self {
            Self::Azure => ("/openai/deployments/plan", "?api-version=2024-10-21"),
            Self::Gemini => ("/v1beta/openai", ""),
            Self::OpenRouter => ("/api/v1", ""),
            Self::Bedrock => ("/openai/v1", ""),
            _ => ("/v1", ""),
        }
    }

    /// Whether the key is in its place.
    pub(super) fn knows(self, key: &str, headers: &HeaderMap) -> bool {
        let has = |name: &str, value: &str| headers.get(name).is_some_and(|header| header == value);
        match self {
            Self::Azure => has("api-key", key) && !headers.contains_key(header::AUTHORIZATION),
            Self::Bedrock => {
                let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
                bedrock::knows(key, authorization.unwrap_or_default())
            }
            _ => has("authorization", &format!("Bearer {key}")),
        }
    }

    /// Whether it takes this request.
    pub(super) fn check(self, request: &Request) -> Result<(), Refused> {
        let body = &request.body;
        let is_there = |name: &str| body.get(name).is_some();
        let format = body.pointer("/response_format/type").and_then(Value::as_str);
        let bad = |error: Value| Err((StatusCode::BAD_REQUEST, error));
        match self {
            Self::OpenAi => strict::check(body).or_else(|(code, detail)| {
                let message = format!("{detail} (prompt: {})", request.message("user"));
                bad(json!({ "error": { "message": message, "type": "invalid_request_error", "param": null, "code": code } }))
            }),
            Self::Azure if is_there("max_completion_tokens") => {
                let message = "Unrecognized request argument supplied: max_completion_tokens";
                bad(json!({ "error": { "message": message, "type": "invalid_request_error", "param": null, "code": null } }))
            }
            Self::Mistral if is_there("max_completion_tokens") => {
                let detail = json!([{ "type": "extra_forbidden", "loc": ["body", "max_completion_tokens"],
                    "msg": "Extra inputs are not permitted", "input": body["max_completion_tokens"] }]);
                let error = json!({ "object": "error", "message": { "detail": detail }, "type": "invalid_request_error",
                    "param": null, "code": null });
                Err((StatusCode::UNPROCESSABLE_ENTITY, error))
            }
            Self::Gemini if has_type_list(request.schema()) => {
                let message = "Invalid JSON payload received. Unknown name \"type\" at 'generation_config.response_schema\
                               .properties[1].value': Proto field is not repeating, cannot start list.";
                bad(json!([{ "error": { "code": 400, "message": message, "status": "INVALID_ARGUMENT" } }]))
            }
            Self::Vllm if format == Some("json_schema") => {
                let message = "[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'msg': \"Input \
                               should be 'text' or 'json_object'\", 'input': 'json_schema'}]";
                bad(json!({ "object": "error", "message": message, "type": "BadRequestError", "param": null, "code": 400 }))
            }
            Self::OpenRouter if format.is_some() => {
                let raw = json!({ "error": { "message": "This model does not support response format", "type": "invalid" } });
                let metadata = json!({ "raw": raw.to_string(), "provider_name": "Upstream" });
                bad(json!({ "error": { "message": "Provider returned error", "code": 400, "metadata": metadata } }))
            }
            Self::LlamaCpp if !request.message("system").is_empty() => {
                let message = "Jinja Exception: System role not supported";
                bad(json!({ "error": { "code": 400, "message": message, "type": "invalid_request_error" } }))
            }
            _ => Ok(()),
        }
    }

    /// A completion in its own shape.
    pub(super) fn written(self, mut completion: Value) -> Value {
        let text = completion["choices"][0]["message"]["content"].as_str().map(str::to_owned);
        match (self, text) {
            (Self::Mistral, Some(text)) => {
                let thought = json!([{ "type": "text", "text": "A mail, so {\"intent\": \"send_email\"}." }]);
                completion["choices"][0]["message"] = json!({ "role": "assistant", "content": [
                    { "type": "thinking", "thinking": thought }, { "type": "text", "text": text } ] });
            }
            (Self::OpenRouter | Self::LlamaCpp, Some(text)) => {
                completion["choices"][0]["message"] =
                    json!({ "role": "assistant", "reasoning": "A mail.", "content": format!("```json\n{text}\n```") });
            }
            (Self::Bedrock, Some(text)) => {
                let content = format!("<reasoning>A mail, so {{\"intent\"}} first.</reasoning>{text}");
                completion["choices"][0]["message"] = json!({ "role": "assistant", "content": content });
            }
            (Self::Gemini | Self::Ollama, Some(text)) => {
                completion["choices"][0]["message"] = json!({ "role": "assistant", "content": text });
            }
            _ => {}
        }
        completion
    }
}

fn has_type_list(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => fields.get("type").is_some_and(Value::is_array) || fields.values().any(has_type_list),
        Value::Array(items) => items.iter().any(has_type_list),
        _ => false,
    }
}
