//! The Gmail API, as far as sending needs it.
//!
//! <https://developers.google.com/gmail/api/reference/rest>

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use domain::{Evidence, Mail};
use engine::ports::{Access, Done, ProviderError, RenderContext, RenderError, Rendered};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    exchange::{Endpoint, Meaning, Problem, meaning},
    http::Answer,
    mime,
    providers::mail::MailTransport,
};

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
    fn render(&self, mail: &Mail, context: &RenderContext) -> Result<Rendered, RenderError> {
        Ok(Rendered { content_type: "message/rfc822", body: mime::render(mail, context)? })
    }

    /// Needs gmail.compose.
    async fn create_draft(&self, rendered: &Rendered, access: &Access) -> Result<Evidence, ProviderError> {
        let body = json!({ "message": { "raw": URL_SAFE.encode(&rendered.body) } });
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
    async fn send(&self, rendered: &Rendered, access: &Access) -> Result<Done, ProviderError> {
        let body = json!({ "raw": URL_SAFE.encode(&rendered.body) });
        sent(&self.post(&["messages", "send"], &body, access).await?)
    }
}

fn sent(reply: &Answer) -> Result<Done, ProviderError> {
    let message = reply.json_of(StatusCode::OK);
    match message["id"].as_str() {
        Some(id) => Ok(Done { details: json!({ "message_id": id, "thread_id": message["threadId"].as_str() }) }),
        None => Err(refusal(reply)),
    }
}

/// The reasons of an error, in its old shape and its new one, which come together.
/// <https://developers.google.com/gmail/api/guides/handle-errors>
fn reasons(error: &Value) -> impl Iterator<Item = &str> {
    let lists = ["errors", "details"].into_iter().filter_map(|list| error[list].as_array());
    lists.flatten().filter_map(|reason| reason["reason"].as_str())
}

/// What reasons mean that are not about the mail. In capitals: <https://docs.cloud.google.com/apis/docs/system-parameters>
/// and google.api.ErrorReason.
const MEANINGS: &[(Meaning, &[&str])] = &[
    (Meaning::LacksPermission, &["insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"]),
    (
        Meaning::Setup,
        &[
            "accessNotConfigured",
            "SERVICE_DISABLED",
            "SERVICE_NOT_VISIBLE",
            "BILLING_DISABLED",
            "CONSUMER_INVALID",
            "CONSUMER_SUSPENDED",
            "USER_PROJECT_DENIED",
            "RESOURCE_USAGE_RESTRICTION_VIOLATED",
            "ORG_RESTRICTION_VIOLATION",
            "SECURITY_POLICY_VIOLATED",
            "domainPolicy",
            "domainCannotUseApis",
            "unauthorized_client",
        ],
    ),
    (
        Meaning::Account,
        &[
            "ACCOUNT_STATE_INVALID",
            "accountDisabled",
            "accountDeleted",
            "accountSuspended",
            "userDisabled",
            "USER_BLOCKED_BY_ADMIN",
            "delegationDenied",
            "mailServiceNotEnabled",
        ],
    ),
];

/// The same in messages whose reason is as vague as `forbidden` or `failedPrecondition`.
const MESSAGES: &[(&str, Meaning)] = &[
    ("mail service not enabled", Meaning::Account),
    ("delegation denied", Meaning::Account),
    ("account is suspended", Meaning::Account),
    ("account has been suspended", Meaning::Account),
    ("account has been disabled", Meaning::Account),
    ("account is disabled", Meaning::Account),
];

/// What a reply means that is not the expected one.
fn refusal(reply: &Answer) -> ProviderError {
    let error = &reply.json()["error"];
    let limit = |reason: &str| reason.ends_with("limitexceeded") || reason == "quotaexceeded";
    let limits_rate = reasons(error).any(|reason| limit(&reason.replace('_', "").to_lowercase()));
    let message = error["message"].as_str().unwrap_or_default();
    let lower = message.to_lowercase();
    let by_message = || MESSAGES.iter().find(|(text, _)| lower.contains(text)).map(|(_, means)| *means);
    let code = reasons(error).next().or(error["status"].as_str());
    let problem = Problem {
        code: code.map(str::to_owned),
        means: limits_rate
            .then_some(Meaning::LimitsRate)
            .or_else(|| meaning(MEANINGS, reasons(error).collect::<Vec<_>>()))
            .or_else(by_message),
        says: says(message, code),
    };
    reply.failure(&problem)
}

fn says(message: &str, code: Option<&str>) -> Option<String> {
    match (message, code) {
        ("", code) => code.map(str::to_owned),
        (message, Some(code)) => Some(format!("{message} ({code})")),
        (message, None) => Some(message.to_owned()),
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
