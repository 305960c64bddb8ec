//! The variables of each provider. They are the same for all, after the provider's prefix.

use std::collections::BTreeMap;

use engine::ports::ProviderSpec;
use secrecy::SecretString;

use super::{Env, SecretConfig};

/// The operator's settings for one provider. `GOOGLE` stands for the provider's prefix.
#[derive(Debug, Clone)]
pub struct ProviderConfig {
    /// The OAuth client that connects accounts; none unless it is set.
    pub client: Option<OAuthConfig>,
    /// `GOOGLE_ACCESS_TOKEN`, a connection of workspace `local`, with the scopes `GOOGLE_ACCESS_TOKEN_SCOPES`.
    pub token: Option<TokenConfig>,
    /// `FLAGS_GOOGLE_ROLLOUT_PERCENT`; default 100, on Lambda 0.
    pub rollout_percent: u8,
    /// The addresses of its APIs that are set, by their variables, such as `GMAIL_BASE_URL`.
    pub apis: BTreeMap<&'static str, String>,
}

/// An OAuth client that the operator registered with a provider, and the provider's endpoints.
#[derive(Debug, Clone)]
pub struct OAuthConfig {
    /// `GOOGLE_CLIENT_ID`.
    pub client_id: String,
    /// `GOOGLE_CLIENT_SECRET`.
    pub client_secret: SecretConfig,
    /// `GOOGLE_AUTH_URL`; default the provider's. `MICROSOFT_TENANT` is its tenant, where it has tenants.
    pub auth_url: String,
    /// `GOOGLE_TOKEN_URL`; default the provider's.
    pub token_url: String,
    /// `GOOGLE_REVOKE_URL`; default the provider's. None where it has none.
    pub revoke_url: Option<String>,
}

/// A token that was pasted by hand.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// The bearer token.
    pub token: SecretString,
    /// Its scopes.
    pub scopes: Vec<String>,
}

impl ProviderConfig {
    pub(super) fn read(env: &mut Env<'_>, spec: &ProviderSpec, local: bool) -> Self {
        let prefix = spec.variable_prefix();
        let rollout = format!("FLAGS_{prefix}_ROLLOUT_PERCENT");
        let apis = spec.apis.iter().filter_map(|api| Some((api.variable, env.url(api.variable)?))).collect();
        Self {
            client: OAuthConfig::read(env, spec, &prefix, local),
            token: TokenConfig::read(env, spec, &prefix, local),
            rollout_percent: env.number(&rollout, if local { 100 } else { 0 }, 0..=100),
            apis,
        }
    }
}

impl OAuthConfig {
    fn read(env: &mut Env<'_>, spec: &ProviderSpec, prefix: &str, local: bool) -> Option<Self> {
        let client_id = env.text(&format!("{prefix}_CLIENT_ID"));
        let client_secret = env.secret(&format!("{prefix}_CLIENT_SECRET"));
        let mut tenant = String::new();
        if let Some(default) = spec.oauth.tenant {
            let variable = format!("{prefix}_TENANT");
            tenant = env.text(&variable).unwrap_or_else(|| default.to_owned());
            let valid = tenant.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
            env.refuse(!valid, &format!("{variable} must be {default}, a tenant's id or one of its domains"));
        }
        let mut endpoint = |name: &str, default: &str| {
            env.url(&format!("{prefix}_{name}_URL")).unwrap_or_else(|| default.replace("{tenant}", &tenant))
        };
        let (auth_url, token_url) = (endpoint("AUTH", spec.oauth.auth_url), endpoint("TOKEN", spec.oauth.token_url));
        let revoke_url = spec.oauth.revoke_url.map(|default| endpoint("REVOKE", default));
        let says = format!("{prefix}_CLIENT_ID needs PUBLIC_URL, the address that the provider redirects people to");
        env.refuse(!local && client_id.is_some() && env.text("PUBLIC_URL").is_none(), &says);
        match (client_id, client_secret) {
            (Some(client_id), Some(client_secret)) => {
                Some(Self { client_id, client_secret, auth_url, token_url, revoke_url })
            }
            (None, None) => None,
            (id, _) => {
                let (there, missing) = if id.is_some() { ("ID", "SECRET") } else { ("SECRET", "ID") };
                env.errors.push(format!("{prefix}_CLIENT_{there} is set, so {prefix}_CLIENT_{missing} must be set"));
                None
            }
        }
    }
}

impl TokenConfig {
    fn read(env: &mut Env<'_>, spec: &ProviderSpec, prefix: &str, local: bool) -> Option<Self> {
        let name = format!("{prefix}_ACCESS_TOKEN");
        let token = env.text(&name).map(SecretString::from)?;
        env.refuse(!local, &format!("{name} works only on your own machine: connect the account instead"));
        let scopes = env.text(&format!("{name}_SCOPES")).unwrap_or_else(|| spec.oauth.pasted_scopes.join(" "));
        Some(Self { token, scopes: scopes.split_whitespace().map(str::to_owned).collect() })
    }
}
