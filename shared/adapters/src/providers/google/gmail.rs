//! The Gmail API, as far as sending needs it.
//!
//! <https://developers.google.com/gmail/api/reference/rest>

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use domain::{Evidence, Mail};
use engine::ports::{Access, Done, ProviderError, RenderContext, RenderError, Rendered};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::refusal::{reasons, refusal};
use crate::{exchange::Endpoint, http::Answer, mime, providers::mail::MailTransport};

/// Sends mails and drafts of the account that an access token stands for.
#[derive(Debug, Clone)]
pub(super) struct GmailApi(pub Endpoint);

impl GmailApi {
    async fn post(&self, path: &[&str], body: &Value, access: &Access) -> Result<Answer, ProviderError> {
        let url = self.0.url(&[&["gmail", "v1", "users", "me"], path].concat());
        self.0.exchange(Method::POST, url, access, |request| request.json(body)).await
    }
}

#[async_trait]
impl MailTransport for GmailApi {
    const FIELDS: &'static [&'static str] = &Mail::FIELDS;

    fn render(&self, mail: &Mail, context: &RenderContext) -> Result<Rendered, RenderError> {
        Ok(Rendered { content_type: "message/rfc822", body: mime::render(mail, context)? })
    }

    /// Needs gmail.compose.
    async fn create_draft(&self, mail: &Mail, rendered: &Rendered, access: &Access) -> Result<Evidence, ProviderError> {
        let body = json!({ "message": message(mail, rendered) });
        let reply = self.post(&["drafts"], &body, access).await?;
        match reply.json_of(StatusCode::OK)["id"].as_str() {
            Some(id) if !id.is_empty() => Ok(Evidence { draft_id: id.to_owned(), internet_message_id: None }),
            _ => Err(refusal(&reply)),
        }
    }

    /// It deletes the draft: sent again, it is gone.
    async fn send_draft(&self, draft: &Evidence, access: &Access) -> Result<Done, ProviderError> {
        let body = json!({ "id": draft.draft_id });
        let reply = self.post(&["drafts", "send"], &body, access).await?;
        if says_draft_is_gone(&reply) { Err(ProviderError::DraftGone) } else { sent(&reply) }
    }

    /// Needs gmail.send or gmail.compose.
    async fn send(&self, mail: &Mail, rendered: &Rendered, access: &Access) -> Result<Done, ProviderError> {
        sent(&self.post(&["messages", "send"], &message(mail, rendered), access).await?)
    }
}

/// A mail as it is rendered, in its conversation if it names one.
fn message(mail: &Mail, rendered: &Rendered) -> Value {
    let mut message = json!({ "raw": URL_SAFE.encode(&rendered.body) });
    if let Some(thread_id) = &mail.thread_id {
        message["threadId"] = json!(thread_id);
    }
    message
}

fn sent(reply: &Answer) -> Result<Done, ProviderError> {
    let message = reply.json_of(StatusCode::OK);
    match message["id"].as_str() {
        Some(id) => Ok(Done { details: json!({ "message_id": id, "thread_id": message["threadId"].as_str() }) }),
        None => Err(refusal(reply)),
    }
}

/// Only in Google's own words: a 404 of something on the way says nothing about a draft. Gmail
/// answers 404, or 400 where the id once was a draft's.
fn says_draft_is_gone(reply: &Answer) -> bool {
    let error = &reply.json()["error"];
    let not_found = error["status"] == "NOT_FOUND" || reasons(error).any(|reason| reason == "notFound");
    let message = error["message"].as_str().unwrap_or_default().to_ascii_lowercase();
    match reply.status {
        StatusCode::NOT_FOUND => not_found,
        StatusCode::BAD_REQUEST => not_found || message.contains("not a draft") || message.contains("invalid draft"),
        _ => false,
    }
}
