//! Reads id tokens (OpenID Connect Core, section 2).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{Address, is_hidden, sha256_hex};
use engine::ports::{Exchange, IdClaims, Identity};
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::OAuthClient;
use crate::providers::spec;

/// The longest name of an account.
const LONGEST_NAME: usize = 254;
/// The most that the provider's clock may differ from ours.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// The head of a token (RFC 7515, section 4.1).
#[derive(Deserialize)]
pub(super) struct Header {
    /// How it is signed.
    #[serde(default)]
    pub alg: String,
    /// Names the key.
    pub kid: Option<String>,
    /// Extensions that have to be understood; none is.
    crit: Option<Value>,
}

impl Header {
    /// Whether there is a signature of a kind that can be checked by a public key.
    pub fn is_signed(&self, signature: &str) -> bool {
        !signature.is_empty() && self.crit.is_none() && ["RS256", "ES256"].contains(&self.alg.as_str())
    }
}

#[derive(Deserialize)]
struct Claims {
    #[serde(flatten)]
    of_provider: IdClaims,
    sub: String,
    aud: Value,
    azp: Option<String>,
    exp: i64,
    nbf: Option<i64>,
    nonce: Option<String>,
    email_verified: Option<Value>,
}

/// The account that a token names, and its issuer; else what is wrong with it, to follow "the id token". Whether the issuer
/// has signed it is [`super::signature`]'s to say.
pub(super) fn identity(
    token: &str,
    client: &OAuthClient,
    ask: &Exchange<'_>,
    now: Timestamp,
) -> Result<(Identity, String), &'static str> {
    let oauth = &spec(ask.provider).oauth;
    let (header, mut claims, signature) = read::<Claims>(token).ok_or("cannot be read")?;
    if !header.is_signed(signature) {
        return Err("is not signed");
    }
    let Ok(url) = client.auth_url.parse::<Url>() else { return Err("is of another issuer") };
    if !(oauth.is_issuer)(&claims.of_provider, &url.origin().ascii_serialization()) {
        return Err("is of another issuer");
    }
    let only_us = claims.aud == client.client_id || claims.aud == json!([client.client_id]);
    if !only_us || claims.azp.is_some_and(|azp| azp != client.client_id) {
        return Err("is for another client");
    }
    if Timestamp::from_second(claims.exp).is_ok_and(|end| end <= now - SKEW) {
        return Err("has expired");
    }
    if claims.nbf.is_some_and(|begin| Timestamp::from_second(begin).is_ok_and(|begin| begin > now + SKEW)) {
        return Err("is not valid yet");
    }
    if claims.nonce.as_deref() != Some(ask.nonce) {
        return Err("is not for this request");
    }
    if claims.sub.is_empty() {
        return Err("names nobody");
    }
    // An unverified address may be anybody's.
    if claims.email_verified.is_some_and(|verified| verified != true && verified != "true") {
        claims.of_provider.email = None;
    }
    let is_shown = |name: &&str| {
        !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(|c: char| c.is_control() || is_hidden(c))
    };
    let name = (oauth.name)(&claims.of_provider)
        .filter(is_shown)
        .map(|name| name.parse::<Address>().map_or_else(|_| name.to_owned(), |address| address.addr_spec()));
    let account = sha256_hex(format!("{}\n{}", claims.of_provider.iss, claims.sub).as_bytes());
    Ok((Identity { account, name: name.ok_or("has no name of the account")? }, claims.of_provider.iss))
}

/// The header, the claims and the signature.
pub(super) fn read<T: DeserializeOwned>(token: &str) -> Option<(Header, T, &str)> {
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { return None };
    Some((read_part(header)?, read_part(claims)?, signature))
}

pub(super) fn read_part<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use domain::Provider;

    fn identity_of(provider: Provider, auth_url: &str, token: &str) -> Result<Identity, &'static str> {
        let client = OAuthClient {
            client_id: "us".to_owned(),
            client_secret: Secret::Given("hush".into()),
            auth_url: auth_url.to_owned(),
            token_url: String::new(),
            revoke_url: None,
        };
        let ask = Exchange { provider, code: "", verifier: "", nonce: "n", redirect_uri: "" };
        super::identity(token, &client, &ask, Timestamp::from_second(1000).unwrap()).map(|(identity, _)| identity)
    }

    fn identity(provider: Provider, change: &Value) -> Result<Identity, &'static str> {
        signed_identity(provider, change, &json!({ "alg": "RS256" }), "c2ln")
    }

    fn signed_identity(
        provider: Provider,
        change: &Value,
        header: &Value,
        signature: &str,
    ) -> Result<Identity, &'static str> {
        let (issuer, auth_url) = if provider == Provider::Google {
            ("https://accounts.google.com", "https://accounts.google.com/o/oauth2/v2/auth")
        } else {
            ("https://login.example.com/t1/v2.0", "https://login.example.com/common/oauth2/v2.0/authorize")
        };
        let mut claims = json!({
            "iss": issuer, "sub": "17", "aud": "us", "exp": 1000, "nonce": "n", "tid": "t1", "email": "ana@example.com",
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let [header, claims] = [header, &claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
        let token = format!("{header}.{claims}.{signature}");
        identity_of(provider, auth_url, &token)
    }

    #[test]
    fn a_token_for_us_now_and_this_request_names_the_account() {
        for provider in [Provider::Google, Provider::Microsoft] {
            let ana = identity(provider, &json!({ "exp": 1001 })).unwrap();
            assert_eq!((ana.name.as_str(), ana.account.len()), ("ana@example.com", 64));
            let other = identity(provider, &json!({ "sub": "18" })).unwrap();
            assert_ne!(ana.account, other.account, "the address does not make the account");
        }
        assert!(identity(Provider::Google, &json!({ "iss": "accounts.google.com", "aud": ["us"] })).is_ok());
        for name in [
            "bo@contoso.com",
            "bo_contoso.com#EXT#@fabrikam.onmicrosoft.com",
            "live.com#bo@example.com",
            "+49 170 1234567",
            "bo.doe",
            "Zoë",
        ] {
            let named = identity(Provider::Microsoft, &json!({ "email": null, "preferred_username": name }));
            assert_eq!(named.unwrap().name, name, "it is shown as what it is");
        }
    }

    #[test]
    fn a_token_without_a_signature_that_can_be_checked_is_refused() {
        for (header, signature, why) in [
            (json!({ "alg": "none" }), "", "is not signed"),
            (json!({ "alg": "none" }), "c2ln", "is not signed"),
            (json!({ "alg": "None" }), "c2ln", "is not signed"),
            (json!({ "alg": "NONE", "typ": "JWT" }), "", "is not signed"),
            (json!({ "alg": "" }), "c2ln", "is not signed"),
            (json!({ "alg": "HS256" }), "c2ln", "is not signed"),
            (json!({ "alg": "PS512" }), "c2ln", "is not signed"),
            (json!({ "alg": "rs256" }), "c2ln", "is not signed"),
            (json!({ "alg": "RS256", "crit": ["b64"] }), "c2ln", "is not signed"),
            (json!({}), "c2ln", "is not signed"),
            (json!({ "typ": "JWT", "kid": "1" }), "c2ln", "is not signed"),
            (json!({ "alg": "RS256" }), "", "is not signed"),
            (json!({ "alg": null }), "c2ln", "cannot be read"),
            (json!({ "alg": ["none"] }), "c2ln", "cannot be read"),
            (json!("RS256"), "c2ln", "cannot be read"),
        ] {
            for provider in [Provider::Google, Provider::Microsoft] {
                assert_eq!(signed_identity(provider, &json!({}), &header, signature).unwrap_err(), why, "{header}");
            }
        }
        for alg in ["RS256", "ES256"] {
            assert!(signed_identity(Provider::Google, &json!({}), &json!({ "alg": alg }), "c2ln").is_ok(), "{alg}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        use Provider::{Google, Microsoft};
        for (provider, change, why) in [
            (Google, json!({ "iss": "https://accounts.example.com" }), "is of another issuer"),
            (Google, json!({ "iss": "http://accounts.google.com" }), "is of another issuer"),
            (Microsoft, json!({ "tid": "t2" }), "is of another issuer"),
            (Microsoft, json!({ "tid": null }), "is of another issuer"),
            (Google, json!({ "aud": "others" }), "is for another client"),
            (Google, json!({ "aud": ["us", "others"] }), "is for another client"),
            (Google, json!({ "azp": "others" }), "is for another client"),
            (Google, json!({ "exp": 940 }), "has expired"),
            (Google, json!({ "nonce": "m" }), "is not for this request"),
            (Google, json!({ "nonce": null }), "is not for this request"),
            (Google, json!({ "sub": "" }), "names nobody"),
            (Google, json!({ "email": null, "preferred_username": "ana@example.com" }), "has no name of the account"),
            (Google, json!({ "email_verified": false }), "has no name of the account"),
            (Microsoft, json!({ "email": null, "preferred_username": "" }), "has no name of the account"),
            (
                Microsoft,
                json!({ "email": null, "preferred_username": "bo\u{202e}@contoso.com" }),
                "has no name of the account",
            ),
            (Google, json!({ "email": "ana@example.com\r\nBcc: x@example.com" }), "has no name of the account"),
            (Google, json!({ "exp": "soon" }), "cannot be read"),
        ] {
            assert_eq!(identity(provider, &change).unwrap_err(), why, "{change}");
        }
        for garbage in ["", "a.b", "a.b.c.d", "e30.e30.e30", "é.é.é", "..", "e30.!!.e30"] {
            assert_eq!(identity_of(Google, "https://x", garbage).unwrap_err(), "cannot be read", "{garbage}");
        }
    }
}
