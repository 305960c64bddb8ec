//! Any OpenAI-compatible chat completions endpoint as a [`Model`].

use std::time::Duration;

use async_trait::async_trait;
use engine::ports::{Answer, Finish, Model, ModelError, ModelRequest, Usage};
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{http::LazyClient, secret::Secret};

/// The most bytes that a response may have; a plan is a few thousand.
const MAX_RESPONSE: usize = 1024 * 1024;

/// A model behind `{base}/chat/completions`, asked for JSON in strict mode.
///
/// One [`Model::ask`] is one HTTP request: whether to try again is the caller's to decide.
pub struct OpenAi {
    http: LazyClient,
    url: String,
    key: Option<Secret>,
    model: String,
    max_output_tokens: u32,
}

impl OpenAi {
    /// A model at `base_url`, such as `https://api.openai.com/v1`, with or without a slash at its end.
    ///
    /// The client follows no redirects: a redirect is a refusal, and neither the prompt nor the key
    /// goes to another host.
    pub fn new(http: LazyClient, base_url: &str, key: Option<Secret>, model: String, max_output_tokens: u32) -> Self {
        let url = format!("{}/chat/completions", base_url.trim_end_matches('/'));
        Self { http, url, key, model, max_output_tokens }
    }

    /// The status and, where they are plain words, the provider's error code and type. The
    /// provider's message is left out: it may repeat the key or the prompt.
    fn refusal(key: Option<&SecretString>, status: StatusCode, body: &[u8]) -> String {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let error = &body["error"];
        let words = ["code", "type"].into_iter().filter_map(|field| {
            let word = match &error[field] {
                Value::String(word) => word.clone(),
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
            let is_plain = (1..=64).contains(&word.len()) && word.bytes().all(plain);
            let has_key = key.is_some_and(|key| word.contains(key.expose_secret()));
            (is_plain && !has_key).then(|| format!(", {field} {word}"))
        });
        format!("status {}{}", status.as_u16(), words.collect::<String>())
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
        let body = Body {
            model: &self.model,
            messages: [
                Message { role: "system", content: &request.instructions },
                Message { role: "user", content: &request.message },
            ],
            response_format: ResponseFormat {
                kind: "json_schema",
                json_schema: JsonSchema { name: "plan", strict: true, schema: &request.schema },
            },
            // No temperature: reasoning models refuse it. No max_tokens: the same, and this is its successor.
            max_completion_tokens: self.max_output_tokens,
        };
        let key = match &self.key {
            Some(key) => Some(key.get().await.map_err(|error| ModelError::Unreachable(error.to_string()))?),
            None => None,
        };
        let http = self.http.get().map_err(|error| ModelError::Unreachable(error.to_string()))?;
        let mut call = http.post(&self.url).timeout(request.timeout).json(&body);
        if let Some(key) = &key {
            call = call.bearer_auth(key.expose_secret());
        }
        let mut response = call.send().await.map_err(|error| failed_to_send(&error))?;
        let status = response.status();
        if status.is_success() {
            return read(&body_of(&mut response).await?);
        }
        let wait = retry_after(response.headers());
        match status {
            StatusCode::TOO_MANY_REQUESTS => Err(ModelError::Busy(wait)),
            StatusCode::SERVICE_UNAVAILABLE if wait.is_some() => Err(ModelError::Busy(wait)),
            _ if status.is_server_error() => Err(ModelError::Unreachable(format!("status {}", status.as_u16()))),
            _ => {
                // What explains a refusal is worth having; that it cannot be read changes nothing.
                let body = body_of(&mut response).await.unwrap_or_default();
                Err(ModelError::Refused(Self::refusal(key.as_ref(), status, &body)))
            }
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: [Message<'a>; 2],
    response_format: ResponseFormat<'a>,
    max_completion_tokens: u32,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct ResponseFormat<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    json_schema: JsonSchema<'a>,
}

#[derive(Serialize)]
struct JsonSchema<'a> {
    name: &'static str,
    strict: bool,
    schema: &'a Value,
}

/// A failure before there is a status. Never the error's own text: it holds the URL.
fn failed_to_send(error: &reqwest::Error) -> ModelError {
    // A connection that took too long to open is first of all no connection: nothing was asked.
    if error.is_connect() {
        ModelError::Unreachable("no connection".to_owned())
    } else if error.is_timeout() {
        ModelError::TimedOut
    } else if error.is_builder() {
        ModelError::Refused("no request can be made of this base URL and key".to_owned())
    } else if error.is_redirect() {
        ModelError::Refused("it redirects".to_owned())
    } else {
        ModelError::Unreachable("the connection broke before an answer".to_owned())
    }
}

/// The response's body, as long as it is not too large.
async fn body_of(response: &mut Response) -> Result<Vec<u8>, ModelError> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_RESPONSE => return Err(unreadable("larger than 1 MiB")),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) if error.is_timeout() => return Err(ModelError::TimedOut),
            Err(_) => return Err(unreadable("the connection broke within the answer")),
        }
    }
}

fn unreadable(why: &str) -> ModelError {
    ModelError::Unreadable(why.to_owned())
}

/// What a completion holds that matters here; everything else may come and go.
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

/// Reads a completion.
fn read(body: &[u8]) -> Result<Answer, ModelError> {
    // serde_json's error repeats what it read, which may be anything: only where it stands is told.
    let completion: Completion = serde_json::from_slice(body).map_err(|error| {
        let what = if error.is_data() { "no chat completion" } else { "no JSON" };
        ModelError::Unreadable(format!("{what}: line {}, column {}", error.line(), error.column()))
    })?;
    let tokens = |name: &str| completion.usage[name].as_u64().unwrap_or(0);
    let usage = Usage { input: tokens("prompt_tokens"), output: tokens("completion_tokens") };
    let finish = completion.choices.into_iter().next().map_or(Finish::Empty, finish);
    Ok(Answer { finish, usage })
}

/// How a choice ended. A cut-off answer has content and a filtered one may, so the reasons come first.
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

/// How long the endpoint asks to wait: OpenAI's `retry-after-ms`, else `Retry-After` (RFC 9110,
/// section 10.2.3) in seconds, perhaps with a fraction, or as a date. A date counts from the
/// response's own `Date`, so that neither clock has to be right.
fn retry_after(headers: &header::HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    let date = |name: &str| -> Option<Timestamp> { rfc2822::DateTimeParser::new().parse_timestamp(text(name)?).ok() };
    if let Some(millis) = number("retry-after-ms") {
        return Duration::try_from_secs_f64(millis / 1000.0).ok();
    }
    if let Some(seconds) = number("retry-after") {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let wait = date("retry-after")?.duration_since(date("date")?);
    Some(wait.try_into().unwrap_or_default())
}
