//! Secrets of AWS Secrets Manager.

use std::{collections::HashMap, sync::Arc};

use aws_sdk_secretsmanager::Client;
use engine::{Recent, ports::Clock};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use tokio::sync::{Mutex, OnceCell};

use super::{Sdk, failure};
use crate::secret::SecretError;

/// How long a secret is cached: a rotation takes effect within it.
const GOOD_FOR: SignedDuration = SignedDuration::from_mins(5);

/// Secrets of AWS Secrets Manager. The first use of a secret costs one call, and further use one call every five
/// minutes, for all its fields together. If such a call fails, the cached value stays in use.
pub struct SecretsManager {
    sdk: Arc<Sdk>,
    clock: Arc<dyn Clock>,
    client: OnceCell<Client>,
    /// By ARN, stage and version, with the time since when it is good. Locked during a call, so that no secret is read twice at once.
    read: Mutex<HashMap<String, (Timestamp, SecretString)>>,
    /// The ARNs of secrets that have a value.
    filled: Recent<String, ()>,
}

impl SecretsManager {
    /// The account's secrets.
    pub fn new(sdk: Arc<Sdk>, clock: Arc<dyn Clock>) -> Self {
        Self { sdk, clock, client: OnceCell::new(), read: Mutex::default(), filled: Recent::good_for(GOOD_FOR) }
    }

    /// The secret with this ARN; with `:KEY:STAGE:VERSION` appended, as in ECS, one field of a secret that is a JSON
    /// object. Stage and version may be empty.
    pub async fn read(&self, name: &str) -> Result<SecretString, SecretError> {
        let (arn, [field, stage, version]) = parts(name);
        let key = format!("{arn}:{stage}:{version}");
        let mut read = self.read.lock().await;
        let now = self.clock.now();
        let known = read.get(&key);
        let whole = match known.filter(|(at, _)| now.duration_since(*at) < GOOD_FOR) {
            Some((_, secret)) => secret.clone(),
            None => match self.fetch(arn, stage, version).await {
                Ok(secret) => {
                    read.insert(key, (now, secret.clone()));
                    secret
                }
                // The next use tries again.
                Err(error) => known.map(|(_, secret)| secret.clone()).ok_or(error)?,
            },
        };
        if field.is_empty() { Ok(whole) } else { self::field(&whole, field) }
    }

    /// Asks for a secret again at its next use, since the cached value was refused. It stays in use if that fails.
    pub async fn doubt(&self, name: &str) {
        let (arn, [_, stage, version]) = parts(name);
        if let Some((at, _)) = self.read.lock().await.get_mut(&format!("{arn}:{stage}:{version}")) {
            *at = Timestamp::UNIX_EPOCH;
        }
    }

    /// What to say if this secret has no value; none if it has one. It reads the secret's description, since this process may
    /// have no right to the value. If the description cannot be read, it reads the value.
    pub async fn without_value(&self, name: &str) -> Option<String> {
        let (arn, _) = parts(name);
        let (known, now) = (arn.to_owned(), self.clock.now());
        if self.filled.recall(&known, now).is_some() {
            return None;
        }
        let is_filled = match self.client().await.describe_secret().secret_id(arn).send().await {
            Ok(secret) => secret.version_ids_to_stages.is_some_and(|versions| !versions.is_empty()),
            Err(error) => match error.as_service_error() {
                Some(said) if said.is_resource_not_found_exception() => false,
                _ => return self.read(name).await.err().map(|error| error.to_string()),
            },
        };
        if is_filled {
            self.filled.remember(known, (), now);
        }
        (!is_filled).then(|| format!("the secret {}", says_no_value(arn)))
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| async { Client::new(self.sdk.config().await) }).await
    }

    async fn fetch(&self, arn: &str, stage: &str, version: &str) -> Result<SecretString, SecretError> {
        let client = self.client().await;
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let call = client.get_secret_value().secret_id(arn);
        let call = call.set_version_stage(given(stage)).set_version_id(given(version));
        let answer = call.send().await.map_err(|error| match error.as_service_error() {
            Some(said) if said.is_resource_not_found_exception() => no_value(arn),
            _ => SecretError::new(failure("GetSecretValue", &error)),
        })?;
        let is_binary = answer.secret_binary.is_some();
        let no_text = || if is_binary { SecretError::new("it is binary, not text") } else { no_value(arn) };
        let text = answer.secret_string.ok_or_else(no_text)?;
        // A file's last line break is no part of a secret.
        let text = text.trim();
        if text.is_empty() { Err(no_value(arn)) } else { Ok(text.into()) }
    }
}

fn field(whole: &SecretString, field: &str) -> Result<SecretString, SecretError> {
    let fields = serde_json::from_str::<Map<String, Value>>(whole.expose_secret());
    match fields.map_err(|_| SecretError::new("it is not a JSON object"))?.remove(field) {
        Some(Value::String(text)) => Ok(text.trim().into()),
        _ => Err(SecretError::new(format!("it has no text in the field {field}"))),
    }
}

/// The template creates its secrets without a value.
fn no_value(arn: &str) -> SecretError {
    SecretError::new(says_no_value(arn))
}

fn says_no_value(arn: &str) -> String {
    let name = arn.rsplit(':').next().unwrap_or_default();
    format!("{name} has no value yet, or is gone: aws secretsmanager put-secret-value sets one")
}

/// A secret's ARN, which has seven parts, and what is appended to it: field, stage and version.
fn parts(name: &str) -> (&str, [&str; 3]) {
    let end = name.match_indices(':').nth(6).map_or(name.len(), |(at, _)| at);
    let (arn, rest) = name.split_at(end);
    let mut rest = rest.split(':').skip(1);
    (arn, [(); 3].map(|()| rest.next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_arn_with_or_without_a_field() {
        let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:openai-AbCdEf";
        assert_eq!(parts(arn), (arn, ["", "", ""]));
        assert_eq!(parts(&format!("{arn}:key::")), (arn, ["key", "", ""]));
        assert_eq!(parts(&format!("{arn}::AWSPREVIOUS:")), (arn, ["", "AWSPREVIOUS", ""]));
        assert_eq!(parts(&format!("{arn}:key:AWSPREVIOUS:v-1")), (arn, ["key", "AWSPREVIOUS", "v-1"]));
    }
}
