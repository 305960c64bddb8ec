//! The OAuth clients of the environment.

use domain::Provider;

use super::{Env, SecretConfig};

/// An OAuth client that the operator registered with a provider, and the provider's endpoints.
#[derive(Debug, Clone)]
pub struct OAuthConfig {
    /// `GOOGLE_CLIENT_ID`, `MICROSOFT_CLIENT_ID`.
    pub client_id: String,
    /// `GOOGLE_CLIENT_SECRET`, `MICROSOFT_CLIENT_SECRET`.
    pub client_secret: SecretConfig,
    /// `GOOGLE_AUTH_URL`, `MICROSOFT_AUTH_URL`.
    pub auth_url: String,
    /// `GOOGLE_TOKEN_URL`, `MICROSOFT_TOKEN_URL`.
    pub token_url: String,
    /// `GOOGLE_REVOKE_URL`; Microsoft has none.
    pub revoke_url: Option<String>,
}

impl OAuthConfig {
    /// The client of a provider, if the environment has one.
    pub(super) fn read(env: &mut Env<'_>, provider: Provider) -> Option<Self> {
        let prefix = provider.as_str().to_ascii_uppercase();
        let client_id = env.text(&format!("{prefix}_CLIENT_ID"));
        let client_secret = env.secret(&format!("{prefix}_CLIENT_SECRET"));
        let tenant = env.text("MICROSOFT_TENANT").unwrap_or_else(|| "common".to_owned());
        if !tenant.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.')) {
            env.errors.push("MICROSOFT_TENANT must be common, a tenant's id or one of its domains".to_owned());
        }
        let auth_url = env.url(&format!("{prefix}_AUTH_URL"));
        let token_url = env.url(&format!("{prefix}_TOKEN_URL"));
        let microsoft = |end: &str| format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/{end}");
        let (auth_url, token_url, revoke_url) = match provider {
            Provider::Google => (
                auth_url.unwrap_or_else(|| "https://accounts.google.com/o/oauth2/v2/auth".to_owned()),
                token_url.unwrap_or_else(|| "https://oauth2.googleapis.com/token".to_owned()),
                env.url("GOOGLE_REVOKE_URL").or_else(|| Some("https://oauth2.googleapis.com/revoke".to_owned())),
            ),
            Provider::Microsoft => (
                auth_url.unwrap_or_else(|| microsoft("authorize")),
                token_url.unwrap_or_else(|| microsoft("token")),
                None,
            ),
        };
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
