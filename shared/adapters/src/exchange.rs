//! One request to a provider, and what its failure means.

use engine::ports::{Access, ProviderError};
use reqwest::{Method, RequestBuilder, Url};
use secrecy::ExposeSecret;

use crate::http::{self, Answer, Failure, LazyClient, MAX_ANSWER, is_code};

/// The base URL of a provider's API is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the base URL must be an http or https URL without query and fragment")]
pub struct InvalidBaseUrl;

/// The address of a provider's API.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    client: LazyClient,
    base: Url,
}

/// The provider's error body, as far as it is machine-readable.
#[derive(Debug, Default)]
pub(crate) struct Problem {
    /// The reason or code.
    pub code: Option<String>,
    /// Whether a refusal passes by itself, such as a rate limit.
    pub limits_rate: bool,
    /// Whether a 403 is a missing scope.
    pub lacks_permission: bool,
}

impl Endpoint {
    pub(crate) fn new(client: LazyClient, base: &str) -> Result<Self, InvalidBaseUrl> {
        let base: Url = base.parse().map_err(|_| InvalidBaseUrl)?;
        let plain = matches!(base.scheme(), "http" | "https") && base.query().is_none() && base.fragment().is_none();
        if plain { Ok(Self { client, base }) } else { Err(InvalidBaseUrl) }
    }

    /// A URL below the base. Each segment is escaped as a whole.
    pub(crate) fn url(&self, segments: &[&str]) -> Url {
        http::below(self.base.clone(), segments)
    }

    /// Sends one request and reads its answer, of any status. An error says whether the request may have been carried
    /// out; where that would do no harm, see [`harmless`].
    pub(crate) async fn exchange(
        &self,
        method: Method,
        url: Url,
        access: &Access,
        finish: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, ProviderError> {
        let request = self.client.get().request(method, url).bearer_auth(access.token.expose_secret());
        http::send(finish(request), MAX_ANSWER).await.map_err(|failure| match failure {
            // Everything else is valid, so the token does not fit into a header. No provider issues such a token.
            Failure::Invalid => ProviderError::Unauthorized,
            Failure::NoConnection => ProviderError::Unreachable(failure.to_string()),
            // The request may have reached the provider, and there is no reliable answer.
            _ => ProviderError::AnswerLost(failure.to_string()),
        })
    }
}

impl Answer {
    /// The error that an unexpected answer means.
    pub(crate) fn failure(&self, problem: &Problem) -> ProviderError {
        let label = match problem.code.as_deref().filter(|code| is_code(code)) {
            Some(code) => format!("status {} {code}", self.status.as_u16()),
            None => format!("status {}", self.status.as_u16()),
        };
        match self.status.as_u16() {
            401 => ProviderError::Unauthorized,
            429 => ProviderError::RateLimited(self.retry_after),
            400..=499 if problem.limits_rate => ProviderError::RateLimited(self.retry_after),
            403 if problem.lacks_permission => ProviderError::Forbidden(label),
            // The server did not receive the whole request (RFC 9110, section 15.5.9).
            408 => ProviderError::Unreachable(label),
            400..=499 => ProviderError::Rejected(label),
            // A 503 with Retry-After is throttling, which both providers document to happen before
            // they act. A bare 503 may come from a gateway that lost the answer to a completed send.
            503 if self.retry_after.is_some() => ProviderError::RateLimited(self.retry_after),
            // 5xx; a redirect, which is not followed and may answer a completed request; a 2xx
            // with an unexpected body.
            _ => ProviderError::AnswerLost(label),
        }
    }
}

/// The error of a request that changes nothing which anybody else sees: that its answer was lost means no more than that
/// it failed.
pub(crate) fn harmless(error: ProviderError) -> ProviderError {
    match error {
        ProviderError::AnswerLost(what) => ProviderError::Unreachable(what),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
