//! Short-term API keys of Amazon Bedrock.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_sdk_dynamodb::config::{Credentials, ProvideCredentials};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use engine::ports::Clock;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use tokio::sync::Mutex;

use super::Sdk;
use crate::secret::SecretError;

/// The longest life that Bedrock grants a key.
const LIFE: Duration = Duration::from_hours(12);
/// A key is replaced this long before its end.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);
const HOST: &str = "bedrock.amazonaws.com";

/// Mints keys from AWS's credentials, without a call to AWS: a key is a presigned request. One serves until shortly before
/// it or its credentials end.
pub struct BedrockKeys {
    sdk: Arc<Sdk>,
    clock: Arc<dyn Clock>,
    region: String,
    /// The key in use, and until when. Locked while credentials are asked for, so that they are asked for once.
    minted: Mutex<Option<(Timestamp, SecretString)>>,
}

impl BedrockKeys {
    /// Keys for the models of this region.
    pub fn new(sdk: Arc<Sdk>, clock: Arc<dyn Clock>, region: String) -> Self {
        Self { sdk, clock, region, minted: Mutex::default() }
    }

    /// A key that is good now.
    pub async fn key(&self) -> Result<SecretString, SecretError> {
        let mut minted = self.minted.lock().await;
        let now = self.clock.now();
        if let Some((until, key)) = &*minted
            && now < *until
        {
            return Ok(key.clone());
        }
        let provider = self.sdk.config().await.credentials_provider();
        let provider = provider.ok_or_else(|| SecretError::new("there are no credentials of AWS"))?;
        // The provider's own message may name files and accounts.
        let credentials = provider.provide_credentials().await;
        let credentials = credentials.map_err(|_| SecretError::new("AWS gives no credentials"))?;
        let key = mint(&credentials, &self.region, now)?;
        let of_credentials = credentials.expiry().and_then(|end| Timestamp::try_from(end).ok());
        let end = now + SignedDuration::try_from(LIFE).unwrap_or_default();
        *minted = Some((of_credentials.map_or(end, |other| end.min(other)) - MARGIN, key.clone()));
        Ok(key)
    }

    /// Mints another key at the next use, since this one was refused.
    pub async fn doubt(&self) {
        *self.minted.lock().await = None;
    }
}

/// The same bytes as AWS's own generators make: `bedrock-api-key-`, and in base64 a presigned request with the version
/// behind it.
fn mint(credentials: &Credentials, region: &str, now: Timestamp) -> Result<SecretString, SecretError> {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(LIFE);
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("bedrock")
        .time(SystemTime::from(now))
        .settings(settings)
        .build()
        .map_err(SecretError::new)?
        .into();
    let uri = format!("https://{HOST}/?Action=CallWithBearerToken");
    let headers = [("host", HOST)].into_iter();
    let signed = SignableRequest::new("POST", &uri, headers, SignableBody::empty())
        .and_then(|request| sign(request, &params))
        .map_err(SecretError::new)?;
    let mut request = http::Request::new(());
    *request.uri_mut() = uri.parse().map_err(SecretError::new)?;
    signed.into_parts().0.apply_to_request_http1x(&mut request);
    // The generators have the signature last, the signer the session token.
    let query = request.uri().query().unwrap_or_default();
    let (signature, rest): (Vec<&str>, Vec<&str>) =
        query.split('&').partition(|part| part.starts_with("X-Amz-Signature="));
    let presigned = format!("{HOST}/?{}&{}&Version=1", rest.join("&"), signature.concat());
    Ok(format!("bedrock-api-key-{}", BASE64_STANDARD.encode(presigned)).into())
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::config::SharedCredentialsProvider;
    use contracts::ManualClock;
    use secrecy::ExposeSecret;
    use serde_json::Value;

    use super::*;

    /// Outputs of AWS's own generator: see the script beside them.
    const KNOWN: &str = include_str!("../../../../tests/fixtures/bedrock/keys.json");

    #[test]
    fn a_key_is_byte_for_byte_the_one_of_awss_own_generator() {
        let known: Vec<Value> = serde_json::from_str(KNOWN).unwrap();
        assert!(known.len() >= 12);
        for case in known {
            let text = |name: &str| case[name].as_str().map(str::to_owned);
            let [id, secret, region, time, key] =
                ["access_key_id", "secret_access_key", "region", "time", "key"].map(|name| text(name).unwrap());
            let credentials = Credentials::new(id, secret, text("session_token"), None, "a test");
            let minted = mint(&credentials, &region, time.parse().unwrap()).unwrap();
            assert_eq!(minted.expose_secret(), key, "{region} {time}");
        }
    }

    /// Keys by these credentials, which end after so many seconds.
    fn keys(clock: &Arc<ManualClock>, seconds: Option<u64>) -> BedrockKeys {
        let end = seconds.map(|seconds| SystemTime::from(clock.now()) + Duration::from_secs(seconds));
        let credentials = Credentials::new("id", "secret", None, end, "a test");
        let config = super::super::settings().credentials_provider(SharedCredentialsProvider::new(credentials));
        BedrockKeys::new(Sdk::with(config.build()), clock.clone(), "eu-central-1".to_owned())
    }

    /// Two that were minted in different seconds differ.
    #[tokio::test]
    async fn a_key_serves_until_five_minutes_before_it_or_its_credentials_end() {
        let hours = |hours: u64| hours * 3600;
        for (credentials, serves) in [
            (None, hours(12) - 300),
            (Some(hours(36)), hours(12) - 300),
            (Some(hours(12)), hours(12) - 300),
            (Some(hours(6)), hours(6) - 300),
            (Some(901), 601),
            (Some(301), 1),
            (Some(10), 1),
        ] {
            let clock = ManualClock::new();
            let keys = keys(&clock, credentials);
            let first = keys.key().await.unwrap();
            let is_first = async || keys.key().await.unwrap().expose_secret() == first.expose_secret();
            clock.advance(Duration::from_secs(serves - 1));
            assert!(is_first().await, "{credentials:?}");
            clock.advance(Duration::from_secs(1));
            assert!(!is_first().await, "{credentials:?}");
        }
    }

    #[tokio::test]
    async fn a_key_that_was_refused_is_minted_again_and_without_credentials_there_is_none() {
        let clock = ManualClock::new();
        let doubted = keys(&clock, None);
        let first = doubted.key().await.unwrap();
        clock.advance(Duration::from_secs(1));
        assert_eq!(doubted.key().await.unwrap().expose_secret(), first.expose_secret());
        doubted.doubt().await;
        assert_ne!(doubted.key().await.unwrap().expose_secret(), first.expose_secret());
        let none = BedrockKeys::new(Sdk::with(super::super::settings().build()), clock, "eu-central-1".to_owned());
        let error = none.key().await.unwrap_err().to_string();
        assert!(error.contains("no credentials"), "{error}");
    }
}
