//! Microsoft Graph: its requests, what its refusals mean, and its mail API as far as sending needs it.
//!
//! <https://learn.microsoft.com/graph/api/resources/mail-api-overview>

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{Evidence, Mail, Warning, WarningCode};
use engine::ports::{Access, Done, ProviderError, RenderContext, RenderError, Rendered};
use reqwest::{
    Method, RequestBuilder, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use serde_json::{Value, json};

use super::message;
use crate::{
    exchange::{Endpoint, Meaning, Problem, harmless, meaning},
    http::Answer,
    mime,
    providers::mail::MailTransport,
};

/// Microsoft Graph, for the account that an access token stands for.
#[derive(Debug, Clone)]
pub(super) struct GraphApi(pub Endpoint);

impl GraphApi {
    /// One request with a JSON body, or with none.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&str>,
        access: &Access,
    ) -> Result<Answer, ProviderError> {
        let finish = |request: RequestBuilder| match body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(body.to_owned()),
            // Graph wants a length even without a body.
            None => request.header(CONTENT_LENGTH, 0),
        };
        self.0.exchange(method, self.0.url(path), access, |request| finish(with_immutable_ids(request))).await
    }

    /// What a reply means that is not the expected one.
    pub(super) fn refusal(reply: &Answer) -> ProviderError {
        let (code, error) = (error_code(reply), &reply.json()["error"]);
        let message = error["message"].as_str().unwrap_or_default();
        let means = match reply.status {
            // An organisation's policy for applications that read its mailboxes.
            _ if message.contains("[RAOP]") => Some(Meaning::Setup),
            StatusCode::LOCKED => Some(Meaning::Busy),
            _ => meaning(MEANINGS, [code.as_deref(), error["innerError"]["code"].as_str()].into_iter().flatten()),
        };
        let says = match (&code, message) {
            (None, "") => None,
            (Some(code), "") => Some(code.clone()),
            (None, message) => Some(message.to_owned()),
            (Some(code), message) => Some(format!("{code}: {message}")),
        };
        reply.failure(&Problem { code, means, says })
    }

    /// One request that changes nothing. The query is ours, without marks that would end a value.
    pub(super) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        access: &Access,
    ) -> Result<Answer, ProviderError> {
        let mut url = self.0.url(path);
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        url.set_query(Some(&query.join("&")));
        self.0.exchange(Method::GET, url, access, with_immutable_ids).await
    }

    /// A mail as it is rendered: JSON, or a MIME text.
    async fn post_mail(
        &self,
        path: &[&str],
        json: Option<String>,
        rendered: &Rendered,
        access: &Access,
    ) -> Result<Answer, ProviderError> {
        let (content_type, body) = match json {
            Some(json) => ("application/json", json),
            None => ("text/plain", STANDARD.encode(&rendered.body)),
        };
        let finish =
            |request: RequestBuilder| with_immutable_ids(request).header(CONTENT_TYPE, content_type).body(body);
        self.0.exchange(Method::POST, self.0.url(path), access, finish).await
    }

    async fn must_be_draft(&self, draft: &Evidence, access: &Access) -> Result<(), ProviderError> {
        let reply = self.get(&["me", "messages", &draft.draft_id], &[("$select", "isDraft")], access).await?;
        match reply.json_of(StatusCode::OK)["isDraft"].as_bool() {
            Some(true) => Ok(()),
            None if !says_item_is_gone(&reply) => Err(Self::refusal(&reply)),
            _ => Err(ProviderError::DraftGone),
        }
    }
}

/// What codes mean that are not about the content.
const MEANINGS: &[(Meaning, &[&str])] = &[
    (Meaning::LacksPermission, &["ErrorAccessDenied", "AccessDenied", "Authorization_RequestDenied"]),
    // The account's own limits of a day or a minute.
    (
        Meaning::LimitsRate,
        &["ErrorExceededMessageLimit", "ErrorMessageThrottled", "ApplicationThrottled", "TooManyRequests"],
    ),
    // Somebody else changed or holds the item, or the mailbox is being moved: nothing was done, and another try may succeed.
    (
        Meaning::Busy,
        &[
            "ErrorIrresolvableConflict",
            "ConcurrentItemSave",
            "ErrorConcurrentItemSave",
            "ErrorMailboxMoveInProgress",
            "ErrorMailboxStoreUnavailable",
        ],
    ),
    (
        Meaning::Account,
        &[
            // Without a licence, in a server of the organisation's own, or so new that its mailbox is not there yet.
            "MailboxNotEnabledForRESTAPI",
            "MailboxNotSupportedForRESTAPI",
            "MailboxNotFound",
            "ErrorMailboxNotFound",
            "ErrorNonExistentMailbox",
            "ErrorInvalidUser",
            "ErrorMailboxConfiguration",
            "ErrorAccountDisabled",
            "ErrorAccountSuspend",
            "ErrorMessageSubmissionBlocked",
            "ErrorSendAsDenied",
            "ErrorQuotaExceeded",
            "Request_ResourceNotFound",
            "ResourceNotFound",
        ],
    ),
    (
        Meaning::Setup,
        &[
            "Authorization_IdentityNotFound",
            "Authorization_IdentityDisabled",
            "ErrorOrganizationAccessBlocked",
            "TenantDisabled",
            "unauthorized_client",
            "invalid_client",
        ],
    ),
];

#[async_trait]
impl MailTransport for GraphApi {
    // Graph has no ids of conversations.
    const FIELDS: &'static [&'static str] = match Mail::FIELDS.split_last() {
        Some((_thread_id, fields)) => fields,
        None => &[],
    };

    fn warnings(&self, mail: &Mail) -> Vec<Warning> {
        let text = "Outlook sends one body: the HTML goes, the plain text is left out.";
        let warning =
            Warning { code: WarningCode::NotDelivered, field: Some("/text".to_owned()), text: text.to_owned() };
        (mail.html.is_some() && !is_mime(mail)).then_some(warning).into_iter().collect()
    }

    /// Graph sets sender, date and ids, so the context changes nothing.
    fn render(&self, mail: &Mail, _: &RenderContext) -> Result<Rendered, RenderError> {
        if is_mime(mail) {
            let body = mime::render(mail, &RenderContext { from: None, date: None, id: None })?;
            return Ok(Rendered { content_type: "message/rfc822", body });
        }
        Ok(Rendered { content_type: "application/json", body: message::render(mail)? })
    }

    /// Needs Mail.ReadWrite.
    async fn create_draft(&self, mail: &Mail, rendered: &Rendered, access: &Access) -> Result<Evidence, ProviderError> {
        let message = || {
            let message = message::message_of(&rendered.body);
            message.ok_or_else(|| ProviderError::Rejected("what was rendered has no message".into()))
        };
        let json = if is_mime(mail) { None } else { Some(message()?.to_string()) };
        let reply = self.post_mail(&["me", "messages"], json, rendered, access).await?;
        let draft = reply.json_of(StatusCode::CREATED);
        let text = |name: &str| draft[name].as_str().map(str::to_owned);
        match text("id").filter(|id| !id.is_empty()) {
            Some(draft_id) => Ok(Evidence { draft_id, internet_message_id: text("internetMessageId") }),
            None => Err(Self::refusal(&reply)),
        }
    }

    /// Whether Graph sends a message again that went already is nowhere documented, so it is looked at first. Needs
    /// Mail.ReadWrite and Mail.Send.
    async fn send_draft(&self, draft: &Evidence, access: &Access) -> Result<Done, ProviderError> {
        self.must_be_draft(draft, access).await.map_err(harmless)?;
        let path = ["me", "messages", &draft.draft_id, "send"];
        let reply = self.call(Method::POST, &path, None, access).await?;
        if says_item_is_gone(&reply) {
            return Err(ProviderError::DraftGone);
        }
        accepted(&reply, json!({ "draft_id": draft.draft_id, "internet_message_id": draft.internet_message_id }))
    }

    /// Needs Mail.Send.
    async fn send(&self, mail: &Mail, rendered: &Rendered, access: &Access) -> Result<Done, ProviderError> {
        let json = (!is_mime(mail)).then(|| rendered.body.clone());
        accepted(&self.post_mail(&["me", "sendMail"], json, rendered, access).await?, json!({}))
    }
}

/// Whether a mail goes as a MIME text: Graph's JSON takes no headers of a conversation.
/// <https://learn.microsoft.com/graph/outlook-send-mime-message>
fn is_mime(mail: &Mail) -> bool {
    !mail.referenced().is_empty()
}

/// With it a draft keeps its id when it is sent.
/// <https://learn.microsoft.com/graph/outlook-immutable-id>
fn with_immutable_ids(request: RequestBuilder) -> RequestBuilder {
    request.header("Prefer", "IdType=\"ImmutableId\"")
}

/// Graph answers a send with 202 and an empty body; any other success is not Graph's.
fn accepted(reply: &Answer, details: Value) -> Result<Done, ProviderError> {
    if reply.status == StatusCode::ACCEPTED { Ok(Done { details }) } else { Err(GraphApi::refusal(reply)) }
}

/// <https://learn.microsoft.com/graph/errors>
fn error_code(reply: &Answer) -> Option<String> {
    reply.json()["error"]["code"].as_str().map(str::to_owned)
}

/// Only in Graph's own words: other 404s mean a mailbox or a path.
fn says_item_is_gone(reply: &Answer) -> bool {
    matches!(reply.status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::GONE)
        && error_code(reply).is_some_and(|code| code == "ErrorItemNotFound")
}
