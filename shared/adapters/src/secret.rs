//! Secrets: given by the environment, or of AWS: stored in Secrets Manager, or minted for Bedrock.

#[cfg(feature = "aws")]
use std::sync::Arc;
use std::{error::Error, fmt};

use async_trait::async_trait;
use engine::ports::{Cause, StoredSecrets};
use futures_util::future::join_all;
use secrecy::SecretString;

#[cfg(feature = "aws")]
use crate::aws::{BedrockKeys, SecretsManager};

/// A secret cannot be read now. The reason contains nothing of it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("a secret cannot be read: {0}")]
pub struct SecretError(#[source] Cause);

impl SecretError {
    /// It cannot be read, for this reason.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into().into())
    }
}

/// A secret. Ask for it at each use, so that a rotation takes effect.
#[derive(Clone)]
pub enum Secret {
    /// The secret itself.
    Given(SecretString),
    /// A secret in Secrets Manager. Nothing is read before the first use.
    #[cfg(feature = "aws")]
    Stored {
        /// The account's secrets.
        manager: Arc<SecretsManager>,
        /// The secret's ARN, as [`SecretsManager::read`] takes it.
        arn: Arc<str>,
    },
    /// A short-term key of Amazon Bedrock.
    #[cfg(feature = "aws")]
    Minted(Arc<BedrockKeys>),
}

impl Secret {
    /// The secret's current value.
    #[cfg_attr(not(feature = "aws"), expect(clippy::unused_async, reason = "a stored secret is awaited"))]
    pub async fn get(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::Given(secret) => Ok(secret.clone()),
            #[cfg(feature = "aws")]
            Self::Stored { manager, arn } => manager.read(arn).await,
            #[cfg(feature = "aws")]
            Self::Minted(keys) => keys.key().await,
        }
    }

    /// Reads or mints a secret again at its next use, since its value was refused or cannot be used.
    #[cfg_attr(not(feature = "aws"), expect(clippy::unused_async, reason = "a stored secret is awaited"))]
    pub async fn doubt(&self) {
        match self {
            Self::Given(_) => {}
            #[cfg(feature = "aws")]
            Self::Stored { manager, arn } => manager.doubt(arn).await,
            #[cfg(feature = "aws")]
            Self::Minted(keys) => keys.doubt().await,
        }
    }
}

/// Secrets that may be stored.
pub struct Secrets(pub Vec<Secret>);

#[async_trait]
impl StoredSecrets for Secrets {
    async fn without_value(&self) -> Vec<String> {
        let looks = self.0.iter().map(|secret| async move {
            match secret {
                Secret::Given(_) => None,
                #[cfg(feature = "aws")]
                Secret::Stored { manager, arn } => manager.without_value(arn).await,
                #[cfg(feature = "aws")]
                Secret::Minted(_) => None,
            }
        });
        join_all(looks).await.into_iter().flatten().collect()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
