//! What was asked and answered, for whoever checks it by the providers' own documents.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State as Shared},
    middleware::Next,
    response::Response,
};
use serde::Serialize;
use serde_json::Value;

use crate::{operation, state::State};

/// The most bytes of a body that are kept.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// A request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// The operation.
    pub operation: &'static str,
    /// The method.
    pub method: String,
    /// The path, and the query where there is one.
    pub target: String,
    /// The request's body, a string if it is not JSON; null where there is none.
    pub request: Value,
    /// The status of the answer.
    pub status: u16,
    /// Its body.
    pub answer: Value,
}

/// Lets a request through and keeps it with its answer.
pub(crate) async fn note(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let text = |body: &Bytes| String::from_utf8_lossy(body).into_owned();
    let json = |body: &Bytes| serde_json::from_slice(body).unwrap_or_else(|_| Value::String(text(body)));
    let json = |body: &Bytes| if body.is_empty() { Value::Null } else { json(body) };
    let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let (operation, method) = (operation(request.method(), request.uri().path()), request.method().clone());
    let (parts, body) = request.into_parts();
    let asked = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let response = next.run(Request::from_parts(parts, Body::from(asked.clone()))).await;
    let (parts, body) = response.into_parts();
    let answered = to_bytes(body, MAX_BODY).await.unwrap_or_default();
    if let Some(operation) = operation {
        let request = json(&asked);
        let (method, status) = (method.to_string(), parts.status.as_u16());
        state.note(Exchange { operation, method, target, request, status, answer: json(&answered) });
    }
    Response::from_parts(parts, Body::from(answered))
}
