//! Microsoft Graph's mail: `sendMail`, and messages created, looked at, sent and deleted.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State as Shared},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    mail::{ReadMail, checked},
    refusal,
    state::{Draft, Provider, State, Token},
};

const SEND: &[&[&str]] = &[&["Mail.Send"]];
const READ: &[&[&str]] = &[&["Mail.ReadWrite"], &["Mail.Read"], &["Mail.ReadBasic"]];
const WRITE: &[&[&str]] = &[&["Mail.ReadWrite"]];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SendMail {
    message: Value,
    #[serde(default, rename = "saveToSentItems")]
    _save_to_sent_items: Option<bool>,
}

/// What may be written of a message, as far as it is known here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Message {
    #[serde(default)]
    subject: String,
    body: Option<ItemBody>,
    #[serde(default)]
    to_recipients: Vec<Recipient>,
    #[serde(default)]
    cc_recipients: Vec<Recipient>,
    #[serde(default)]
    bcc_recipients: Vec<Recipient>,
    #[serde(default)]
    reply_to: Vec<Recipient>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ItemBody {
    pub(crate) content_type: String,
    pub(crate) content: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Recipient {
    email_address: EmailAddress,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmailAddress {
    pub(crate) address: String,
    #[serde(default, rename = "name")]
    _name: Option<String>,
}

pub(crate) fn router() -> Router<Arc<State>> {
    Router::new()
        .route("/v1.0/me/sendMail", post(send_mail))
        .route("/v1.0/me/messages", post(create))
        .route("/v1.0/me/messages/{id}", get(look).delete(delete))
        .route("/v1.0/me/messages/{id}/send", post(send))
}

async fn send_mail(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Result<Response, Response> {
    let account = state.authorize(&headers, Provider::Microsoft, SEND)?;
    let mail = match mime(&headers, &body, &account)? {
        Some(mail) => mail,
        None => mail(read::<SendMail>(&headers, &body)?.message)?,
    };
    must_have_a_recipient(&mail)?;
    state.deliver(mail, &account);
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn create(Shared(state): Shared<Arc<State>>, headers: HeaderMap, body: Bytes) -> Result<Response, Response> {
    let account = state.authorize(&headers, Provider::Microsoft, WRITE)?;
    let mail = match mime(&headers, &body, &account)? {
        Some(mail) => mail,
        None => mail(read(&headers, &body)?)?,
    };
    let number = state.number();
    let id = format!("AAkALg{number}-_A=");
    let draft = Draft {
        owner: account.account().to_owned(),
        mail,
        sent: false,
        immutable_id: wants_immutable_ids(&headers),
        internet_message_id: format!("<{number}@graph.example>"),
    };
    let shown = shown(&id, &draft);
    state.put_draft(id, draft);
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

async fn look(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let account = state.authorize(&headers, Provider::Microsoft, READ)?;
    let draft = state.draft(&id, &account).ok_or_else(not_found)?;
    Ok(Json(shown(&id, &draft)).into_response())
}

/// Sends a draft. With an immutable id it is found under the same id afterwards, no draft any
/// more; without one it is gone.
async fn send(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let account = both(&state, &headers)?;
    if !headers.contains_key(header::CONTENT_LENGTH) {
        return Err(refusal(Provider::Microsoft, StatusCode::LENGTH_REQUIRED, "LengthRequired", "no Content-Length"));
    }
    let draft = state.draft(&id, &account).ok_or_else(not_found)?;
    must_have_a_recipient(&draft.mail)?;
    state.send_draft(&id, &account).ok_or_else(not_found)?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn delete(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let account = state.authorize(&headers, Provider::Microsoft, WRITE)?;
    state.draft(&id, &account).ok_or_else(not_found)?;
    state.remove_draft(&id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[expect(clippy::result_large_err, reason = "the error is the answer")]
fn both(state: &State, headers: &HeaderMap) -> Result<Token, Response> {
    state.authorize(headers, Provider::Microsoft, &[&["Mail.Send", "Mail.ReadWrite"]])
}

fn wants_immutable_ids(headers: &HeaderMap) -> bool {
    headers.get_all("prefer").iter().any(|value| value == "IdType=\"ImmutableId\"")
}

fn shown(id: &str, draft: &Draft) -> Value {
    json!({
        "id": id,
        "internetMessageId": draft.internet_message_id,
        "isDraft": !draft.sent,
        "subject": draft.mail.subject,
    })
}

#[expect(clippy::result_large_err, reason = "the error is the answer")]
fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Response> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.split(';').next().map(str::trim) != Some("application/json") {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(refusal(
            Provider::Microsoft,
            status,
            "RequestBodyRead",
            "the content type is not application/json",
        ));
    }
    serde_json::from_slice(body).map_err(|error| bad("RequestBodyRead", &error.to_string()))
}

/// The mail of a body that is a MIME text in base64; none of another.
#[expect(clippy::result_large_err, reason = "the error is the answer")]
fn mime(headers: &HeaderMap, body: &[u8], account: &Token) -> Result<Option<ReadMail>, Response> {
    if headers.get(header::CONTENT_TYPE).is_none_or(|value| value != "text/plain") {
        return Ok(None);
    }
    let invalid = |_| bad("ErrorMimeContentInvalidBase64String", "The MIME content is not a valid base64 string.");
    let bytes = STANDARD.decode(body).map_err(invalid)?;
    ReadMail::of_mime(&bytes, account).map(Some).map_err(|error| bad("ErrorMimeContentInvalid", &error))
}

#[expect(clippy::result_large_err, reason = "the error is the answer")]
fn mail(message: Value) -> Result<ReadMail, Response> {
    let raw = message.to_string();
    let message: Message =
        serde_json::from_value(message).map_err(|error| bad("RequestBodyRead", &error.to_string()))?;
    let addresses = |list: &[Recipient]| {
        list.iter()
            .map(|recipient| checked(&recipient.email_address.address))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| bad("ErrorInvalidRecipients", &error))
    };
    let (text, html) = match message.body {
        None => (None, None),
        Some(body) if body.content_type.eq_ignore_ascii_case("text") => (Some(body.content), None),
        Some(body) if body.content_type.eq_ignore_ascii_case("html") => (None, Some(body.content)),
        Some(_) => return Err(bad("RequestBodyRead", "contentType is Text or HTML")),
    };
    Ok(ReadMail {
        from: Vec::new(),
        to: addresses(&message.to_recipients)?,
        cc: addresses(&message.cc_recipients)?,
        bcc: addresses(&message.bcc_recipients)?,
        reply_to: addresses(&message.reply_to)?,
        subject: message.subject,
        text,
        html,
        raw,
        ..ReadMail::default()
    })
}

#[expect(clippy::result_large_err, reason = "the error is the answer")]
fn must_have_a_recipient(mail: &ReadMail) -> Result<(), Response> {
    if mail.recipients().next().is_some() {
        Ok(())
    } else {
        Err(bad("ErrorInvalidRecipients", "At least one recipient is needed"))
    }
}

fn bad(code: &str, message: &str) -> Response {
    refusal(Provider::Microsoft, StatusCode::BAD_REQUEST, code, message)
}

fn not_found() -> Response {
    let message = "The specified object was not found in the store.";
    refusal(Provider::Microsoft, StatusCode::NOT_FOUND, "ErrorItemNotFound", message)
}
