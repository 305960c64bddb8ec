//! The Gmail API: `users.messages.send`, `users.drafts.create`, `.send` and `.delete`.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State as Shared},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, post},
};
use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    mail::ReadMail,
    refusal,
    state::{Draft, Provider, State, Token},
};

/// base64url, with its padding or without.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const SEND: &str = "https://www.googleapis.com/auth/gmail.send";
const COMPOSE: &str = "https://www.googleapis.com/auth/gmail.compose";
const MODIFY: &str = "https://www.googleapis.com/auth/gmail.modify";
const EVERYTHING: &str = "https://mail.google.com/";
/// Each may make and send drafts.
const DRAFTS: &[&[&str]] = &[&[COMPOSE], &[MODIFY], &[EVERYTHING]];
const SENDS: &[&[&str]] = &[&[SEND], &[COMPOSE], &[MODIFY], &[EVERYTHING]];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Message {
    raw: String,
    thread_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewDraft {
    message: Message,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendDraft {
    id: String,
}

pub(crate) fn router() -> Router<Arc<State>> {
    Router::new()
        .route("/gmail/v1/users/{user}/messages/send", post(send_message))
        .route("/gmail/v1/users/{user}/drafts", post(create_draft))
        .route("/gmail/v1/users/{user}/drafts/send", post(send_draft))
        .route("/gmail/v1/users/{user}/drafts/{id}", delete(delete_draft))
}

async fn send_message(
    Shared(state): Shared<Arc<State>>,
    Path(user): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let account = enter(&state, &user, &headers, SENDS)?;
    let mail = mail(&read::<Message>(&headers, &body)?, &account)?;
    state.deliver(mail, &account);
    Ok(sent(&state))
}

async fn create_draft(
    Shared(state): Shared<Arc<State>>,
    Path(user): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let account = enter(&state, &user, &headers, DRAFTS)?;
    let mail = mail(&read::<NewDraft>(&headers, &body)?.message, &account)?;
    let number = state.number();
    let id = format!("r{number}");
    let draft = Draft {
        owner: account.account().to_owned(),
        mail,
        sent: false,
        immutable_id: false,
        internet_message_id: String::new(),
    };
    state.put_draft(id.clone(), draft);
    let message = json!({ "id": format!("m{number}"), "threadId": format!("t{number}"), "labelIds": ["DRAFT"] });
    Ok(Json(json!({ "id": id, "message": message })).into_response())
}

/// Sends a draft and deletes it.
async fn send_draft(
    Shared(state): Shared<Arc<State>>,
    Path(user): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let account = enter(&state, &user, &headers, DRAFTS)?;
    let SendDraft { id } = read(&headers, &body)?;
    state.send_draft(&id, &account).ok_or_else(not_found)?;
    Ok(sent(&state))
}

async fn delete_draft(
    Shared(state): Shared<Arc<State>>,
    Path((user, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let account = enter(&state, &user, &headers, DRAFTS)?;
    state.draft(&id, &account).ok_or_else(not_found)?;
    state.remove_draft(&id);
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[expect(clippy::result_large_err, reason = "the error is the answer")]
fn enter(state: &State, user: &str, headers: &HeaderMap, any_of: &[&[&str]]) -> Result<Token, Response> {
    let account = state.authorize(headers, Provider::Google, any_of)?;
    if user == "me" || account.address.as_deref() == Some(user) {
        Ok(account)
    } else {
        Err(refusal(Provider::Google, StatusCode::FORBIDDEN, "forbidden", "Delegation denied"))
    }
}

#[expect(clippy::result_large_err, reason = "the error is the answer")]
fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Response> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.split(';').next().map(str::trim) != Some("application/json") {
        return Err(bad("badContent", "Media type is not application/json"));
    }
    serde_json::from_slice(body).map_err(|error| bad("parseError", &format!("Invalid JSON payload received. {error}")))
}

#[expect(clippy::result_large_err, reason = "the error is the answer")]
fn mail(message: &Message, account: &Token) -> Result<ReadMail, Response> {
    let bytes = BASE64URL.decode(&message.raw).map_err(|_| bad("invalidArgument", "Invalid value for ByteString"))?;
    let mail = ReadMail::of_mime(&bytes, account).map_err(|error| bad("invalidArgument", &error))?;
    let is_id = |id: &String| !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
    if !message.thread_id.iter().all(is_id) {
        return Err(bad("invalidArgument", "Invalid thread_id value"));
    }
    Ok(ReadMail { thread_id: message.thread_id.clone(), ..mail })
}

fn sent(state: &State) -> Response {
    let number = state.number();
    Json(json!({ "id": format!("m{number}"), "threadId": format!("t{number}"), "labelIds": ["SENT"] })).into_response()
}

fn bad(reason: &str, message: &str) -> Response {
    refusal(Provider::Google, StatusCode::BAD_REQUEST, reason, message)
}

fn not_found() -> Response {
    refusal(Provider::Google, StatusCode::NOT_FOUND, "notFound", "Requested entity was not found.")
}
