//! A chat completions endpoint that is as strict as OpenAI's or speaks another vendor's dialect, answers what a test
//! scripts, and else plans by a simple rule. It keeps every request.

pub mod bedrock;
mod strict;
mod vendor;

use std::{
    collections::VecDeque,
    io::Write,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

pub use strict::check_schema;
pub use vendor::Vendor;

/// What the model says to a request that is in order.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A whole answer: this plan.
    Plan(Value),
    /// A whole answer: this text, JSON or not.
    Text(String),
    /// This text, cut off where the cap was reached.
    CutOff(String),
    /// The model declines with these words.
    Refusal(String),
    /// The content filter withheld the answer.
    Filtered,
    /// A completion with no choices.
    NoChoices,
    /// A choice whose message has no content.
    NoContent,
    /// Status 200 with this body, as it is.
    Body(String),
    /// Status 200 with these bytes, text or not.
    Bytes(Vec<u8>),
    /// The same compressed, whether or not it was asked for.
    Gzip(String),
    /// This status with these headers and this body.
    Status(u16, Vec<(&'static str, String)>, Value),
    /// No answer, ever.
    Hang,
    /// The connection closes without an answer.
    Close,
    /// The reply, that much later.
    After(Duration, Box<Reply>),
}

/// A request as it came, in order or not.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; null where it is no JSON.
    pub body: Value,
    /// Its body's text, which keeps the order of names.
    pub text: String,
}

impl Request {
    /// What the message of this role says; empty if there is none.
    pub fn message(&self, role: &str) -> &str {
        let messages = self.body["messages"].as_array().map_or(&[][..], Vec::as_slice);
        messages.iter().find(|m| m["role"] == role).and_then(|m| m["content"].as_str()).unwrap_or_default()
    }

    /// What the person wrote: the user's message without its fence, two equal lines around it.
    pub fn prompt(&self) -> &str {
        // Without a system role, the instructions stand before it.
        let message = self.message("user");
        let message = message
            .rfind("\n\n[")
            .filter(|_| self.message("system").is_empty())
            .map_or(message, |at| &message[at + 2..]);
        let inner = message.split_once('\n').and_then(|(mark, rest)| rest.strip_suffix(mark)?.strip_suffix('\n'));
        inner.unwrap_or(message)
    }

    /// The schema that the answer has to fit.
    pub fn schema(&self) -> &Value {
        &self.body["response_format"]["json_schema"]["schema"]
    }
}

/// The handle to a fake endpoint; clones share its state.
#[derive(Clone)]
pub struct FakeModel {
    vendor: Vendor,
    key: String,
    state: Arc<Mutex<Script>>,
}

struct Script {
    next: VecDeque<Reply>,
    pause: Duration,
    requests: Vec<Request>,
}

impl FakeModel {
    /// An endpoint that takes this key.
    pub fn new(key: &str) -> Self {
        Self::of(Vendor::OpenAi, key)
    }

    /// The same in another vendor's dialect.
    pub fn of(vendor: Vendor, key: &str) -> Self {
        let script = Script { next: VecDeque::new(), pause: Duration::ZERO, requests: Vec::new() };
        Self { vendor, key: key.to_owned(), state: Arc::new(Mutex::new(script)) }
    }

    /// Serves it on a free port of 127.0.0.1 until the runtime ends; gives back its base URL.
    pub async fn serve(&self) -> String {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = tokio::net::TcpListener::bind(loopback).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let app = router(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let (path, query) = self.vendor.base();
        format!("http://{address}{path}{query}")
    }

    /// Says this to the next request that is in order, after what was scripted before.
    pub fn script(&self, reply: Reply) {
        self.lock().next.push_back(reply);
    }

    /// Takes this long for each answer from now on.
    pub fn take(&self, pause: Duration) {
        self.lock().pause = pause;
    }

    /// Every request so far, the refused ones too.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.state.lock().expect("nothing panics while the lock is held")
    }
}

/// The endpoint, at `/v1/chat/completions` or where the vendor has it.
pub fn router(state: FakeModel) -> Router {
    Router::new().fallback(complete).with_state(state)
}

async fn complete(
    State(model): State<FakeModel>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (path, query) = model.vendor.base();
    let asks = uri.query().map_or_else(String::new, |query| format!("?{query}"));
    if method != Method::POST || uri.path() != format!("{path}/chat/completions") || !asks.starts_with(query) {
        return error(StatusCode::NOT_FOUND, "unknown_url", "Unknown request URL.");
    }
    let parsed: Result<Value, _> = serde_json::from_slice(&body);
    let text = String::from_utf8_lossy(&body).into_owned();
    let is_json = parsed.is_ok();
    let request = Request { headers, body: parsed.unwrap_or_default(), text };
    model.lock().requests.push(request.clone());

    let header = |name| request.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !model.vendor.knows(&model.key, &request.headers) {
        // OpenAI repeats a part of the key; this one repeats all of it, to see what becomes of it.
        let says = format!("Incorrect API key provided: {}", header(header::AUTHORIZATION));
        return error(StatusCode::UNAUTHORIZED, "invalid_api_key", &says);
    }
    if header(header::CONTENT_TYPE).split(';').next() != Some("application/json") {
        return error(StatusCode::BAD_REQUEST, "invalid_content_type", "you must send application/json");
    }
    if !is_json {
        return error(StatusCode::BAD_REQUEST, "invalid_json", "We could not parse the JSON body of your request.");
    }
    if let Err((status, body)) = model.vendor.check(&request) {
        return (status, Json(body)).into_response();
    }

    let (scripted, pause) = {
        let mut script = model.lock();
        (script.next.pop_front(), script.pause)
    };
    let mut reply = scripted.unwrap_or_else(|| plan(&request));
    if !pause.is_zero() {
        reply = Reply::After(pause, Box::new(reply));
    }
    while let Reply::After(delay, later) = reply {
        tokio::time::sleep(delay).await;
        reply = *later;
    }
    say(reply, &request, model.vendor).await
}

async fn say(reply: Reply, request: &Request, vendor: Vendor) -> Response {
    let (finish_reason, content, refusal) = match reply {
        Reply::Plan(plan) => within_cap(plan.to_string(), request),
        Reply::Text(text) => within_cap(text, request),
        Reply::CutOff(text) => ("length", Some(text), None),
        Reply::Refusal(words) => ("stop", None, Some(words)),
        Reply::Filtered => ("content_filter", None, None),
        Reply::NoContent => ("stop", None, None),
        Reply::NoChoices => return Json(json!({ "object": "chat.completion", "choices": [] })).into_response(),
        Reply::Body(body) => return ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Reply::Bytes(body) => return ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Reply::Gzip(body) => {
            let headers = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_ENCODING, "gzip")];
            return (headers, gzip(&body)).into_response();
        }
        Reply::Status(status, headers, body) => return with_status(status, headers, body),
        Reply::Hang => std::future::pending().await,
        // It ends the connection's task and with it the connection; unlike panic! it prints nothing.
        Reply::Close => std::panic::resume_unwind(Box::new("the connection is to close")),
        Reply::After(..) => unreachable!("waited for already"),
    };
    let asked = request.message("system").len() + request.message("user").len();
    let (input, output) = (tokens(asked), tokens(content.as_ref().map_or(0, String::len)));
    Json(vendor.written(json!({
        "id": "chatcmpl-fake", "object": "chat.completion", "created": 1_700_000_000, "model": request.body["model"],
        "choices": [{
            "index": 0, "finish_reason": finish_reason, "logprobs": null,
            "message": { "role": "assistant", "content": content, "refusal": refusal, "annotations": [] },
        }],
        "usage": { "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output },
    })))
    .into_response()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).expect("a list can be written to")
}

/// About how many tokens a text of this many bytes is; always the same for the same text.
fn tokens(bytes: usize) -> usize {
    bytes.div_ceil(4)
}

type Choice = (&'static str, Option<String>, Option<String>);

/// The text as far as the limit goes.
fn within_cap(text: String, request: &Request) -> Choice {
    let cap = ["max_completion_tokens", "max_tokens"].into_iter().find_map(|name| request.body[name].as_u64());
    let cap = cap.and_then(|cap| usize::try_from(cap).ok());
    match cap {
        Some(cap) if tokens(text.len()) > cap => ("length", Some(text.chars().take(cap * 4).collect()), None),
        _ => ("stop", Some(text), None),
    }
}

fn with_status(status: u16, headers: Vec<(&'static str, String)>, body: Value) -> Response {
    let status = StatusCode::from_u16(status).expect("a test scripts a status that exists");
    let mut response = (status, Json(body)).into_response();
    for (name, value) in headers {
        let value = HeaderValue::from_str(&value).expect("a test scripts a header that can be written");
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    response
}

/// An error as OpenAI writes it.
fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let kind = "invalid_request_error";
    let body = json!({ "error": { "message": message, "type": kind, "param": null, "code": code } });
    (status, Json(body)).into_response()
}

/// The rule that stands in for a model: one mail to every address in the prompt, from Outlook where
/// the prompt names it; no address, no action.
pub fn plan(request: &Request) -> Reply {
    let prompt = request.prompt();
    let trimmed = |word: &str| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned();
    let is_address = |word: &String| word.split_once('@').is_some_and(|(l, d)| !l.is_empty() && d.contains('.'));
    let to: Vec<String> = prompt.split_whitespace().map(trimmed).filter(is_address).collect();
    let lower = prompt.to_lowercase();
    let (provider, action) = if ["outlook", "microsoft"].iter().any(|word| lower.contains(word)) {
        ("microsoft", "outlook.send")
    } else {
        ("google", "gmail.send")
    };
    let params = json!({
        "to": to, "subject": "A message", "text": prompt, "html": null, "cc": null, "bcc": null, "reply_to": null,
    });
    let actions =
        if to.is_empty() { json!([]) } else { json!([{ "provider": provider, "action": action, "params": params }]) };
    let notes = to.is_empty().then_some("There is no address in the message.");
    let intent = if to.is_empty() { "none" } else { "send_email" };
    Reply::Plan(json!({
        "intent": intent, "confidence": 0.9, "actions": actions, "questions": [], "notes": notes,
    }))
}
