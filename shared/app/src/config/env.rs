//! How one variable is read, whatever its meaning.

#[cfg(feature = "aws")]
use std::sync::Arc;
use std::{fmt, ops::RangeInclusive, str::FromStr};

#[cfg(feature = "aws")]
use adapters::aws::{Sdk, SecretsManager};
use adapters::{http::is_private, secret::Secret};

use super::ConfigErrors;

/// A variable's two words for a flag.
pub(super) const FLAG: [(&str, bool); 2] = [("true", true), ("false", false)];

/// Reads variables, and collects what is wrong with them.
pub(super) struct Env<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    pub errors: Vec<String>,
    pub allow_plaintext: bool,
    #[cfg(feature = "aws")]
    pub sdk: Arc<Sdk>,
    #[cfg(feature = "aws")]
    secrets: Arc<SecretsManager>,
}

impl<'a> Env<'a> {
    pub fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        #[cfg(feature = "aws")]
        let sdk = Sdk::new();
        let mut env = Self {
            lookup,
            errors: Vec::new(),
            allow_plaintext: false,
            #[cfg(feature = "aws")]
            secrets: Arc::new(SecretsManager::new(sdk.clone(), Arc::new(adapters::system::SystemClock))),
            #[cfg(feature = "aws")]
            sdk,
        };
        env.allow_plaintext = env.choice("ALLOW_PLAINTEXT", FLAG).unwrap_or(false);
        env
    }

    pub fn finish<T>(self, config: T) -> Result<T, ConfigErrors> {
        if self.errors.is_empty() { Ok(config) } else { Err(ConfigErrors(self.errors)) }
    }

    pub fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    pub fn refuse(&mut self, wrong: bool, says: &str) {
        if wrong {
            self.errors.push(says.to_owned());
        }
    }

    pub fn refuse_without_aws(&mut self, needs_aws: bool, name: &str) {
        let wrong = needs_aws && cfg!(not(feature = "aws"));
        self.refuse(wrong, &format!("{name} needs a build with AWS: cargo run --features aws"));
    }

    /// A secret, or the ARN of a secret in Secrets Manager.
    pub fn secret(&mut self, name: &str) -> Option<Secret> {
        let text = self.text(name)?;
        let Some((_, rest)) = text.strip_prefix("arn:").and_then(|rest| rest.split_once(':')) else {
            return Some(Secret::Given(text.into()));
        };
        let parts: Vec<&str> = text.split(':').collect();
        let is_secret = rest.starts_with("secretsmanager:") && matches!(parts.len(), 7 | 10) && parts[5] == "secret";
        self.refuse(!is_secret, &format!("{name} is an ARN, but not of a secret in Secrets Manager"));
        self.refuse_without_aws(true, name);
        #[cfg(feature = "aws")]
        let secret = Secret::Stored { manager: self.secrets.clone(), arn: text.into() };
        #[cfg(not(feature = "aws"))]
        let secret = Secret::Given(text.into());
        Some(secret)
    }

    /// One of these words.
    pub fn choice<T: Copy, const N: usize>(&mut self, name: &str, choices: [(&str, T); N]) -> Option<T> {
        let text = self.text(name)?;
        let chosen = choices.into_iter().find(|(word, _)| *word == text);
        self.refuse(chosen.is_none(), &format!("{name} must be {}", choices.map(|(word, _)| word).join(" or ")));
        chosen.map(|(_, value)| value)
    }

    pub fn number<T>(&mut self, name: &str, default: T, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + fmt::Display + Copy,
    {
        let Some(text) = self.text(name) else { return default };
        let value = text.parse().ok().filter(|value| range.contains(value));
        let says = format!("{name} must be a whole number from {} to {}", range.start(), range.end());
        self.refuse(value.is_none(), &says);
        value.unwrap_or(default)
    }

    /// A URL with http or https, without its trailing slash.
    pub fn url(&mut self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/') || rest.contains(char::is_whitespace)) {
            self.errors.push(format!("{name} must be a URL that begins with https:// or http://"));
            return None;
        }
        self.refuse_plaintext(name, &text);
        Some(text.trim_end_matches('/').to_owned())
    }

    /// Keys, tokens and mails go this way.
    pub fn refuse_plaintext(&mut self, name: &str, url: &str) {
        let is_plain = url.starts_with("http://") || url.starts_with("redis://");
        let says = format!("{name} leaves this network without TLS: use https or rediss, or set ALLOW_PLAINTEXT=true");
        self.refuse(is_plain && !self.allow_plaintext && !is_private(url), &says);
    }

    pub fn list(&self, name: &str) -> Option<Vec<String>> {
        let text = (self.lookup)(name)?;
        Some(text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
    }
}
