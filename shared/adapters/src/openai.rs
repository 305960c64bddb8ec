//! Any OpenAI-compatible chat completions endpoint as a [`Model`].

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_trait::async_trait;
use engine::ports::{Answer, Finish, Model, ModelError, ModelRequest, Usage};
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    http::{self, Failure, LazyClient, MAX_ANSWER, is_code},
    secret::Secret,
};

/// The newer name of the limit of an answer.
const NEWER: &str = "max_completion_tokens";

/// A model behind `{base}/chat/completions`, asked for JSON in strict mode.
///
/// One [`Model::ask`] is one HTTP request: the caller decides whether to try again. Only an endpoint that refuses the
/// newer name of the limit is asked again at once, by the older one, and so from then on.
pub struct OpenAi {
    http: LazyClient,
    url: String,
    key: Option<Secret>,
    model: String,
    max_output_tokens: u32,
    /// The endpoint takes the older name of the limit only.
    is_older: AtomicBool,
}

impl OpenAi {
    /// A model at `base_url`, such as `https://api.openai.com/v1`, with or without a trailing slash or a query.
    ///
    /// The client follows no redirects, so neither the prompt nor the key reaches another host.
    pub fn new(http: LazyClient, base_url: &str, key: Option<Secret>, model: String, max_output_tokens: u32) -> Self {
        let (base, query) = base_url.split_at(base_url.find('?').unwrap_or(base_url.len()));
        let url = format!("{}/chat/completions{query}", base.trim_end_matches('/'));
        Self { http, url, key, model, max_output_tokens, is_older: AtomicBool::new(false) }
    }
}

#[async_trait]
impl Model for OpenAi {
    fn name(&self) -> &str {
        &self.model
    }

    fn max_output_tokens(&self) -> Option<u32> {
        Some(self.max_output_tokens)
    }

    async fn ask(&self, request: &ModelRequest) -> Result<Answer, ModelError> {
        // No temperature and, where the endpoint knows better, no max_tokens: reasoning models refuse both.
        let mut body = json!({
            "model": self.model,
            "messages": [
                { "role": "system", "content": request.instructions },
                { "role": "user", "content": request.message },
            ],
            "response_format": {
                "type": "json_schema",
                "json_schema": { "name": "plan", "strict": true, "schema": request.schema },
            },
        });
        let key = match &self.key {
            Some(key) => Some(key.get().await.map_err(|error| ModelError::Unreachable(error.to_string()))?),
            None => None,
        };
        let answer = loop {
            let is_older = self.is_older.load(Relaxed);
            body[if is_older { "max_tokens" } else { NEWER }] = json!(self.max_output_tokens);
            let mut call = self.http.get().post(&self.url).timeout(request.timeout).json(&body);
            if let Some(key) = &key {
                call = call.bearer_auth(key.expose_secret());
            }
            let answer = http::send(call, MAX_ANSWER).await.map_err(not_answered)?;
            let refuses = answer.status.is_client_error() && answer.json().to_string().contains(NEWER);
            if is_older || !refuses {
                break answer;
            }
            self.is_older.store(true, Relaxed);
            body.as_object_mut().and_then(|fields| fields.remove(NEWER));
        };
        let (status, retry_after) = (answer.status, answer.retry_after);
        match status {
            _ if status.is_success() => read(&answer.body.map_err(unreadable)?),
            StatusCode::BAD_REQUEST if answer.json()["error"]["code"] == "content_filter" => {
                Ok(Answer { finish: Finish::Refusal(None), usage: Usage::default() })
            }
            StatusCode::TOO_MANY_REQUESTS => Err(ModelError::Busy(retry_after)),
            StatusCode::SERVICE_UNAVAILABLE if retry_after.is_some() => Err(ModelError::Busy(retry_after)),
            _ if status.is_server_error() => Err(ModelError::Unreachable(format!("status {}", status.as_u16()))),
            // The error body only adds detail, so it may be missing.
            _ => Err(ModelError::Refused(refusal(key.as_ref(), status, &answer.json()["error"]))),
        }
    }
}

fn not_answered(failure: Failure) -> ModelError {
    match failure {
        Failure::Invalid => ModelError::Refused("no request can be made of this base URL and key".to_owned()),
        Failure::NoConnection => ModelError::Unreachable("no connection".to_owned()),
        Failure::TimedOut => ModelError::TimedOut,
        _ => ModelError::Unreachable("the connection broke before an answer".to_owned()),
    }
}

fn unreadable(failure: Failure) -> ModelError {
    match failure {
        Failure::TimedOut => ModelError::TimedOut,
        Failure::TooLong => ModelError::Unreadable("larger than 1 MiB".to_owned()),
        _ => ModelError::Unreadable("the connection broke within the answer".to_owned()),
    }
}

/// The status with the endpoint's error code and type. Its message is left out: it may repeat the key or the prompt.
fn refusal(key: Option<&SecretString>, status: StatusCode, error: &Value) -> String {
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

/// A completion, as far as it is used. Other fields may come and go.
#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Value,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<ChoiceMessage>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct ChoiceMessage {
    content: Option<String>,
    refusal: Option<String>,
}

fn read(body: &[u8]) -> Result<Answer, ModelError> {
    // serde_json's message quotes the input, which may be personal: only the position is reported.
    let completion: Completion = serde_json::from_slice(body).map_err(|error| {
        let what = if error.is_data() { "no chat completion" } else { "no JSON" };
        ModelError::Unreadable(format!("{what}: line {}, column {}", error.line(), error.column()))
    })?;
    let tokens = |name: &str| completion.usage[name].as_u64().unwrap_or(0);
    let usage = Usage { input: tokens("prompt_tokens"), output: tokens("completion_tokens") };
    let finish = completion.choices.into_iter().next().map_or(Finish::Empty, finish);
    Ok(Answer { finish, usage })
}

/// How a choice ended. A cut-off answer has content and a filtered one may, so `finish_reason` counts first.
fn finish(choice: Choice) -> Finish {
    let said = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let (content, refusal) = choice.message.map_or((None, None), |m| (said(m.content), said(m.refusal)));
    match (choice.finish_reason.as_deref(), refusal, content) {
        (Some("content_filter"), refusal, _) | (_, refusal @ Some(_), _) => Finish::Refusal(refusal),
        (Some("length"), ..) => Finish::CutOff,
        (_, _, Some(content)) => Finish::Text(content),
        (_, _, None) => Finish::Empty,
    }
}
