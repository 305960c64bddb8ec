//! Secrets: known from the start, or kept elsewhere and read at first need.

use std::{error::Error, fmt, sync::Arc};

use async_trait::async_trait;
use engine::ports::Cause;
use secrecy::SecretString;

/// Where secrets are kept. Each reading may cost a call, unless the store remembers.
#[async_trait]
pub trait SecretStore: Send + Sync {
    /// What the secret of this name is now.
    async fn read(&self, name: &str) -> Result<SecretString, SecretError>;
}

/// A secret cannot be read now; another try may succeed. Says why, and nothing of the secret.
#[derive(Debug, Clone, thiserror::Error)]
#[error("a secret cannot be read: {0}")]
pub struct SecretError(#[source] Cause);

impl SecretError {
    /// It cannot be read, for this reason.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into().into())
    }
}

/// A secret, to be asked for at each use, so that a new one is heard of.
#[derive(Clone)]
pub struct Secret(Kept);

#[derive(Clone)]
enum Kept {
    Here(SecretString),
    There { store: Arc<dyn SecretStore>, name: Arc<str> },
}

impl Secret {
    /// The secret that a store keeps under a name. Nothing is read before the first use.
    pub fn kept(store: Arc<dyn SecretStore>, name: &str) -> Self {
        Self(Kept::There { store, name: name.into() })
    }

    /// What it is now.
    pub async fn get(&self) -> Result<SecretString, SecretError> {
        match &self.0 {
            Kept::Here(secret) => Ok(secret.clone()),
            Kept::There { store, name } => store.read(name).await,
        }
    }
}

impl From<SecretString> for Secret {
    fn from(secret: SecretString) -> Self {
        Self(Kept::Here(secret))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
