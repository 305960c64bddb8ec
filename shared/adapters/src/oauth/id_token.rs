//! Reads id tokens (OpenID Connect Core, section 2).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{Address, sha256_hex};
use engine::ports::{IdClaims, Identity, OAuthSpec};
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

/// The most that the provider's clock may differ from ours.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// What an id token must hold. It comes from the token endpoint over TLS, so its signature need not be checked
/// (OpenID Connect Core, 3.1.3.7, number 6).
pub(super) struct Expected<'a> {
    pub oauth: &'a OAuthSpec,
    pub client_id: &'a str,
    pub auth_url: &'a str,
    pub nonce: &'a str,
    pub now: Timestamp,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(flatten)]
    of_provider: IdClaims,
    sub: String,
    aud: OneOrMany,
    azp: Option<String>,
    exp: i64,
    nonce: Option<String>,
    email_verified: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Expected<'_> {
    /// The account that the token names; else what is wrong with it, to follow "the id token".
    pub(super) fn identity(&self, token: &str) -> Result<Identity, &'static str> {
        let mut claims = read(token).ok_or("cannot be read")?;
        let Ok(url) = self.auth_url.parse::<Url>() else { return Err("is of another issuer") };
        if !(self.oauth.is_issuer)(&claims.of_provider, &url.origin().ascii_serialization()) {
            return Err("is of another issuer");
        }
        let only_us = match &claims.aud {
            OneOrMany::One(audience) => audience == self.client_id,
            OneOrMany::Many(audience) => matches!(&audience[..], [only] if only == self.client_id),
        };
        if !only_us || claims.azp.as_deref().is_some_and(|azp| azp != self.client_id) {
            return Err("is for another client");
        }
        if Timestamp::from_second(claims.exp).is_ok_and(|end| end <= self.now - SKEW) {
            return Err("has expired");
        }
        if claims.nonce.as_deref() != Some(self.nonce) {
            return Err("is not for this request");
        }
        if claims.sub.is_empty() {
            return Err("names nobody");
        }
        // An unverified address may be anybody's.
        if claims.email_verified.is_some_and(|verified| verified != true && verified != "true") {
            claims.of_provider.email = None;
        }
        let address = (self.oauth.address)(&claims.of_provider);
        let address = address.and_then(|address| address.parse::<Address>().ok()).ok_or("names no address")?;
        let account = sha256_hex(format!("{}\n{}", claims.of_provider.iss, claims.sub).as_bytes());
        Ok(Identity { account, address })
    }
}

fn read(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use domain::Provider;
    use serde_json::json;

    use super::*;
    use crate::providers::spec;

    fn identity(provider: Provider, change: &Value) -> Result<Identity, &'static str> {
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
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let now = Timestamp::from_second(1000).unwrap();
        Expected { oauth: &spec(provider).oauth, client_id: "us", auth_url, nonce: "n", now }.identity(&token)
    }

    #[test]
    fn a_token_for_us_now_and_this_request_names_the_account() {
        for provider in [Provider::Google, Provider::Microsoft] {
            let ana = identity(provider, &json!({ "exp": 1001 })).unwrap();
            assert_eq!((ana.address.addr_spec().as_str(), ana.account.len()), ("ana@example.com", 64));
            let other = identity(provider, &json!({ "sub": "18" })).unwrap();
            assert_ne!(ana.account, other.account, "the address does not make the account");
        }
        assert!(identity(Provider::Google, &json!({ "iss": "accounts.google.com", "aud": ["us"] })).is_ok());
        let named = identity(Provider::Microsoft, &json!({ "email": null, "preferred_username": "bo@contoso.com" }));
        assert_eq!(named.unwrap().address.addr_spec(), "bo@contoso.com");
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
            (Google, json!({ "email": null, "preferred_username": "ana@example.com" }), "names no address"),
            (Google, json!({ "email_verified": false }), "names no address"),
            (Google, json!({ "email": "ana@example.com\r\nBcc: x@example.com" }), "names no address"),
            (Google, json!({ "exp": "soon" }), "cannot be read"),
        ] {
            assert_eq!(identity(provider, &change).unwrap_err(), why, "{change}");
        }
        let now = Timestamp::UNIX_EPOCH;
        let expected = Expected { oauth: &spec(Google).oauth, client_id: "us", auth_url: "https://x", nonce: "n", now };
        for garbage in ["", "a.b", "a.b.c.d", "e30.e30.e30", "é.é.é", "..", "e30.!!.e30"] {
            assert_eq!(expected.identity(garbage).unwrap_err(), "cannot be read", "{garbage}");
        }
    }
}
