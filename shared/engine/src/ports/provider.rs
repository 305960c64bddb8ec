//! What is known of a provider. All of it is data, in one constant a provider.

use domain::Provider;
use serde::{Deserialize, Serialize};

/// A provider: its names, its addresses, and how its OAuth differs from others'.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema), schema(as = ProviderView, description = "A provider."))]
pub struct ProviderSpec {
    /// Its id, and its name in paths, variables and labels.
    #[cfg_attr(feature = "utoipa", schema(value_type = String, example = "google"))]
    pub id: Provider,
    /// Its name for people.
    #[cfg_attr(feature = "utoipa", schema(example = "Google"))]
    pub name: &'static str,
    /// The name of the account that people connect.
    #[cfg_attr(feature = "utoipa", schema(example = "Gmail"))]
    pub account: &'static str,
    /// Its OAuth 2.0 endpoints and habits.
    #[serde(skip)]
    pub oauth: OAuthSpec,
    /// Its APIs' addresses.
    #[serde(skip)]
    pub apis: &'static [ApiAddress],
    /// The page where an account's owner withdraws a consent.
    pub revoke_page: &'static str,
}

/// Where one of a provider's APIs is.
#[derive(Debug)]
pub struct ApiAddress {
    /// The environment variable that replaces it, such as `CONTOSO_BASE_URL`.
    pub variable: &'static str,
    /// The public address.
    pub default: &'static str,
}

/// A provider's OAuth 2.0 (RFC 6749) and OpenID Connect. `{tenant}` in an address is replaced by the operator's tenant.
#[derive(Debug)]
pub struct OAuthSpec {
    /// The authorization endpoint.
    pub auth_url: &'static str,
    /// The token endpoint.
    pub token_url: &'static str,
    /// The revocation endpoint (RFC 7009); none where the provider has none.
    pub revoke_url: Option<&'static str>,
    /// The tenant unless the operator sets one; none where the provider has no tenants.
    pub tenant: Option<&'static str>,
    /// The scopes that identify the account and give a refresh token.
    pub identity_scopes: &'static [&'static str],
    /// More parameters of the authorization request.
    pub parameters: &'static [(&'static str, &'static str)],
    /// What a scope may begin with and means the same without. Scopes are compared without regard to case.
    pub scope_prefix: &'static str,
    /// Scopes that include others, in any form of theirs.
    pub implies: &'static [(&'static str, &'static [&'static str])],
    /// The scopes of a token pasted by hand, unless they are given.
    pub pasted_scopes: &'static [&'static str],
    /// Whether the id token's issuer is this provider's. The origin is that of the authorization endpoint.
    pub is_issuer: fn(&IdClaims, origin: &str) -> bool,
    /// The account's address, or another name that it signs in with.
    pub name: fn(&IdClaims) -> Option<&str>,
}

/// The claims of an id token that differ between providers (OpenID Connect Core, section 2).
#[derive(Debug, Clone, Deserialize)]
pub struct IdClaims {
    /// The issuer.
    pub iss: String,
    /// The address; none unless the provider has verified it.
    pub email: Option<String>,
    /// The name that the account's owner signs in with.
    pub preferred_username: Option<String>,
    /// Microsoft's tenant id.
    pub tid: Option<String>,
}

impl ProviderSpec {
    /// The prefix of its environment variables, such as `GOOGLE`.
    pub fn variable_prefix(&self) -> String {
        self.id.as_str().to_ascii_uppercase()
    }

    /// A scope as it is compared: without its prefix, in lower case.
    pub fn normal_scope(&self, scope: &str) -> String {
        let scope = scope.to_ascii_lowercase();
        scope.strip_prefix(self.oauth.scope_prefix).map_or_else(|| scope.clone(), str::to_owned)
    }

    /// Whether all of the wanted scopes are among the granted ones, or included in one of them.
    pub fn grants(&self, granted: &[String], wanted: &[&str]) -> bool {
        let is = |scope: &str, other: &str| self.normal_scope(scope) == self.normal_scope(other);
        let includes = |have: &str, want: &str| {
            let mut wider = self.oauth.implies.iter().filter(|(wide, _)| is(wide, have));
            is(have, want) || wider.any(|(_, included)| included.iter().any(|scope| is(scope, want)))
        };
        wanted.iter().all(|want| granted.iter().any(|have| includes(have, want)))
    }
}
