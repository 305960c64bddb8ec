//! The providers' OAuth endpoints (RFC 6749 with PKCE, RFC 7636; revocation, RFC 7009). What differs between providers is
//! in their [`engine::ports::OAuthSpec`].

mod access_token;
mod id_token;
mod signature;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{Provider, sha256};
use engine::ports::{Authorization, Clock, Exchange, Granted, Identity, OAuth, OAuthError};
use reqwest::{StatusCode, Url, header::ACCEPT};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

pub use self::access_token::{IssuedTokens, TrustedIssuer, WorkspaceOf};
use self::{id_token::identity, signature::Signatures};
use crate::{
    http::{self, LazyClient},
    providers::spec,
    secret::Secret,
};

/// The clients that the operator has registered with the providers.
pub struct OAuthClients {
    http: LazyClient,
    clock: Arc<dyn Clock>,
    clients: BTreeMap<Provider, OAuthClient>,
    signatures: Signatures,
}

/// A client that is registered with a provider, and where the provider is.
#[derive(Debug, Clone)]
pub struct OAuthClient {
    /// Its public name.
    pub client_id: String,
    /// What proves that it is the client.
    pub client_secret: Secret,
    /// Where people consent; the issuer of id tokens is of the same origin.
    pub auth_url: String,
    /// Where codes and refresh tokens are exchanged.
    pub token_url: String,
    /// Where tokens are revoked; none where the provider has no such place.
    pub revoke_url: Option<String>,
}

/// The errors that only the account's owner can mend: RFC 6749, section 5.2, and OpenID Connect Core, section 3.1.2.6, whose
/// codes Microsoft's token endpoint gives too.
const ENDED: &[&str] = &["invalid_grant", "interaction_required", "consent_required", "login_required"];
/// The errors that only the operator, or an organisation's administrator, can mend. The first two are of RFC 6749,
/// section 5.2.
const SETUP: &[&str] = &[
    "invalid_client",
    "unauthorized_client",
    "access_denied",
    "admin_policy_enforced",
    "deleted_client",
    "disabled_client",
    "org_internal",
];
/// The life of a token whose answer does not say it.
const USUAL_LIFE: f64 = 3600.0;

/// <https://www.rfc-editor.org/rfc/rfc6749#section-5.1>
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: SecretString,
    token_type: String,
    /// Seconds: some servers write them as a text.
    #[serde(default)]
    expires_in: Value,
    refresh_token: Option<SecretString>,
    scope: Option<String>,
    id_token: Option<SecretString>,
}

impl OAuthClients {
    /// These clients; `http` is for their providers.
    pub fn new(http: LazyClient, clock: Arc<dyn Clock>, clients: BTreeMap<Provider, OAuthClient>) -> Self {
        Self { signatures: Signatures::new(http.clone(), clock.clone()), http, clock, clients }
    }

    fn client(&self, provider: Provider) -> Result<&OAuthClient, OAuthError> {
        self.clients.get(&provider).ok_or_else(|| OAuthError::unavailable("no client is registered"))
    }

    /// What the token endpoint grants, and its id token.
    async fn tokens(
        &self,
        client: &OAuthClient,
        grant: &[(&str, &str)],
    ) -> Result<(Granted, Option<SecretString>), OAuthError> {
        let secret = client.client_secret.get().await.map_err(OAuthError::unavailable)?;
        let own = [("client_id", client.client_id.as_str()), ("client_secret", secret.expose_secret())];
        let posted = self.post(&client.token_url, &[grant, &own].concat()).await;
        if matches!(posted, Err(OAuthError::Setup(_))) {
            client.client_secret.doubt().await;
        }
        let body = posted?;
        let answer: TokenAnswer =
            serde_json::from_slice(&body).map_err(|_| OAuthError::unavailable("its answer has no token"))?;
        if !answer.token_type.eq_ignore_ascii_case("bearer") {
            return Err(OAuthError::InvalidAnswer("the token is not a bearer token".to_owned()));
        }
        let life = answer.expires_in.as_f64().or_else(|| answer.expires_in.as_str()?.parse().ok());
        let life = life.unwrap_or(USUAL_LIFE).clamp(0.0, 365.0 * 24.0 * 3600.0);
        let granted = Granted {
            access_token: answer.access_token,
            expires_in: Duration::from_secs_f64(life),
            refresh_token: answer.refresh_token,
            scopes: answer.scope.map(|scope| scope.split_whitespace().map(str::to_owned).collect()),
        };
        Ok((granted, answer.id_token))
    }

    /// Posts a form and gives the body of a 200.
    async fn post(&self, url: &str, form: &[(&str, &str)]) -> Result<Vec<u8>, OAuthError> {
        let request = self.http.get().post(url).header(ACCEPT, "application/json").form(form);
        let answer = http::send(request, http::MAX_ANSWER).await.map_err(OAuthError::unavailable)?;
        if answer.status == StatusCode::OK {
            return Ok(answer.body.unwrap_or_default());
        }
        // RFC 6749, section 5.2.
        let code = answer.json()["error"].as_str().filter(|code| http::is_code(code)).map(str::to_owned);
        match &code {
            // Never from a server that is failing.
            Some(code) if answer.status.is_client_error() && ENDED.contains(&code.as_str()) => {
                Err(OAuthError::InvalidGrant)
            }
            Some(code) if answer.status.is_client_error() && SETUP.contains(&code.as_str()) => {
                Err(OAuthError::Setup(code.clone()))
            }
            _ => Err(OAuthError::Refused { status: answer.status.as_u16(), code }),
        }
    }
}

#[async_trait]
impl OAuth for OAuthClients {
    fn has_client(&self, provider: Provider) -> bool {
        self.clients.contains_key(&provider)
    }

    fn authorization_url(&self, ask: &Authorization<'_>) -> Option<String> {
        let client = self.clients.get(&ask.provider)?;
        let mut url: Url = client.auth_url.parse().ok()?;
        let challenge = URL_SAFE_NO_PAD.encode(sha256(ask.verifier.as_bytes()));
        url.query_pairs_mut()
            .append_pair("client_id", &client.client_id)
            .append_pair("redirect_uri", ask.redirect_uri)
            .append_pair("response_type", "code")
            .append_pair("scope", &ask.scopes.join(" "))
            .append_pair("state", ask.state)
            .append_pair("nonce", ask.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .extend_pairs(spec(ask.provider).oauth.parameters);
        Some(url.into())
    }

    async fn exchange(&self, ask: &Exchange<'_>) -> Result<(Granted, Identity), OAuthError> {
        let client = self.client(ask.provider)?;
        let grant = [
            ("grant_type", "authorization_code"),
            ("code", ask.code),
            ("redirect_uri", ask.redirect_uri),
            ("code_verifier", ask.verifier),
        ];
        let (granted, token) = self.tokens(client, &grant).await?;
        let token = token.ok_or_else(|| OAuthError::InvalidAnswer("no id token".to_owned()))?;
        let token = token.expose_secret();
        let (identity, issuer) = identity(token, client, ask, self.clock.now())
            .map_err(|why| OAuthError::InvalidAnswer(format!("the id token {why}")))?;
        self.signatures.check(token, &issuer).await?;
        Ok((granted, identity))
    }

    async fn refresh(&self, provider: Provider, refresh_token: &SecretString) -> Result<Granted, OAuthError> {
        let grant = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose_secret())];
        Ok(self.tokens(self.client(provider)?, &grant).await?.0)
    }

    async fn revoke(&self, provider: Provider, refresh_token: &SecretString) -> Result<bool, OAuthError> {
        let client = self.client(provider)?;
        let Some(url) = &client.revoke_url else { return Ok(false) };
        match self.post(url, &[("token", refresh_token.expose_secret())]).await {
            Ok(_) => Ok(true),
            // Google's answer for a token that has ended already.
            Err(OAuthError::Refused { status: 400, code: Some(code) }) if code == "invalid_token" => Ok(true),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::ManualClock;

    use super::*;
    use crate::http::ClientOptions;

    #[test]
    fn the_way_to_the_provider_has_the_challenge_and_not_the_verifier() {
        let client = OAuthClient {
            client_id: "id".to_owned(),
            client_secret: Secret::Given("hush".into()),
            auth_url: "https://accounts.example.com/auth?hd=example.com".to_owned(),
            token_url: "https://accounts.example.com/token".to_owned(),
            revoke_url: None,
        };
        let clients = OAuthClients::new(
            LazyClient::new(ClientOptions::PROVIDER),
            ManualClock::new(),
            [(Provider::Google, client)].into(),
        );
        let ask = Authorization {
            provider: Provider::Google,
            scopes: &["openid".to_owned(), "https://example.com/a b".to_owned()],
            state: "the-state",
            nonce: "the-nonce",
            // The example of RFC 7636, appendix B.
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
            redirect_uri: "http://127.0.0.1:8787/oauth/google/callback",
        };
        let url = clients.authorization_url(&ask).unwrap();
        for part in [
            "https://accounts.example.com/auth?hd=example.com&client_id=id&",
            "code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256",
            "redirect_uri=http%3A%2F%2F127.0.0.1%3A8787%2Foauth%2Fgoogle%2Fcallback&response_type=code",
            "state=the-state&nonce=the-nonce",
            "access_type=offline",
        ] {
            assert!(url.contains(part), "{part} is missing in {url}");
        }
        assert!(!url.contains(ask.verifier) && !url.contains("hush"));
        assert_eq!(clients.authorization_url(&Authorization { provider: Provider::Microsoft, ..ask }), None);
    }
}
