//! The Gmail API, as far as sending needs it.
//!
//! <https://developers.google.com/gmail/api/reference/rest>

use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use domain::Evidence;
use engine::ports::{Access, Done, ProviderError};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::exchange::{Endpoint, LostAnswer, Problem, Reply};

/// Sends mails and drafts of the account that an access token stands for.
#[derive(Debug, Clone)]
pub(super) struct GmailApi(Endpoint);

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
    /// The API at this address.
    pub(super) const fn new(endpoint: Endpoint) -> Self {
        Self(endpoint)
    }

    /// Makes a draft of a MIME text. Needs gmail.compose.
    pub(super) async fn create_draft(&self, mime: &str, access: &Access) -> Result<Evidence, ProviderError> {
        let body = json!({ "message": { "raw": URL_SAFE.encode(mime) } });
        let reply = self.post(&["drafts"], &body, access, LostAnswer::Harmless).await?;
        match reply.success::<Draft>().filter(|draft| !draft.id.is_empty()) {
            Some(draft) => Ok(Evidence { draft_id: draft.id, internet_message_id: None }),
            None => Err(reply.failure(LostAnswer::Harmless, &problem(&reply))),
        }
    }

    /// Sends a draft, which deletes it: sent again, it is gone.
    pub(super) async fn send_draft(&self, draft: &Evidence, access: &Access) -> Result<Done, ProviderError> {
        let reply =
            self.post(&["drafts", "send"], &json!({ "id": draft.draft_id }), access, LostAnswer::Unknown).await?;
        if says_draft_is_gone(&reply) {
            return Err(ProviderError::DraftGone);
        }
        sent(&reply)
    }

    /// Sends a MIME text. Needs gmail.send or gmail.compose.
    pub(super) async fn send_message(&self, mime: &str, access: &Access) -> Result<Done, ProviderError> {
        let body = json!({ "raw": URL_SAFE.encode(mime) });
        sent(&self.post(&["messages", "send"], &body, access, LostAnswer::Unknown).await?)
    }

    async fn post(
        &self,
        path: &[&str],
        body: &Value,
        access: &Access,
        lost: LostAnswer,
    ) -> Result<Reply, ProviderError> {
        let url = self.0.url(&[&["gmail", "v1", "users", "me"], path].concat());
        self.0.exchange(Method::POST, url, access, lost, |request| request.json(body)).await
    }
}

fn sent(reply: &Reply) -> Result<Done, ProviderError> {
    match reply.success::<SentMessage>() {
        Some(message) => {
            let details = json!({ "message_id": message.id, "thread_id": message.thread_id });
            Ok(Done { details })
        }
        None => Err(reply.failure(LostAnswer::Unknown, &problem(reply))),
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
