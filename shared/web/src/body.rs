//! Request bodies: JSON in UTF-8 with the right media type, up to a size limit.

use axum::{
    body::{Body, HttpBody as _},
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use engine::{Problem, ProblemCode};
use http_body_util::BodyExt;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{json, problem::Refused};

/// The largest body, in bytes.
pub const MAX_BODY: usize = 1024 * 1024;
/// The largest body that a server need not count among those that it holds, in bytes.
pub const SMALL_BODY: usize = 16 * 1024;
/// A body over the limit is read and dropped up to this size: a client that is still writing when the connection
/// closes would not see the answer.
const MAX_DRAINED: usize = 16 * MAX_BODY;

/// A JSON body of type `T`.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        if request.headers().get_all(header::CONTENT_ENCODING).iter().any(|coding| !is_identity(coding)) {
            let detail = "send the body as it is, without a Content-Encoding";
            let refused = Refused::from(Problem::new(ProblemCode::UnsupportedMediaType, detail));
            // RFC 9110, section 12.5.3: it tells a refused coding from a refused type.
            return Err(([(header::ACCEPT_ENCODING, "identity")], refused).into_response());
        }
        read(request).await.map(Self).map_err(|problem| Refused::from(problem).into_response())
    }
}

/// A JSON body of type `T`, or none, which is its default.
pub(crate) struct Maybe<T>(pub T);

impl<T: Default + DeserializeOwned, S: Send + Sync> FromRequest<S> for Maybe<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        if request.body().is_end_stream() {
            return Ok(Self(T::default()));
        }
        Json::from_request(request, state).await.map(|Json(body)| Self(body))
    }
}

/// No body, or an empty object.
pub(crate) type NoBody = Maybe<Empty>;

/// An empty object.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Empty {}

async fn read<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    if !is_json(request.headers()) {
        return Err(not_json());
    }
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    json::read(&collect(request.into_body(), length.unwrap_or_default()).await?)
}

/// Reads the whole body, if it is not too large. One that is not small gets the room that its `length` needs, since a buffer
/// that grows takes up to three times as much.
async fn collect(mut body: Body, length: usize) -> Result<Vec<u8>, Problem> {
    let (mut kept, mut seen) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await.filter(|_| seen <= MAX_DRAINED) {
        let frame = frame.map_err(|_| Problem::new(ProblemCode::MalformedJson, "the body ended early"))?;
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        if seen <= MAX_BODY {
            if kept.len() > SMALL_BODY {
                kept.reserve_exact(length.min(MAX_BODY).saturating_sub(kept.len()));
            }
            kept.extend_from_slice(&data);
        }
    }
    if seen > MAX_BODY {
        return Err(Problem::new(ProblemCode::PayloadTooLarge, "the body is larger than 1 MiB"));
    }
    Ok(kept)
}

pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(header::CONTENT_TYPE).map(header::HeaderValue::to_str) else { return false };
    let mut parts = value.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| {
        let charset = parameter.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("charset"));
        charset.is_none_or(|(_, charset)| charset.trim_matches('"').eq_ignore_ascii_case("utf-8"))
    })
}

/// Whether a Content-Encoding changes nothing.
fn is_identity(coding: &HeaderValue) -> bool {
    coding.to_str().is_ok_and(|codings| codings.split(',').all(|coding| coding.trim().eq_ignore_ascii_case("identity")))
}

pub(crate) fn not_json() -> Problem {
    Problem::new(ProblemCode::UnsupportedMediaType, "send the body as application/json in UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_utf_8_json_is_json() {
        let is = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            is_json(&headers)
        };
        assert!(
            is("application/json") && is("Application/JSON; charset=UTF-8") && is("application/json;charset=\"utf-8\"")
        );
        assert!(!is("text/plain") && !is("application/json; charset=utf-16") && !is("application/jsonx"));
        assert!(!is_json(&HeaderMap::new()));
    }
}
