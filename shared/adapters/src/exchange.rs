//! One request to a provider, and what its failure means.

use engine::ports::{Access, ProviderError, Refusal};
use reqwest::{Method, RequestBuilder, Url};
use secrecy::ExposeSecret;

use crate::http::{self, Answer, Failure, LazyClient, MAX_ANSWER, is_code, retry_after_in};

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

/// The provider's error body.
#[derive(Default)]
pub(crate) struct Problem {
    /// The reason or code.
    pub code: Option<String>,
    /// What a refusal means, where it is not about the content.
    pub means: Option<Meaning>,
    /// The error in the provider's own words.
    pub says: Option<String>,
}

/// What a refusal is about, if not about the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A rate limit.
    LimitsRate,
    /// Something that passes by itself.
    Busy,
    /// A missing scope, where the status is 403.
    LacksPermission,
    /// The account: suspended, without a mailbox, without a right of its own.
    Account,
    /// Our client, or an organisation's policy.
    Setup,
}

/// What the first known code of a provider's list means; the case does not count.
pub(crate) fn meaning<'a>(
    table: &[(Meaning, &[&str])],
    codes: impl IntoIterator<Item = &'a str, IntoIter: Clone>,
) -> Option<Meaning> {
    let codes = codes.into_iter();
    let is_known = |known: &&str| codes.clone().any(|code| known.eq_ignore_ascii_case(code));
    table.iter().find(|(_, known)| known.iter().any(&is_known)).map(|(means, _)| *means)
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
        let refusal = |label| Refusal { label, says: problem.says.clone() };
        match (self.status.as_u16(), problem.means) {
            (400..=499, Some(Meaning::Account)) => ProviderError::Account(refusal(label)),
            (401, _) => ProviderError::Unauthorized,
            (429, _) | (400..=499, Some(Meaning::LimitsRate)) => {
                let said = || retry_after_in(problem.says.as_deref()?, self.date);
                ProviderError::RateLimited(self.retry_after.or_else(said))
            }
            (400..=499, Some(Meaning::Busy)) => ProviderError::Busy(label),
            (400..=499, Some(Meaning::Setup)) => ProviderError::Setup(refusal(label)),
            (403, Some(Meaning::LacksPermission)) => ProviderError::Forbidden(refusal(label)),
            // The server did not receive the whole request (RFC 9110, section 15.5.9).
            (408, _) => ProviderError::Unreachable(label),
            (400..=499, _) => ProviderError::Rejected(refusal(label)),
            // A 503 with Retry-After is throttling, which both providers document to happen before
            // they act. A bare 503 may come from a gateway that lost the answer to a completed send.
            (503, _) if self.retry_after.is_some() => ProviderError::RateLimited(self.retry_after),
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
