//! The providers' OAuth endpoints.

use std::time::Duration;

use async_trait::async_trait;
use domain::{Address, Provider};
use secrecy::SecretString;

use super::Cause;

/// The providers' OAuth endpoints (RFC 6749), for the clients that the operator has registered there.
#[async_trait]
pub trait OAuth: Send + Sync {
    /// Whether there is a client of this provider.
    fn has_client(&self, provider: Provider) -> bool;

    /// Where a person consents; none without a client.
    fn authorization_url(&self, authorization: &Authorization<'_>) -> Option<String>;

    /// Exchanges the code that a person brought back. The address is that of the id token, which came
    /// straight from the provider (OpenID Connect Core, 3.1.3.7).
    async fn exchange(&self, exchange: &Exchange<'_>) -> Result<(Granted, Identity), OAuthError>;

    /// Gets a new access token.
    async fn refresh(&self, provider: Provider, refresh_token: &SecretString) -> Result<Granted, OAuthError>;

    /// Ends a refresh token and what it gave; false where the provider has no way to.
    async fn revoke(&self, provider: Provider, refresh_token: &SecretString) -> Result<bool, OAuthError>;
}

/// What a person is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Authorization<'a> {
    /// At which provider.
    pub provider: Provider,
    /// Which scopes, as the provider names them.
    pub scopes: &'a [String],
    /// What comes back unchanged.
    pub state: &'a str,
    /// What the id token has to hold.
    pub nonce: &'a str,
    /// What the code is worth nothing without (PKCE, RFC 7636); only its hash goes to the provider.
    pub verifier: &'a str,
    /// Where the person comes back to.
    pub redirect_uri: &'a str,
}

/// A code, with what proves that it is ours.
#[derive(Clone, Copy)]
pub struct Exchange<'a> {
    /// Of which provider.
    pub provider: Provider,
    /// The code.
    pub code: &'a str,
    /// As in [`Authorization`].
    pub verifier: &'a str,
    /// As in [`Authorization`].
    pub nonce: &'a str,
    /// As in [`Authorization`].
    pub redirect_uri: &'a str,
}

/// What a provider gave.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The bearer token.
    pub access_token: SecretString,
    /// How long it holds.
    pub expires_in: Duration,
    /// What gets the next one; none leaves the one that there was.
    pub refresh_token: Option<SecretString>,
    /// What it was granted; none is what was asked for.
    pub scopes: Option<Vec<String>>,
}

/// Whose account it is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Names the account, and tells nothing of it: a hash of the provider's own name for it.
    pub account: String,
    /// The account's address.
    pub address: Address,
}

/// Why there is no token. The words are ours, or a code of the provider's.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OAuthError {
    /// The code or the refresh token is no longer good: only its owner's consent helps.
    #[error("the provider does not take the grant")]
    InvalidGrant,
    /// The provider's answer lacks something, or does not fit the request. Another try would fail the same way.
    #[error("the provider's answer does not hold: {0}")]
    InvalidAnswer(String),
    /// The provider is failing, or refuses the client itself; another try may succeed.
    #[error("the provider gives no token: status {status} {}", .code.as_deref().unwrap_or_default())]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The provider's error code (RFC 6749, 5.2), where it gave one.
        code: Option<String>,
    },
    /// The provider was not reached; another try may succeed.
    #[error("the provider gives no token: {0}")]
    Unavailable(#[source] Cause),
}

impl OAuthError {
    /// The provider was not reached, for this reason.
    pub fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into().into())
    }
}
