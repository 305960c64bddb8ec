//! Access tokens of the deployment's OpenID Connect issuer.

use std::collections::BTreeSet;

use async_trait::async_trait;
use domain::{ActorId, Scope, WorkspaceId};
use telemetry::labels::AuthFailure;

use super::Cause;

/// The bearer of an access token.
#[derive(Debug, Clone)]
pub struct TokenBearer {
    /// The workspace that the operator, or the token's claim, names.
    pub workspace: WorkspaceId,
    /// Issuer and subject, hashed.
    pub actor: ActorId,
    /// The scopes of the token that are ours.
    pub scopes: BTreeSet<Scope>,
}

/// Why a token has no bearer.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The token is not good here.
    #[error("the access token is refused")]
    Refused(AuthFailure),
    /// The issuer's keys cannot be read; another try may succeed.
    #[error("the issuer of access tokens cannot be asked for its keys: {0}")]
    Unavailable(#[source] Cause),
}

/// Tells whom a token stands for.
#[async_trait]
pub trait AccessTokens: Send + Sync {
    /// The bearer of a token that the issuer has signed for this deployment, and that is valid now.
    async fn bearer(&self, token: &str) -> Result<TokenBearer, TokenError>;
}
