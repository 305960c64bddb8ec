//! Microsoft Graph's mail API, as far as sending needs it.
//!
//! <https://learn.microsoft.com/graph/api/resources/mail-api-overview>

use domain::Evidence;
use engine::ports::{Access, SendError, Sent};
use reqwest::{
    Method, RequestBuilder, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    exchange::{Effect, Endpoint, InvalidBaseUrl, Problem, Reply},
    graph_message,
    http::LazyClient,
};

/// Sends mails and drafts of the account that an access token stands for.
#[derive(Debug, Clone)]
pub struct GraphApi(Endpoint);

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
    /// The API below `base_url`, such as `https://graph.microsoft.com/v1.0`.
    pub fn new(client: LazyClient, base_url: &str) -> Result<Self, InvalidBaseUrl> {
        Ok(Self(Endpoint::new(client, base_url)?))
    }

    /// Makes a draft of a rendered `sendMail` body. Needs Mail.ReadWrite.
    pub async fn create_draft(&self, body: &str, access: &Access) -> Result<Evidence, SendError> {
        let message = graph_message::message_of(body)
            .ok_or_else(|| SendError::Rejected("what was rendered has no message".to_owned()))?;
        let reply = self.post(&["messages"], access, Effect::NothingSent, |request| request.json(&message)).await?;
        let draft: Option<Draft> = (reply.status == StatusCode::CREATED).then(|| reply.json()).flatten();
        match draft.filter(|draft| !draft.id.is_empty()) {
            Some(draft) => Ok(Evidence { draft_id: draft.id, internet_message_id: draft.internet_message_id }),
            None => Err(reply.failure(Effect::NothingSent, &problem(&reply))),
        }
    }

    /// Sends a draft that is still one. Whether Graph sends a message again that went already is
    /// nowhere documented, so it is looked at first. Needs Mail.ReadWrite and Mail.Send.
    pub async fn send_draft(&self, draft: &Evidence, access: &Access) -> Result<Sent, SendError> {
        self.must_be_draft(draft, access).await?;
        let path = ["messages", &draft.draft_id, "send"];
        // Graph wants a length even where there is no body.
        let no_body = |request: RequestBuilder| request.header(CONTENT_LENGTH, 0);
        let reply = self.post(&path, access, Effect::Sends, no_body).await?;
        if says_item_is_gone(&reply) {
            return Err(SendError::DraftGone);
        }
        accepted(&reply, json!({ "draft_id": draft.draft_id, "internet_message_id": draft.internet_message_id }))
    }

    /// Sends a rendered `sendMail` body. Needs Mail.Send.
    pub async fn send_mail(&self, body: &str, access: &Access) -> Result<Sent, SendError> {
        let body = body.to_owned();
        let with_body = |request: RequestBuilder| request.header(CONTENT_TYPE, "application/json").body(body);
        let reply = self.post(&["sendMail"], access, Effect::Sends, with_body).await?;
        accepted(&reply, json!({}))
    }

    async fn must_be_draft(&self, draft: &Evidence, access: &Access) -> Result<(), SendError> {
        let mut url = self.0.url(&["me", "messages", &draft.draft_id]);
        url.set_query(Some("$select=isDraft"));
        let reply = self.0.exchange(Method::GET, url, access, Effect::NothingSent, with_immutable_ids).await?;
        let state: Option<DraftState> = (reply.status == StatusCode::OK).then(|| reply.json()).flatten();
        match state {
            Some(DraftState { is_draft: true }) => Ok(()),
            Some(DraftState { is_draft: false }) => Err(SendError::DraftGone),
            None if says_item_is_gone(&reply) => Err(SendError::DraftGone),
            None => Err(reply.failure(Effect::NothingSent, &problem(&reply))),
        }
    }

    async fn post(
        &self,
        path: &[&str],
        access: &Access,
        effect: Effect,
        finish: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Reply, SendError> {
        let url = self.0.url(&[&["me"], path].concat());
        self.0.exchange(Method::POST, url, access, effect, |request| finish(with_immutable_ids(request))).await
    }
}

/// With it a draft keeps its id when it is sent.
/// <https://learn.microsoft.com/graph/outlook-immutable-id>
fn with_immutable_ids(request: RequestBuilder) -> RequestBuilder {
    request.header("Prefer", "IdType=\"ImmutableId\"")
}

/// Graph answers a send with 202 and an empty body; any other success is not Graph's.
fn accepted(reply: &Reply, details: serde_json::Value) -> Result<Sent, SendError> {
    if reply.status == StatusCode::ACCEPTED {
        Ok(Sent { details, presumed: false })
    } else {
        Err(reply.failure(Effect::Sends, &problem(reply)))
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
    fn json<T: for<'a> Deserialize<'a>>(&self) -> Option<T> {
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
