//! The signatures of id tokens and access tokens (RFC 7515), by the public keys that their issuers publish (RFC 7517).

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use engine::{
    Recent,
    ports::{Clock, OAuthError},
};
use jiff::{SignedDuration, Timestamp};
use reqwest::{StatusCode, Url, header::ACCEPT};
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::Mutex;

use super::id_token::{Header, read_part};
use crate::http::{self, LazyClient};

/// How long published keys count: a key that the provider has withdrawn counts no longer.
const GOOD_FOR: SignedDuration = SignedDuration::from_hours(1);
/// How soon an issuer is asked again for a key that it did not publish: whoever sends tokens cannot make us ask more often.
const ASKED_FOR: SignedDuration = SignedDuration::from_secs(30);
/// The most issuers whose keys are in memory. Each of Microsoft's tenants is one.
const MAX_ISSUERS: usize = 100;

/// Where an issuer says where its keys are (OpenID Connect Discovery, section 4).
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct KeySet {
    /// One by one, so that a key of an unknown kind hides no other.
    keys: Vec<Value>,
}

/// A public key (RFC 7518, section 6).
#[derive(Debug, Clone, Deserialize)]
struct Key {
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    #[serde(flatten)]
    kind: KeyKind,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "kty")]
enum KeyKind {
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
    #[serde(rename = "EC")]
    Curve { crv: String, x: String, y: String },
}

/// Checks signatures by the keys of their issuers, which are read when they are first needed.
pub(super) struct Signatures {
    http: LazyClient,
    clock: Arc<dyn Clock>,
    known: Recent<String, Arc<[Key]>>,
    /// The issuers that answered within [`ASKED_FOR`].
    asked: Recent<String, ()>,
    /// When issuers last failed to answer.
    failed: Recent<String, Timestamp>,
    /// One asks, and whoever comes meanwhile gets the same answer.
    asking: Mutex<()>,
}

impl Signatures {
    pub fn new(http: LazyClient, clock: Arc<dyn Clock>) -> Self {
        let known = Recent::with_capacity(GOOD_FOR, MAX_ISSUERS);
        let (asked, failed) =
            (Recent::with_capacity(ASKED_FOR, MAX_ISSUERS), Recent::with_capacity(ASKED_FOR, MAX_ISSUERS));
        Self { http, clock, known, asked, failed, asking: Mutex::default() }
    }

    /// Refuses a token that this issuer has not signed. The issuer's keys are read again if none fits the token.
    pub async fn check(&self, token: &str, issuer: &str) -> Result<(), OAuthError> {
        let refused = |why: &str| OAuthError::InvalidAnswer(format!("the token {why}"));
        let (signed, signature) = token.rsplit_once('.').unwrap_or_default();
        let header: Option<Header> = signed.split_once('.').and_then(|(header, _)| read_part(header));
        let (Some(header), Ok(signature)) = (header, URL_SAFE_NO_PAD.decode(signature)) else {
            return Err(refused("cannot be read"));
        };
        let keys = self.keys(issuer, &header).await?;
        let mut fitting = keys.iter().filter(|key| key.fits(&header)).peekable();
        if fitting.peek().is_none() {
            return Err(refused("is signed with a key that its issuer does not publish"));
        }
        if fitting.any(|key| key.verifies(signed.as_bytes(), &signature)) { Ok(()) } else { Err(refused("is forged")) }
    }

    /// An issuer's keys, read again if none of them fits.
    async fn keys(&self, issuer: &str, header: &Header) -> Result<Arc<[Key]>, OAuthError> {
        let (issuer, now) = (issuer.to_owned(), self.clock.now());
        let known = || self.known.recall(&issuer, now);
        let fitting = || known().filter(|keys| keys.iter().any(|key| key.fits(header)));
        if let Some(keys) = fitting() {
            return Ok(keys);
        }
        let _asking = self.asking.lock().await;
        if let Some(keys) = fitting() {
            return Ok(keys);
        }
        if let Some(keys) = known().filter(|_| self.asked.recall(&issuer, now).is_some()) {
            return Ok(keys);
        }
        // This caller waited while another attempt failed, so it gets that failure and makes no attempt of its own.
        if self.failed.recall(&issuer, now).is_some_and(|failed_at| failed_at > now) {
            return Err(OAuthError::unavailable("it has just not answered"));
        }
        let read = self.read(&issuer).await;
        if read.is_err() {
            self.failed.remember(issuer.clone(), self.clock.now(), now);
        }
        let keys: Arc<[Key]> = read?.into();
        self.asked.remember(issuer.clone(), (), now);
        self.known.remember(issuer.clone(), Arc::clone(&keys), now);
        Ok(keys)
    }

    async fn read(&self, issuer: &str) -> Result<Vec<Key>, OAuthError> {
        // Google's may lack the scheme.
        let issuer = if issuer.contains("://") { issuer.to_owned() } else { format!("https://{issuer}") };
        let Discovery { issuer: named, jwks_uri } =
            self.get(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))).await?;
        let origin = |url: &str| Url::parse(url).ok().map(|url| url.origin());
        if named != issuer || !(jwks_uri.starts_with("https://") || origin(&jwks_uri) == origin(&issuer)) {
            return Err(OAuthError::unavailable("its configuration is of another issuer"));
        }
        let KeySet { keys } = self.get(&jwks_uri).await?;
        Ok(keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, OAuthError> {
        let request = self.http.get().get(url).header(ACCEPT, "application/json");
        let answer = http::send(request, http::MAX_ANSWER).await.map_err(OAuthError::unavailable)?;
        let body = answer.body.ok().filter(|_| answer.status == StatusCode::OK);
        let read = body.and_then(|body| serde_json::from_slice(&body).ok());
        read.ok_or_else(|| OAuthError::unavailable("its public keys cannot be read"))
    }
}

impl Key {
    /// Whether the key may have signed a token with this header.
    fn fits(&self, header: &Header) -> bool {
        let alg = match &self.kind {
            KeyKind::Rsa { .. } => "RS256",
            KeyKind::Curve { crv, .. } if crv == "P-256" => "ES256",
            KeyKind::Curve { .. } => return false,
        };
        header.alg == alg
            && self.alg.as_deref().is_none_or(|own| own == alg)
            && self.usage.as_deref().is_none_or(|usage| usage == "sig")
            && header.kid.as_ref().is_none_or(|kid| self.kid.as_ref() == Some(kid))
    }

    fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        let number = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        match &self.kind {
            KeyKind::Rsa { n, e } => {
                let (n, e) = (number(n), number(e));
                // A leading zero is no part of a number.
                let significant = |bytes: &[u8]| bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
                let key = RsaPublicKeyComponents { n: &n[significant(&n)..], e: &e[significant(&e)..] };
                key.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature).is_ok()
            }
            KeyKind::Curve { x, y, .. } => {
                // An uncompressed point (SEC 1, section 2.3.3).
                let point = [&[4][..], &number(x), &number(y)].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        sync::Mutex,
    };

    use contracts::ManualClock;
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
    };
    use serde_json::json;

    use super::*;
    use crate::http::ClientOptions;

    /// An issuer on loopback.
    #[derive(Clone)]
    struct Issuer {
        url: String,
        keys: Arc<Mutex<Value>>,
        /// The paths that were asked for.
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl Issuer {
        fn start(keys: Value) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            let issuer = Self { url, keys: Arc::new(Mutex::new(keys)), asked: Arc::default() };
            let it = issuer.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    let mut reader = BufReader::new(stream.unwrap());
                    let (mut path, mut line) = (String::new(), String::new());
                    while reader.read_line(&mut line).unwrap() > 2 {
                        if path.is_empty() {
                            line.split(' ').nth(1).unwrap().clone_into(&mut path);
                        }
                        line.clear();
                    }
                    let body = match path.as_str() {
                        "/keys" => json!({ "keys": *it.keys.lock().unwrap() }),
                        _ => json!({ "issuer": it.url, "jwks_uri": format!("{}/keys", it.url) }),
                    };
                    it.asked.lock().unwrap().push(path);
                    let (body, kind) = (body.to_string(), "content-type: application/json\r\nconnection: close");
                    let head = format!("HTTP/1.1 200 OK\r\n{kind}\r\ncontent-length: {}\r\n\r\n", body.len());
                    reader.get_mut().write_all((head + &body).as_bytes()).unwrap();
                }
            });
            issuer
        }

        fn times(&self) -> usize {
            self.asked.lock().unwrap().iter().filter(|path| *path == "/keys").count()
        }
    }

    fn pair() -> EcdsaKeyPair {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap()
    }

    fn published(pair: &EcdsaKeyPair, kid: &str) -> Value {
        let point = pair.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|half| URL_SAFE_NO_PAD.encode(half));
        json!({ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256", "x": x, "y": y })
    }

    fn signed(pair: &EcdsaKeyPair, header: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(header), part(&json!({ "sub": "ana" })));
        let signature = pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn signatures(clock: Arc<ManualClock>) -> Signatures {
        Signatures::new(LazyClient::new(ClientOptions::PROVIDER), clock)
    }

    #[tokio::test]
    async fn only_what_the_issuer_has_signed_is_accepted() {
        let (ours, theirs) = (pair(), pair());
        let changed = |change: Value| {
            let mut key = published(&ours, "1");
            change.as_object().unwrap().iter().for_each(|(name, value)| key[name] = value.clone());
            key
        };
        let key = || published(&ours, "1");
        let header = json!({ "alg": "ES256", "kid": "1" });
        let unpublished = "does not publish";
        for (keys, header, signer, refusal) in [
            (json!([key()]), header.clone(), &ours, None),
            (json!([key()]), json!({ "alg": "ES256" }), &ours, None),
            (json!([published(&theirs, "1"), key()]), json!({ "alg": "ES256" }), &ours, None),
            (json!([published(&theirs, "1"), key()]), header.clone(), &ours, None),
            (json!([{ "kty": "oct", "k": "x" }, 7, null, key()]), header.clone(), &ours, None),
            (json!([changed(json!({ "alg": null, "use": null }))]), header.clone(), &ours, None),
            (json!([key()]), header.clone(), &theirs, Some("is forged")),
            (json!([changed(json!({ "x": "" }))]), header.clone(), &ours, Some("is forged")),
            (json!([changed(json!({ "y": "!" }))]), header.clone(), &ours, Some("is forged")),
            (json!([]), header.clone(), &ours, Some(unpublished)),
            (json!([key()]), json!({ "alg": "ES256", "kid": "2" }), &ours, Some(unpublished)),
            (json!([key()]), json!({ "alg": "RS256", "kid": "1" }), &ours, Some(unpublished)),
            (json!([key()]), json!({ "alg": "HS256", "kid": "1" }), &ours, Some(unpublished)),
            (json!([key()]), json!({ "alg": "none", "kid": "1" }), &ours, Some(unpublished)),
            (json!([changed(json!({ "use": "enc" }))]), header.clone(), &ours, Some(unpublished)),
            (json!([changed(json!({ "alg": "ES384" }))]), header.clone(), &ours, Some(unpublished)),
            (json!([changed(json!({ "crv": "P-384" }))]), header.clone(), &ours, Some(unpublished)),
            (json!([changed(json!({ "kid": null }))]), header.clone(), &ours, Some(unpublished)),
        ] {
            let issuer = Issuer::start(keys.clone());
            let checked = signatures(ManualClock::new()).check(&signed(signer, &header), &issuer.url).await;
            let said = checked.as_ref().err().map(ToString::to_string);
            let as_wanted = match (&said, refusal) {
                (None, None) => true,
                (Some(said), Some(refusal)) => said.contains(refusal),
                _ => false,
            };
            assert!(as_wanted, "{keys} {header}: {said:?} instead of {refusal:?}");
        }
        let issuer = Issuer::start(json!([key()]));
        let signatures = signatures(ManualClock::new());
        let good = signed(&ours, &header);
        let (text, signature) = good.rsplit_once('.').unwrap();
        let other = format!("{}.{}", text.replace('.', "A."), signature);
        for token in [&good[..good.len() - 4], &other, &format!("{good}AAAA"), &format!("{text}."), "", "a.b.c", text] {
            assert!(signatures.check(token, &issuer.url).await.is_err(), "{token}");
        }
        assert!(signatures.check(&good, &issuer.url).await.is_ok());
    }

    #[tokio::test]
    async fn keys_are_read_once_an_hour_and_once_for_a_key_that_is_not_known() {
        let (old, new, clock) = (pair(), pair(), ManualClock::new());
        let issuer = Issuer::start(json!([published(&old, "old")]));
        let signatures = signatures(clock.clone());
        let token = |pair, kid: &str| signed(pair, &json!({ "alg": "ES256", "kid": kid }));
        let check = async |token: String| signatures.check(&token, &issuer.url).await.is_ok();
        for _ in 0..5 {
            assert!(check(token(&old, "old")).await);
            assert!(!check(token(&new, "old")).await, "a bad signature is no reason to read them again");
        }
        assert_eq!(issuer.times(), 1);
        for times in [1, 2, 3] {
            for name in ["new", "newer", "new", "made up"] {
                assert!(!check(token(&new, name)).await);
            }
            assert_eq!(issuer.times(), times, "whoever sends tokens does not make us ask");
            assert!(check(token(&old, "old")).await, "and locks nobody out");
            clock.advance(std::time::Duration::from_secs(30));
        }
        *issuer.keys.lock().unwrap() = json!([published(&new, "new")]);
        assert!(check(token(&new, "new")).await, "the issuer has changed its key");
        assert!(!check(token(&old, "old")).await, "and withdrawn the other");
        let before = issuer.times();
        assert!(check(token(&new, "new")).await);
        assert_eq!(issuer.times(), before);
        clock.advance(std::time::Duration::from_hours(1));
        assert!(check(token(&new, "new")).await);
        assert_eq!(issuer.times(), before + 1);
    }

    #[tokio::test]
    async fn an_issuer_that_does_not_answer_or_names_another_lets_nobody_in() {
        let (ours, theirs) = (pair(), Issuer::start(json!([])));
        let issuer = Issuer::start(json!([published(&ours, "1")]));
        let token = signed(&ours, &json!({ "alg": "ES256", "kid": "1" }));
        let check = async |issuer: &str| signatures(ManualClock::new()).check(&token, issuer).await;
        assert!(check(&issuer.url).await.is_ok());
        for wrong in
            [format!("{}/", issuer.url), format!("{}/tenant", issuer.url), theirs.url.replace("127.0.0.1", "localhost")]
        {
            assert!(matches!(check(&wrong).await, Err(OAuthError::Unavailable(_))), "{wrong}");
        }
        assert!(matches!(check("http://127.0.0.1:9").await, Err(OAuthError::Unavailable(_))));
        assert!(matches!(check(&theirs.url).await, Err(OAuthError::InvalidAnswer(_))));
    }
}
