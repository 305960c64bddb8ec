//! The variables of each provider. They are the same for all, after the provider's prefix.

use std::collections::BTreeMap;

use adapters::{oauth::OAuthClient, providers::specs};
use domain::Provider;
use engine::ports::{Access, ProviderSpec};

use super::Env;

/// What the variables of all providers say.
#[derive(Default)]
pub(super) struct ProviderVariables {
    pub(super) oauth: BTreeMap<Provider, OAuthClient>,
    pub(super) apis: BTreeMap<&'static str, String>,
    pub(super) rollout: BTreeMap<Provider, u8>,
    pub(super) tokens: BTreeMap<Provider, Access>,
}

impl ProviderVariables {
    pub(super) fn read(env: &mut Env<'_>, local: bool) -> Self {
        let mut read = Self::default();
        for spec in specs() {
            let prefix = spec.variable_prefix();
            let rollout = format!("FLAGS_{prefix}_ROLLOUT_PERCENT");
            read.apis.extend(spec.apis.iter().filter_map(|api| Some((api.variable, env.url(api.variable)?))));
            read.oauth.extend(oauth_client(env, spec, &prefix, local).map(|client| (spec.id, client)));
            read.tokens.extend(pasted_token(env, spec, &prefix, local).map(|token| (spec.id, token)));
            read.rollout.insert(spec.id, env.number(&rollout, if local { 100 } else { 0 }, 0..=100));
        }
        read
    }
}

fn oauth_client(env: &mut Env<'_>, spec: &ProviderSpec, prefix: &str, local: bool) -> Option<OAuthClient> {
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
fn pasted_token(env: &mut Env<'_>, spec: &ProviderSpec, prefix: &str, local: bool) -> Option<Access> {
    let name = format!("{prefix}_ACCESS_TOKEN");
    let token = env.text(&name)?.into();
    env.refuse(!local, &format!("{name} works only on your own machine: connect the account instead"));
    let scopes = env.text(&format!("{name}_SCOPES")).unwrap_or_else(|| spec.oauth.pasted_scopes.join(" "));
    let scopes = scopes.split_whitespace().map(str::to_owned).collect();
    Some(Access { token, scopes, address: None, account: None })
}
