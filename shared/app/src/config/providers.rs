//! The variables of each provider. They are the same for all, after the provider's prefix.

use adapters::oauth::OAuthClient;
use engine::ports::{Access, ProviderSpec};

use super::env::Env;

/// The client that the operator registered with the provider, with its endpoints.
pub(super) fn oauth_client(env: &mut Env<'_>, spec: &ProviderSpec, local: bool) -> Option<OAuthClient> {
    let prefix = spec.variable_prefix();
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
    if client_id.is_some() != client_secret.is_some() {
        let (there, missing) = if client_id.is_some() { ("ID", "SECRET") } else { ("SECRET", "ID") };
        env.errors.push(format!("{prefix}_CLIENT_{there} is set, so {prefix}_CLIENT_{missing} must be set"));
    }
    Some(OAuthClient { client_id: client_id?, client_secret: client_secret?, auth_url, token_url, revoke_url })
}

/// A token that was pasted by hand.
pub(super) fn pasted_token(env: &mut Env<'_>, spec: &ProviderSpec, local: bool) -> Option<Access> {
    let name = format!("{}_ACCESS_TOKEN", spec.variable_prefix());
    let token = env.text(&name)?.into();
    env.refuse(!local, &format!("{name} works only on your own machine: connect the account instead"));
    let scopes = env.text(&format!("{name}_SCOPES")).unwrap_or_else(|| spec.oauth.pasted_scopes.join(" "));
    let scopes = scopes.split_whitespace().map(str::to_owned).collect();
    Some(Access { token, scopes, address: None, name: None, account: None })
}
