//! The providers' OAuth endpoints.

use std::time::Duration;

use async_trait::async_trait;
use domain::Provider;
use secrecy::SecretString;

use super::Cause;

/// The providers' OAuth endpoints (RFC 6749), for the clients that the operator has registered there.
#[async_trait]
pub trait OAuth: Send + Sync {
    /// Whether the operator registered a client with this provider.
    fn has_client(&self, provider: Provider) -> bool;

    /// The address of the consent page; none without a client.
    fn authorization_url(&self, authorization: &Authorization<'_>) -> Option<String>;

    /// Exchanges the code of a consent for tokens. The identity is that of the id token, which the provider has signed for
    /// this request (OpenID Connect Core, 3.1.3.7).
    async fn exchange(&self, exchange: &Exchange<'_>) -> Result<(Granted, Identity), OAuthError>;

    /// Gets a new access token.
    async fn refresh(&self, provider: Provider, refresh_token: &SecretString) -> Result<Granted, OAuthError>;

    /// Revokes a refresh token and its access tokens; false if the provider cannot revoke.
    async fn revoke(&self, provider: Provider, refresh_token: &SecretString) -> Result<bool, OAuthError>;
}

/// A request for consent.
#[derive(Debug, Clone, Copy)]
pub struct Authorization<'a> {
    /// The provider.
    pub provider: Provider,
    /// The scopes, as the provider names them.
    pub scopes: &'a [String],
    /// Comes back unchanged (RFC 6749, section 4.1.1).
    pub state: &'a str,
    /// The id token has to repeat it.
    pub nonce: &'a str,
    /// Without it the code is useless (PKCE, RFC 7636). Only its hash goes to the provider.
    pub verifier: &'a str,
    /// The address to return to.
    pub redirect_uri: &'a str,
}

/// A code, with the proof that this server requested it.
#[derive(Clone, Copy)]
pub struct Exchange<'a> {
    /// The provider.
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

/// The tokens that a provider granted.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The bearer token.
    pub access_token: SecretString,
    /// The life of the bearer token.
    pub expires_in: Duration,
    /// The refresh token; none keeps the previous one.
    pub refresh_token: Option<SecretString>,
    /// The granted scopes; none means the requested ones.
    pub scopes: Option<Vec<String>>,
}

/// The account behind a token.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Identifies the account without revealing it: a hash of the provider's own id.
    pub account: String,
    /// The account's address, or another name that it signs in with, such as a phone number.
    pub name: String,
}

/// Why there is no token. The text is ours, or an error code of the provider.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OAuthError {
    /// The code or the refresh token is no longer valid. Only the owner's consent helps.
    #[error("the provider does not take the grant")]
    InvalidGrant,
    /// The provider's answer is incomplete or does not match the request. Another try would fail the same way.
    #[error("the provider's answer does not hold: {0}")]
    InvalidAnswer(String),
    /// The provider refuses our client, or an organisation's policy does. Only an operator can mend it.
    #[error("the provider refuses this deployment's client: {0}")]
    Setup(String),
    /// The provider is failing; another try may succeed.
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
