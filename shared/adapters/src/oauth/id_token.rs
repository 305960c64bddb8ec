use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{Address, Provider, sha256_hex};
use engine::ports::Identity;
use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

/// How far the provider's clock may be from ours.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// What an id token has to hold. It came straight from the token endpoint, over TLS, so that its signature
/// proves nothing more (OpenID Connect Core, 3.1.3.7, number 6).
pub(super) struct Expected<'a> {
    pub provider: Provider,
    pub client_id: &'a str,
    pub auth_url: &'a str,
    pub nonce: &'a str,
    pub now: Timestamp,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: OneOrMany,
    azp: Option<String>,
    exp: i64,
    nonce: Option<String>,
    email: Option<String>,
    email_verified: Option<Value>,
    preferred_username: Option<String>,
    tid: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Expected<'_> {
    /// Whose token it is; else what is wrong with it.
    pub(super) fn identity(&self, token: &str) -> Result<Identity, &'static str> {
        let claims = read(token).ok_or("cannot be read")?;
        if !self.is_issuer(&claims) {
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
        // Whoever proved nothing of an address may have written any.
        let unproven = claims.email_verified.is_some_and(|proved| proved != true && proved != "true");
        let email = claims.email.filter(|_| !unproven);
        let address = match self.provider {
            Provider::Google => email,
            Provider::Microsoft => email.or(claims.preferred_username),
        };
        let address = address.and_then(|address| address.parse::<Address>().ok()).ok_or("names no address")?;
        Ok(Identity { account: sha256_hex(format!("{}\n{}", claims.iss, claims.sub).as_bytes()), address })
    }

    /// Google's issuer is the origin of its page, with or without the scheme; Microsoft's goes on with the tenant.
    fn is_issuer(&self, claims: &Claims) -> bool {
        let Ok(url) = self.auth_url.parse::<Url>() else { return false };
        let origin = url.origin().ascii_serialization();
        match self.provider {
            Provider::Google => claims.iss == origin || origin.strip_prefix("https://") == Some(&claims.iss),
            Provider::Microsoft => {
                claims.tid.as_ref().is_some_and(|tenant| claims.iss == format!("{origin}/{tenant}/v2.0"))
            }
        }
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
    use serde_json::json;

    use super::*;

    fn identity(provider: Provider, change: &Value) -> Result<Identity, &'static str> {
        let (issuer, auth_url) = match provider {
            Provider::Google => ("https://accounts.google.com", "https://accounts.google.com/o/oauth2/v2/auth"),
            Provider::Microsoft => {
                ("https://login.example.com/t1/v2.0", "https://login.example.com/common/oauth2/v2.0/authorize")
            }
        };
        let mut claims = json!({
            "iss": issuer, "sub": "17", "aud": "us", "exp": 1000, "nonce": "n", "tid": "t1", "email": "ana@example.com",
        });
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let now = Timestamp::from_second(1000).unwrap();
        Expected { provider, client_id: "us", auth_url, nonce: "n", now }.identity(&token)
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
        let expected = Expected { provider: Google, client_id: "us", auth_url: "x", nonce: "n", now };
        for garbage in ["", "a.b", "a.b.c.d", "e30.e30.e30", "é.é.é", "..", "e30.!!.e30"] {
            assert_eq!(expected.identity(garbage).unwrap_err(), "cannot be read", "{garbage}");
        }
    }
}
