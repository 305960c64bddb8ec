//! Which pages of other origins may call this API (CORS): those of `ALLOW_ORIGINS`, with a key in their hands.
//!
//! No cookie is asked for, so no answer allows credentials. Without keys, the door refuses every foreign page.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{Web, door::Door};

/// What a page may send, and what of an answer it may read.
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE");
const HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, idempotency-key, traceparent");
const EXPOSED: HeaderValue =
    HeaderValue::from_static("location, retry-after, ratelimit, ratelimit-policy, x-correlation-id");
/// How long a browser may remember a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const ASKS: HeaderName = header::ACCESS_CONTROL_REQUEST_METHOD;

/// The origin of a request, if its pages may call this API.
pub(crate) fn allowed(web: &Web, headers: &HeaderMap) -> Option<HeaderValue> {
    if matches!(*web.door, Door::Keyless { .. }) {
        return None;
    }
    let origin = headers.get(header::ORIGIN)?;
    web.origins.iter().any(|known| known.as_bytes() == origin.as_bytes()).then(|| origin.clone())
}

/// The answer to a browser that asks before it sends the request itself.
pub(crate) fn preflight(method: &Method, headers: &HeaderMap) -> Option<Response> {
    if *method != Method::OPTIONS || !headers.contains_key(ASKS) {
        return None;
    }
    let mut response = (StatusCode::NO_CONTENT, Body::empty()).into_response();
    let answer = response.headers_mut();
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    Some(response)
}

/// Lets the page read an answer. Where there are such pages, answers differ by origin, and caches have to know.
pub(crate) fn expose(web: &Web, origin: Option<HeaderValue>, headers: &mut HeaderMap) {
    if !web.origins.is_empty() {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}
