//! One request to a mail provider, and what its failure means for the mail.

use std::time::Duration;

use engine::ports::{Access, SendError};
use reqwest::{
    Client, Method, RequestBuilder, StatusCode, Url,
    header::{AUTHORIZATION, DATE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use secrecy::ExposeSecret;

use crate::http::LazyClient;

/// The most of an answer that is read.
const MAX_ANSWER: usize = 1024 * 1024;
/// The longest wait that is believed.
const MAX_WAIT: Duration = Duration::from_hours(24);

/// The base URL of a provider is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the base URL must be an http or https URL without query and fragment")]
pub struct InvalidBaseUrl;

/// Where a provider's API is.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    client: LazyClient,
    base: Url,
}

/// What a request does when it is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing leaves the account: a lost answer does no harm.
    NothingSent,
    /// A mail goes out: a lost answer may hide that it went.
    Sends,
}

/// An answer.
pub(crate) struct Reply {
    pub status: StatusCode,
    pub retry_after: Option<Duration>,
    /// None when it was cut off or is too long.
    pub body: Option<Vec<u8>>,
}

/// What the provider's error body says, in the provider's own words for machines.
#[derive(Debug, Default)]
pub(crate) struct Problem {
    /// The reason or code.
    pub code: Option<String>,
    /// A 403 that limits the rate.
    pub limits_rate: bool,
    /// A 403 for want of a scope.
    pub lacks_permission: bool,
}

impl Endpoint {
    pub(crate) fn new(client: LazyClient, base: &str) -> Result<Self, InvalidBaseUrl> {
        let base: Url = base.parse().map_err(|_| InvalidBaseUrl)?;
        let plain = matches!(base.scheme(), "http" | "https") && base.query().is_none() && base.fragment().is_none();
        if plain { Ok(Self { client, base }) } else { Err(InvalidBaseUrl) }
    }

    /// The URL below the base; each segment is escaped as a whole.
    pub(crate) fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Sends one request and reads its answer. An answer of any status is a reply.
    pub(crate) async fn exchange(
        &self,
        method: Method,
        url: Url,
        access: &Access,
        effect: Effect,
        finish: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Reply, SendError> {
        let client: &Client = self.client.get().map_err(|error| SendError::NotReached(error.to_string()))?;
        // A token that cannot stand in a header is none that a provider gave.
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", access.token.expose_secret()))
            .map_err(|_| SendError::Unauthorized)?;
        bearer.set_sensitive(true);
        let request = finish(client.request(method, url).header(AUTHORIZATION, bearer));
        let response = request.send().await.map_err(|error| lost(effect, &error))?;
        let status = response.status();
        let retry_after = retry_after(response.headers());
        Ok(Reply { status, retry_after, body: read(response).await })
    }
}

impl Reply {
    /// What this reply, which is not the one hoped for, means.
    pub(crate) fn failure(&self, effect: Effect, problem: &Problem) -> SendError {
        let label = match problem.code.as_deref().filter(|code| is_code(code)) {
            Some(code) => format!("status {} {code}", self.status.as_u16()),
            None => format!("status {}", self.status.as_u16()),
        };
        match self.status.as_u16() {
            401 => SendError::Unauthorized,
            429 => SendError::RateLimited(self.retry_after),
            403 if problem.limits_rate => SendError::RateLimited(self.retry_after),
            403 if problem.lacks_permission => SendError::Forbidden(label),
            // The server did not get the whole request (RFC 9110, section 15.5.9).
            408 => SendError::NotReached(label),
            400..=499 => SendError::Rejected(label),
            // A server that names a time to come again is throttling, which it does before it
            // acts: both providers document it so. A bare 503 may as well be a gateway that lost
            // the answer of a send that was carried out.
            503 if self.retry_after.is_some() => SendError::RateLimited(self.retry_after),
            // 5xx; a redirect, which is not followed and may be the answer to a finished request;
            // a 2xx that does not say what it should.
            _ => effect.broken(label),
        }
    }
}

impl Effect {
    /// The request reached the provider and there is no answer to rely on.
    pub(crate) fn broken(self, what: String) -> SendError {
        match self {
            Self::NothingSent => SendError::NotReached(what),
            Self::Sends => SendError::MaybeSent(what),
        }
    }
}

/// What it means that there is no answer. The words are ours: the error's own name the URL.
fn lost(effect: Effect, error: &reqwest::Error) -> SendError {
    if error.is_connect() || error.is_builder() {
        SendError::NotReached("no connection".to_owned())
    } else if error.is_timeout() {
        effect.broken("no answer in time".to_owned())
    } else {
        effect.broken("the connection broke".to_owned())
    }
}

/// The whole body; none when it was cut off or is too long.
pub(crate) async fn read(mut response: reqwest::Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

/// Seconds or a date (RFC 9110, section 10.2.3). A date counts from the answer's own Date, so no
/// clock has to agree with the provider's.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if let Ok(seconds) = text.parse() {
        Duration::from_secs(seconds)
    } else {
        let then = jiff::fmt::rfc2822::parse(text).ok()?;
        let now = jiff::fmt::rfc2822::parse(headers.get(DATE)?.to_str().ok()?).ok()?;
        Duration::try_from(now.duration_until(&then)).unwrap_or_default()
    };
    Some(wait.min(MAX_WAIT))
}

/// Whether a text is a code, which is worth repeating, rather than prose, which may name people.
pub(crate) fn is_code(text: &str) -> bool {
    (1..=80).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b' ' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_beyond_a_day() {
        let date = ("date", "Sun, 06 Nov 2016 08:49:37 GMT");
        for (given, wait) in [
            (vec![], None),
            (vec![("retry-after", "7")], Some(7)),
            (vec![("retry-after", "18446744073709551615")], Some(86_400)),
            (vec![("retry-after", "-1")], None),
            (vec![("retry-after", "soon")], None),
            (vec![("retry-after", "Sun, 06 Nov 2016 08:50:37 GMT"), date], Some(60)),
            (vec![("retry-after", "Sun, 06 Nov 2016 08:48:37 GMT"), date], Some(0)),
            (vec![("retry-after", "Sun, 06 Nov 2016 08:50:37 GMT")], None),
        ] {
            assert_eq!(retry_after(&headers(&given)), wait.map(Duration::from_secs), "{given:?}");
        }
    }

    #[test]
    fn segments_cannot_leave_their_place() {
        let endpoint = |base| Endpoint::new(LazyClient::new(crate::http::ClientOptions::PROVIDER), base);
        let url = endpoint("http://127.0.0.1:1/v1.0/").unwrap().url(&["me", "messages", "a/b?c#d=", "send"]);
        assert_eq!(url.as_str(), "http://127.0.0.1:1/v1.0/me/messages/a%2Fb%3Fc%23d=/send");
        for bad in
            ["", "gmail.googleapis.com", "ftp://example.com", "https://example.com/?a=b", "https://example.com/#a"]
        {
            assert_eq!(endpoint(bad).unwrap_err(), InvalidBaseUrl, "{bad}");
        }
    }

    #[test]
    fn prose_is_not_repeated() {
        assert!(is_code("ErrorInvalidRecipients") && is_code("ACCESS_TOKEN_SCOPE_INSUFFICIENT"));
        assert!(!is_code("Invalid To header: ana@example.com") && !is_code("") && !is_code(&"x".repeat(81)));
    }
}
