//! Microsoft Graph's mail API, as far as sending needs it.
//!
//! <https://learn.microsoft.com/graph/api/resources/mail-api-overview>

use domain::Evidence;
use engine::ports::{Access, Done, ProviderError};
use reqwest::{
    Method, RequestBuilder, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use serde::Deserialize;
use serde_json::json;

use super::message;
use crate::exchange::{Endpoint, LostAnswer, Problem, Reply};

/// Sends mails and drafts of the account that an access token stands for.
#[derive(Debug, Clone)]
pub(super) struct GraphApi(Endpoint);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Draft {
    id: String,
    internet_message_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DraftState {
    is_draft: bool,
}

impl GraphApi {
    /// The API at this address.
    pub(super) const fn new(endpoint: Endpoint) -> Self {
        Self(endpoint)
    }

    /// Makes a draft of a rendered `sendMail` body. Needs Mail.ReadWrite.
    pub(super) async fn create_draft(&self, body: &str, access: &Access) -> Result<Evidence, ProviderError> {
        let message = message::message_of(body)
            .ok_or_else(|| ProviderError::Rejected("what was rendered has no message".to_owned()))?;
        let (path, message) = (["me", "messages"], message.to_string());
        let reply = self.call(Method::POST, &path, Some(&message), access, LostAnswer::Harmless).await?;
        let draft: Option<Draft> = (reply.status == StatusCode::CREATED).then(|| reply.json()).flatten();
        match draft.filter(|draft| !draft.id.is_empty()) {
            Some(draft) => Ok(Evidence { draft_id: draft.id, internet_message_id: draft.internet_message_id }),
            None => Err(Self::refusal(&reply, LostAnswer::Harmless)),
        }
    }

    /// Sends a draft that is still one. Whether Graph sends a message again that went already is
    /// nowhere documented, so it is looked at first. Needs Mail.ReadWrite and Mail.Send.
    pub(super) async fn send_draft(&self, draft: &Evidence, access: &Access) -> Result<Done, ProviderError> {
        self.must_be_draft(draft, access).await?;
        let path = ["me", "messages", &draft.draft_id, "send"];
        let reply = self.call(Method::POST, &path, None, access, LostAnswer::Unknown).await?;
        if says_item_is_gone(&reply) {
            return Err(ProviderError::DraftGone);
        }
        accepted(&reply, json!({ "draft_id": draft.draft_id, "internet_message_id": draft.internet_message_id }))
    }

    /// Sends a rendered `sendMail` body. Needs Mail.Send.
    pub(super) async fn send_mail(&self, body: &str, access: &Access) -> Result<Done, ProviderError> {
        let reply = self.call(Method::POST, &["me", "sendMail"], Some(body), access, LostAnswer::Unknown).await?;
        accepted(&reply, json!({}))
    }

    /// One request with a JSON body, or with none.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&str>,
        access: &Access,
        lost: LostAnswer,
    ) -> Result<Reply, ProviderError> {
        let finish = |request: RequestBuilder| match body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(body.to_owned()),
            // Graph wants a length even without a body.
            None => request.header(CONTENT_LENGTH, 0),
        };
        self.0.exchange(method, self.0.url(path), access, lost, |request| finish(with_immutable_ids(request))).await
    }

    /// What a reply means that is not the expected one.
    pub(super) fn refusal(reply: &Reply, lost: LostAnswer) -> ProviderError {
        reply.failure(lost, &problem(reply))
    }

    async fn must_be_draft(&self, draft: &Evidence, access: &Access) -> Result<(), ProviderError> {
        let mut url = self.0.url(&["me", "messages", &draft.draft_id]);
        url.set_query(Some("$select=isDraft"));
        let reply = self.0.exchange(Method::GET, url, access, LostAnswer::Harmless, with_immutable_ids).await?;
        let state: Option<DraftState> = (reply.status == StatusCode::OK).then(|| reply.json()).flatten();
        match state {
            Some(DraftState { is_draft: true }) => Ok(()),
            Some(DraftState { is_draft: false }) => Err(ProviderError::DraftGone),
            None if says_item_is_gone(&reply) => Err(ProviderError::DraftGone),
            None => Err(Self::refusal(&reply, LostAnswer::Harmless)),
        }
    }
}

/// With it a draft keeps its id when it is sent.
/// <https://learn.microsoft.com/graph/outlook-immutable-id>
fn with_immutable_ids(request: RequestBuilder) -> RequestBuilder {
    request.header("Prefer", "IdType=\"ImmutableId\"")
}

/// Graph answers a send with 202 and an empty body; any other success is not Graph's.
fn accepted(reply: &Reply, details: serde_json::Value) -> Result<Done, ProviderError> {
    if reply.status == StatusCode::ACCEPTED {
        Ok(Done { details })
    } else {
        Err(GraphApi::refusal(reply, LostAnswer::Unknown))
    }
}

/// <https://learn.microsoft.com/graph/errors>
#[derive(Deserialize)]
struct ErrorBody {
    error: GraphError,
}

#[derive(Deserialize)]
struct GraphError {
    code: String,
}

impl Reply {
    pub(super) fn json<T: for<'a> Deserialize<'a>>(&self) -> Option<T> {
        serde_json::from_slice(self.body.as_deref()?).ok()
    }
}

fn error_code(reply: &Reply) -> Option<String> {
    reply.json::<ErrorBody>().map(|body| body.error.code)
}

fn problem(reply: &Reply) -> Problem {
    let code = error_code(reply);
    let lacks_permission = code.as_deref().is_some_and(|code| {
        ["ErrorAccessDenied", "AccessDenied", "Authorization_RequestDenied"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(code))
    });
    Problem { code, limits_rate: false, lacks_permission }
}

/// Only in Graph's own words: other 404s mean a mailbox or a path.
fn says_item_is_gone(reply: &Reply) -> bool {
    matches!(reply.status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::GONE)
        && error_code(reply).is_some_and(|code| code == "ErrorItemNotFound")
}
