//! Google's and Microsoft's OAuth endpoints (RFC 6749, 7636, 7009), with a person who consents at once. Their id tokens
//! are signed, by a key that OpenID Connect Discovery leads to.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Query, State as Shared},
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    Provider,
    state::{State, Token},
};

/// The one client that is registered with both providers.
pub const CLIENT_ID: &str = "fakes-client";
/// Its secret.
pub const CLIENT_SECRET: &str = "fakes-client-secret";

const TENANT: &str = "tenant-1";
/// Signs id tokens, and nothing else anywhere.
const KEY: &[u8] = include_bytes!("id-token-key.der");
/// Its name in the header of a token.
pub const KEY_ID: &str = "fakes-1";

/// What the person at the provider's page does, and what the provider then gives.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Consents {
    /// Which account it is.
    pub address: String,
    /// The scope that they leave out.
    pub but: Option<String>,
    /// They refuse.
    pub refuses: bool,
    /// How many seconds the next access tokens live.
    pub expires_in_s: u64,
    /// What the next access tokens are called for Gmail and Graph, if not as what was asked for; none takes them.
    pub unknown_tokens: bool,
    /// The provider's id tokens have a signature of nobody's.
    pub forged: bool,
}

impl Default for Consents {
    fn default() -> Self {
        Self {
            address: "ana@example.com".to_owned(),
            but: None,
            refuses: false,
            expires_in_s: 3600,
            unknown_tokens: false,
            forged: false,
        }
    }
}

/// What the endpoints know.
#[derive(Debug, Default)]
pub(crate) struct OAuthState {
    pub(crate) consents: Consents,
    pub(crate) refreshes: usize,
    pub(crate) revoked: usize,
    codes: HashMap<String, Code>,
    refresh_tokens: HashMap<String, Grant>,
}

#[derive(Debug, Clone)]
struct Grant {
    provider: Provider,
    address: String,
    scope: String,
}

#[derive(Debug)]
struct Code {
    grant: Grant,
    redirect_uri: String,
    challenge: String,
    nonce: String,
}

impl OAuthState {
    pub(crate) fn end_refresh_tokens(&mut self) {
        self.refresh_tokens.clear();
    }
}

pub(crate) fn router() -> Router<Arc<State>> {
    let authorization = |provider| {
        get(async move |Shared(state): Shared<Arc<State>>, Query(query): Query<HashMap<String, String>>| {
            authorize(provider, &state, &query)
        })
    };
    let tokens =
        |provider| post(async move |Shared(state): Shared<Arc<State>>, body: String| token(provider, &state, &body));
    Router::new()
        .route("/oauth/google/auth", authorization(Provider::Google))
        .route("/oauth/microsoft/auth", authorization(Provider::Microsoft))
        .route("/oauth/google/token", tokens(Provider::Google))
        .route("/oauth/microsoft/token", tokens(Provider::Microsoft))
        .route("/oauth/google/revoke", post(revoke))
        .route("/.well-known/openid-configuration", get(configuration))
        .route(&format!("/{TENANT}/v2.0/.well-known/openid-configuration"), get(configuration))
        .route("/oauth/keys", get(keys))
}

/// Where the keys of the issuer in this path are.
async fn configuration(Shared(state): Shared<Arc<State>>, uri: Uri) -> Json<Value> {
    let base_url = state.base_url();
    let path = uri.path().trim_end_matches("/.well-known/openid-configuration");
    Json(json!({ "issuer": format!("{base_url}{path}"), "jwks_uri": format!("{base_url}/oauth/keys") }))
}

async fn keys() -> Json<Value> {
    let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(signing_key().public());
    let [n, e] = [n, e].map(|number| URL_SAFE_NO_PAD.encode(number));
    Json(json!({ "keys": [{ "kty": "RSA", "kid": KEY_ID, "use": "sig", "alg": "RS256", "n": n, "e": e }] }))
}

fn signing_key() -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(KEY).expect("the file is an RSA key")
}

fn authorize(provider: Provider, state: &State, query: &HashMap<String, String>) -> Response {
    let get = |name: &str| query.get(name).cloned().unwrap_or_default();
    let scope = get("scope");
    let has = |wanted: &str| scope.split(' ').any(|scope| scope == wanted);
    let offline = match provider {
        Provider::Google => get("access_type") == "offline" && get("prompt").contains("consent"),
        Provider::Microsoft => has("offline_access"),
    };
    let good = get("client_id") == CLIENT_ID
        && get("response_type") == "code"
        && get("code_challenge_method") == "S256"
        && get("code_challenge").len() == 43
        && get("state").len() >= 43
        && get("nonce").len() >= 22
        && has("openid")
        && has("email")
        && offline
        && get("redirect_uri").ends_with("/callback");
    if !good {
        return (StatusCode::BAD_REQUEST, "this is no way to ask").into_response();
    }
    let mut oauth = state.oauth();
    let Consents { address, but, refuses, .. } = oauth.consents.clone();
    let answer = if refuses {
        "error=access_denied&error_description=<script>alert(1)</script>".to_owned()
    } else {
        let granted: Vec<&str> = scope.split(' ').filter(|scope| Some(*scope) != but.as_deref()).collect();
        let code = format!("code-{}", state.number());
        let grant = Grant { provider, address, scope: granted.join(" ") };
        let made =
            Code { grant, redirect_uri: get("redirect_uri"), challenge: get("code_challenge"), nonce: get("nonce") };
        oauth.codes.insert(code.clone(), made);
        format!("code={code}&scope=whatever")
    };
    let location = format!("{}?{answer}&state={}", get("redirect_uri"), get("state"));
    let location = location.replace(['<', '>'], "%3C");
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

fn token(provider: Provider, state: &State, body: &str) -> Response {
    let form = form(body);
    let get = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if (get("client_id"), get("client_secret")) != (CLIENT_ID, CLIENT_SECRET) {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let mut oauth = state.oauth();
    let (grant, nonce) = match get("grant_type") {
        "authorization_code" => {
            // Gone at its first use, whatever comes of it.
            let Some(code) = oauth.codes.remove(get("code")) else {
                return refused(StatusCode::BAD_REQUEST, "invalid_grant");
            };
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(get("code_verifier").as_bytes()));
            let same = code.challenge == challenge && code.redirect_uri == get("redirect_uri");
            if !same || code.grant.provider != provider {
                return refused(StatusCode::BAD_REQUEST, "invalid_grant");
            }
            (code.grant, Some(code.nonce))
        }
        "refresh_token" => {
            oauth.refreshes += 1;
            let known = oauth.refresh_tokens.get(get("refresh_token")).cloned();
            let Some(grant) = known.filter(|grant| grant.provider == provider) else {
                return refused(StatusCode::BAD_REQUEST, "invalid_grant");
            };
            if provider == Provider::Microsoft {
                // Stricter than the real one, which lets the one before live on.
                oauth.refresh_tokens.remove(get("refresh_token"));
            }
            (grant, None)
        }
        _ => return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
    };
    let access = format!("fake-access-{}", state.number());
    let Consents { expires_in_s, unknown_tokens, forged, .. } = oauth.consents;
    let mut answer = json!({
        "access_token": access, "token_type": "Bearer", "expires_in": expires_in_s, "scope": grant.scope,
    });
    if nonce.is_some() || provider == Provider::Microsoft {
        let refresh = format!("fake-refresh-{}", state.number());
        oauth.refresh_tokens.insert(refresh.clone(), grant.clone());
        answer["refresh_token"] = json!(refresh);
    }
    drop(oauth);
    if let Some(nonce) = nonce {
        answer["id_token"] = json!(id_token(&state.base_url(), &grant, &nonce, forged));
    }
    if !unknown_tokens {
        state.add_token(Token {
            token: access,
            provider,
            scopes: grant.scope.split(' ').map(str::to_owned).collect(),
            address: Some(grant.address),
            expires_in_s: Some(expires_in_s),
        });
    }
    Json(answer).into_response()
}

/// Ends all that the account has granted to the client, as Google does, by a refresh token or an access token of it.
async fn revoke(Shared(state): Shared<Arc<State>>, body: String) -> Response {
    let mut oauth = state.oauth();
    let token = form(&body).remove("token").unwrap_or_default();
    let of_refresh_token = oauth.refresh_tokens.get(&token).map(|grant| grant.address.clone());
    let Some(address) = of_refresh_token.or_else(|| state.address_of(&token)) else {
        return refused(StatusCode::BAD_REQUEST, "invalid_token");
    };
    oauth.refresh_tokens.retain(|_, grant| grant.provider != Provider::Google || grant.address != address);
    oauth.revoked += 1;
    state.end_tokens_of(Provider::Google, &address);
    Json(json!({})).into_response()
}

fn id_token(base_url: &str, grant: &Grant, nonce: &str, forged: bool) -> String {
    let issuer = match grant.provider {
        Provider::Google => base_url.to_owned(),
        Provider::Microsoft => format!("{base_url}/{TENANT}/v2.0"),
    };
    let claims = json!({
        "iss": issuer, "sub": format!("sub of {}", grant.address), "aud": CLIENT_ID, "tid": TENANT, "nonce": nonce,
        "email": grant.address, "email_verified": true, "exp": 4_000_000_000_u64,
    });
    let token = signed(&json!({ "alg": "RS256", "kid": KEY_ID }), &claims);
    let (text, signature) = token.rsplit_once('.').expect("it has three parts");
    if forged { format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)) } else { token }
}

/// A JWT with this header and these claims, by the key that the issuer publishes under [`KEY_ID`].
pub fn signed(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(header), part(claims));
    let key = signing_key();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).expect("the key can sign");
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn form(body: &str) -> HashMap<String, String> {
    let uri = format!("/?{body}").parse::<Uri>().ok();
    uri.and_then(|uri| Query::try_from_uri(&uri).ok()).map(|Query(form)| form).unwrap_or_default()
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error, "error_description": "for a person" }))).into_response()
}
