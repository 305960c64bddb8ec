use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use engine::ports::Clock;
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::{Mutex, OnceCell};

use super::{Sdk, failure};
use crate::secret::{SecretError, SecretStore};

/// A secret that was read is good for so long: a rotation is heard of within it.
const GOOD_FOR: SignedDuration = SignedDuration::from_mins(5);

/// Secrets of AWS Secrets Manager, named by their ARNs, with `:KEY:STAGE:VERSION` at the end where one
/// field of a JSON object is meant, as in ECS; stage and version may be empty.
///
/// A secret costs one call at its first use and one every five minutes of use, however many fields of
/// it are used. When that call fails, the secret stays what it was.
pub struct SecretsManager {
    sdk: Arc<Sdk>,
    clock: Arc<dyn Clock>,
    client: OnceCell<Client>,
    /// By ARN, stage and version. Locked during a call, so that nobody reads the same twice.
    read: Mutex<HashMap<String, (Timestamp, SecretString)>>,
}

impl SecretsManager {
    /// The account's secrets.
    pub fn new(sdk: Arc<Sdk>, clock: Arc<dyn Clock>) -> Self {
        Self { sdk, clock, client: OnceCell::new(), read: Mutex::default() }
    }

    async fn whole(&self, name: &Name<'_>) -> Result<SecretString, SecretError> {
        let key = format!("{}:{}:{}", name.arn, name.stage, name.version);
        let mut read = self.read.lock().await;
        let now = self.clock.now();
        let known = read.get(&key);
        if let Some((_, secret)) = known.filter(|(at, _)| now.duration_since(*at) < GOOD_FOR) {
            return Ok(secret.clone());
        }
        match self.fetch(name).await {
            Ok(secret) => {
                read.insert(key, (now, secret.clone()));
                Ok(secret)
            }
            // It is tried again at the next use.
            Err(error) => known.map(|(_, secret)| secret.clone()).ok_or(error),
        }
    }

    async fn fetch(&self, name: &Name<'_>) -> Result<SecretString, SecretError> {
        let client = self.client.get_or_init(|| async { Client::new(self.sdk.config().await) }).await;
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let call = client.get_secret_value().secret_id(name.arn);
        let call = call.set_version_stage(given(name.stage)).set_version_id(given(name.version));
        let answer = call.send().await.map_err(|error| SecretError::new(failure("GetSecretValue", &error)))?;
        let text = answer.secret_string.ok_or_else(|| SecretError::new("it is binary, and should be text"))?;
        Ok(text.into())
    }
}

#[async_trait]
impl SecretStore for SecretsManager {
    async fn read(&self, name: &str) -> Result<SecretString, SecretError> {
        let name = Name::of(name);
        let whole = self.whole(&name).await?;
        if name.field.is_empty() { Ok(whole) } else { field(&whole, name.field) }
    }
}

fn field(whole: &SecretString, field: &str) -> Result<SecretString, SecretError> {
    use secrecy::ExposeSecret;
    match serde_json::from_str(whole.expose_secret()) {
        Ok(Value::Object(mut fields)) => match fields.remove(field) {
            Some(Value::String(text)) => Ok(text.into()),
            _ => Err(SecretError::new(format!("it has no text under the key {field}"))),
        },
        _ => Err(SecretError::new("it is not a JSON object")),
    }
}

/// The parts of a secret's name.
struct Name<'a> {
    arn: &'a str,
    field: &'a str,
    stage: &'a str,
    version: &'a str,
}

impl<'a> Name<'a> {
    /// An ARN has seven parts; what follows is ours.
    fn of(text: &'a str) -> Self {
        let end = text.match_indices(':').nth(6).map_or(text.len(), |(at, _)| at);
        let (arn, rest) = text.split_at(end);
        let mut rest = rest.split(':').skip(1);
        let mut next = || rest.next().unwrap_or_default();
        Self { arn, field: next(), stage: next(), version: next() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_arn_with_or_without_a_field() {
        let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:openai-AbCdEf";
        let parts = |text: &str| {
            let name = Name::of(text);
            [name.arn, name.field, name.stage, name.version].map(str::to_owned)
        };
        assert_eq!(parts(arn), [arn, "", "", ""]);
        assert_eq!(parts(&format!("{arn}:key::")), [arn, "key", "", ""]);
        assert_eq!(parts(&format!("{arn}::AWSPREVIOUS:")), [arn, "", "AWSPREVIOUS", ""]);
        assert_eq!(parts(&format!("{arn}:key:AWSPREVIOUS:v-1")), [arn, "key", "AWSPREVIOUS", "v-1"]);
    }
}
