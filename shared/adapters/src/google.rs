//! The Gmail API, as far as sending needs it.
//!
//! <https://developers.google.com/gmail/api/reference/rest>

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use domain::Evidence;
use engine::ports::{Access, SendError, Sent};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    exchange::{Effect, Endpoint, InvalidBaseUrl, Problem, Reply},
    http::LazyClient,
};

/// Sends mails and drafts of the account that an access token stands for.
#[derive(Debug, Clone)]
pub struct GmailApi(Endpoint);

#[derive(Deserialize)]
struct Draft {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SentMessage {
    id: String,
    thread_id: Option<String>,
}

impl GmailApi {
    /// The API below `base_url`, such as `https://gmail.googleapis.com`.
    pub fn new(client: LazyClient, base_url: &str) -> Result<Self, InvalidBaseUrl> {
        Ok(Self(Endpoint::new(client, base_url)?))
    }

    /// Makes a draft of a MIME text. Needs gmail.compose.
    pub async fn create_draft(&self, mime: &str, access: &Access) -> Result<Evidence, SendError> {
        let body = json!({ "message": { "raw": URL_SAFE.encode(mime) } });
        let reply = self.post(&["drafts"], &body, access, Effect::NothingSent).await?;
        match reply.success::<Draft>().filter(|draft| !draft.id.is_empty()) {
            Some(draft) => Ok(Evidence { draft_id: draft.id, internet_message_id: None }),
            None => Err(reply.failure(Effect::NothingSent, &problem(&reply))),
        }
    }

    /// Sends a draft, which deletes it: sent again, it is gone.
    pub async fn send_draft(&self, draft: &Evidence, access: &Access) -> Result<Sent, SendError> {
        let reply = self.post(&["drafts", "send"], &json!({ "id": draft.draft_id }), access, Effect::Sends).await?;
        if says_draft_is_gone(&reply) {
            return Err(SendError::DraftGone);
        }
        sent(&reply)
    }

    /// Sends a MIME text. Needs gmail.send or gmail.compose.
    pub async fn send_message(&self, mime: &str, access: &Access) -> Result<Sent, SendError> {
        let body = json!({ "raw": URL_SAFE.encode(mime) });
        sent(&self.post(&["messages", "send"], &body, access, Effect::Sends).await?)
    }

    async fn post(&self, path: &[&str], body: &Value, access: &Access, effect: Effect) -> Result<Reply, SendError> {
        let url = self.0.url(&[&["gmail", "v1", "users", "me"], path].concat());
        self.0.exchange(Method::POST, url, access, effect, |request| request.json(body)).await
    }
}

fn sent(reply: &Reply) -> Result<Sent, SendError> {
    match reply.success::<SentMessage>() {
        Some(message) => {
            let details = json!({ "message_id": message.id, "thread_id": message.thread_id });
            Ok(Sent { details, presumed: false })
        }
        None => Err(reply.failure(Effect::Sends, &problem(reply))),
    }
}

impl Reply {
    /// The body of a 200, where it can be read.
    fn success<T: for<'a> Deserialize<'a>>(&self) -> Option<T> {
        (self.status == StatusCode::OK).then(|| serde_json::from_slice(self.body.as_deref()?).ok()).flatten()
    }
}

/// Google's error body, in its old shape and its new one, which come together.
/// <https://developers.google.com/gmail/api/guides/handle-errors>
#[derive(Deserialize)]
struct ErrorBody {
    error: GoogleError,
}

#[derive(Deserialize)]
struct GoogleError {
    #[serde(default)]
    message: String,
    status: Option<String>,
    #[serde(default)]
    errors: Vec<Reason>,
    #[serde(default)]
    details: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    reason: Option<String>,
}

impl GoogleError {
    fn of(reply: &Reply) -> Option<Self> {
        Some(serde_json::from_slice::<ErrorBody>(reply.body.as_deref()?).ok()?.error)
    }

    fn reasons(&self) -> impl Iterator<Item = &str> {
        self.errors.iter().chain(&self.details).filter_map(|reason| reason.reason.as_deref())
    }
}

fn problem(reply: &Reply) -> Problem {
    let Some(error) = GoogleError::of(reply) else { return Problem::default() };
    let has = |wanted: &[&str]| error.reasons().any(|reason| wanted.contains(&reason));
    Problem {
        code: error.reasons().next().or(error.status.as_deref()).map(str::to_owned),
        limits_rate: has(&["rateLimitExceeded", "userRateLimitExceeded"]),
        lacks_permission: has(&["insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"]),
    }
}

/// Only in Google's own words: a 404 of something on the way says nothing about a draft. Gmail
/// answers 404, or 400 where the id once was a draft's.
fn says_draft_is_gone(reply: &Reply) -> bool {
    let Some(error) = GoogleError::of(reply) else { return false };
    let not_found = error.status.as_deref() == Some("NOT_FOUND") || error.reasons().any(|reason| reason == "notFound");
    let message = error.message.to_ascii_lowercase();
    match reply.status {
        StatusCode::NOT_FOUND => not_found,
        StatusCode::BAD_REQUEST => not_found || message.contains("not a draft") || message.contains("invalid draft"),
        _ => false,
    }
}
