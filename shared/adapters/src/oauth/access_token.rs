//! Access tokens as JWTs (RFC 9068) of the issuer that the operator trusts.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use domain::{Scope, WorkspaceId, sha256_hex};
use engine::ports::{AccessTokens, Clock, OAuthError, TokenBearer, TokenError};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};
use telemetry::labels::AuthFailure;

use super::{id_token::read, signature::Signatures};
use crate::http::LazyClient;

/// The most that the issuer's clock may differ from ours. Longer, and an expired token would count.
const SKEW: SignedDuration = SignedDuration::from_secs(5);
/// The longest token.
const LONGEST: usize = 16 * 1024;

/// The issuer whose tokens are credentials, and what they mean here.
#[derive(Debug, Clone)]
pub struct TrustedIssuer {
    /// The issuer, exactly as its tokens name it.
    pub issuer: String,
    /// Whom its tokens have to be for; if not set, the address of this API or of its MCP server, which clients name as the
    /// resource.
    pub audience: Option<String>,
    /// The workspace of its tokens.
    pub workspace: WorkspaceOf,
    /// The claim with the scopes: a text with spaces, or a list.
    pub scopes_claim: String,
}

/// Whose the tokens of an issuer are.
#[derive(Debug, Clone)]
pub enum WorkspaceOf {
    /// All are this workspace's.
    Issuer(WorkspaceId),
    /// The workspace is in this claim.
    Claim(String),
}

/// Reads the tokens of one issuer.
pub struct IssuedTokens {
    trusted: TrustedIssuer,
    audiences: Vec<String>,
    signatures: Signatures,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: OneOrMany,
    exp: f64,
    nbf: Option<f64>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl IssuedTokens {
    /// Tokens of this issuer, which `http` leads to. `public_url` is the address of this API.
    pub fn new(http: LazyClient, clock: Arc<dyn Clock>, trusted: TrustedIssuer, public_url: &str) -> Self {
        let own = || vec![public_url.to_owned(), format!("{public_url}/mcp")];
        let audiences = trusted.audience.clone().map_or_else(own, |audience| vec![audience]);
        Self { trusted, audiences, signatures: Signatures::new(http, clock.clone()), clock }
    }

    /// Whom a token stands for, if its issuer has signed it.
    fn claimed(&self, token: &str, now: Timestamp) -> Result<TokenBearer, AuthFailure> {
        let token = Some(token).filter(|token| token.len() <= LONGEST);
        let (header, claims, signature) = token.and_then(read::<Claims>).ok_or(AuthFailure::Malformed)?;
        if !header.is_signed(signature) || header.kid.is_none() {
            return Err(AuthFailure::Malformed);
        }
        if claims.iss != self.trusted.issuer {
            return Err(AuthFailure::Unknown);
        }
        let audiences = match claims.aud {
            OneOrMany::One(audience) => vec![audience],
            OneOrMany::Many(audiences) => audiences,
        };
        if !audiences.iter().any(|audience| self.audiences.contains(audience)) {
            return Err(AuthFailure::Audience);
        }
        let (now, skew) = (now.as_duration().as_secs_f64(), SKEW.as_secs_f64());
        if claims.exp <= now - skew {
            return Err(AuthFailure::Expired);
        }
        if claims.nbf.is_some_and(|begin| begin > now + skew) {
            return Err(AuthFailure::NotYetValid);
        }
        let workspace = match &self.trusted.workspace {
            WorkspaceOf::Issuer(workspace) => Some(workspace.clone()),
            WorkspaceOf::Claim(name) => claims.others.get(name).and_then(Value::as_str).and_then(|id| id.parse().ok()),
        };
        let workspace = workspace.filter(|_| !claims.sub.is_empty()).ok_or(AuthFailure::Malformed)?;
        let actor = sha256_hex(format!("{}\n{}", claims.iss, claims.sub).as_bytes());
        let actor = actor.parse().expect("hexadecimal digits are visible characters");
        Ok(TokenBearer { workspace, actor, scopes: scopes(claims.others.get(&self.trusted.scopes_claim)) })
    }
}

/// The scopes of a claim that are ours.
fn scopes(claim: Option<&Value>) -> BTreeSet<Scope> {
    let words: Vec<&str> = match claim {
        Some(Value::String(text)) => text.split_whitespace().collect(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    words.into_iter().filter_map(|word| word.parse().ok()).collect()
}

#[async_trait]
impl AccessTokens for IssuedTokens {
    async fn bearer(&self, token: &str) -> Result<TokenBearer, TokenError> {
        let bearer = self.claimed(token, self.clock.now()).map_err(TokenError::Refused)?;
        match self.signatures.check(token, &self.trusted.issuer).await {
            Ok(()) => Ok(bearer),
            Err(OAuthError::InvalidAnswer(_)) => Err(TokenError::Refused(AuthFailure::WrongSecret)),
            Err(error) => Err(TokenError::Unavailable(Arc::new(error))),
        }
    }
}
