//! Encryption at rest.

use std::fmt::Display;

use async_trait::async_trait;
use domain::WorkspaceId;
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};
use strum::IntoStaticStr;

use super::Cause;

/// Encryption at rest, authenticated and bound to its place: what was sealed for one workspace,
/// purpose and id opens nowhere else.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Encrypts `plaintext` for its place.
    async fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<Sealed, VaultError>;

    /// Decrypts a text that was sealed for this very place. Fails on any other, and on a changed byte.
    async fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Vec<u8>, VaultError>;

    /// The same text, sealed with the key that seals now; none if that key sealed it already. A vault whose keys need no
    /// replacement has nothing to do.
    async fn reseal(&self, _place: &Place<'_>, _sealed: &Sealed) -> Result<Option<Sealed>, VaultError> {
        Ok(None)
    }
}

/// Where a sealed text belongs.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// Whose it is.
    pub workspace: &'a WorkspaceId,
    /// What it is for.
    pub purpose: Purpose,
    /// The id of what holds it.
    pub id: String,
}

impl<'a> Place<'a> {
    /// The place of what has this id.
    pub fn new(workspace: &'a WorkspaceId, purpose: Purpose, id: &(impl ToString + ?Sized)) -> Self {
        Self { workspace, purpose, id: id.to_string() }
    }
}

impl dyn Vault + '_ {
    /// Encrypts a value as JSON for its place.
    pub async fn seal_json(
        &self,
        workspace: &WorkspaceId,
        purpose: Purpose,
        id: impl Display,
        value: &(impl Serialize + ?Sized),
    ) -> Result<Sealed, VaultError> {
        let text = Zeroizing::new(serde_json::to_vec(value).expect("what is sealed is always JSON"));
        self.seal(&Place::new(workspace, purpose, &id), &text).await
    }

    /// Decrypts a value that was sealed as JSON for this very place.
    pub async fn open_json<T: DeserializeOwned>(
        &self,
        workspace: &WorkspaceId,
        purpose: Purpose,
        id: impl Display,
        sealed: &Sealed,
    ) -> Result<T, VaultError> {
        let text = Zeroizing::new(self.open(&Place::new(workspace, purpose, &id), sealed).await?);
        // The error's text may quote what was sealed.
        serde_json::from_slice(&text).map_err(|error| VaultError::Unreadable(error.line(), error.column()))
    }

    /// The same for a part of an answer: none, with a line in the log, if no try will ever open it. It must not hide the
    /// rest.
    pub async fn open_part<T: DeserializeOwned>(
        &self,
        workspace: &WorkspaceId,
        purpose: Purpose,
        id: impl Display,
        sealed: &Sealed,
    ) -> Result<Option<T>, VaultError> {
        match self.open_json(workspace, purpose, &id, sealed).await {
            Ok(value) => Ok(Some(value)),
            Err(error @ VaultError::Unavailable(_)) => Err(error),
            Err(error) => {
                tracing::error!(%error, sealed.purpose = purpose.as_str(), sealed.id = %id, "a sealed part is left out");
                Ok(None)
            }
        }
    }
}

/// What a sealed text is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Purpose {
    /// A job's params.
    JobParams,
    /// A plan with its prompt and answer.
    Plan,
    /// An entry of the outbox.
    Outbox,
    /// A connected account's tokens and address.
    Connection,
    /// A pending OAuth consent.
    Consent,
    /// What only the workspace may read of a job's result.
    JobResult,
    /// What a provider said of a job that it refused.
    ProviderSays,
    /// A webhook endpoint's URL and secrets.
    Webhook,
}

impl Purpose {
    /// The purpose's name, part of the associated data.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Ciphertext with what is needed to open it but the key: printable ASCII, safe in any store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(pub String);

/// A seal or its opening failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VaultError {
    /// Sealed for another place, with another key, or changed since. Every other try fails the same way.
    #[error("the sealed text does not open here")]
    DoesNotOpen,
    /// It opens, and is not what this program would have sealed; at which line and column.
    #[error("what was sealed cannot be read: line {0}, column {1}")]
    Unreadable(usize, usize),
    /// There is no key now; another try may succeed.
    #[error("the key cannot be had: {0}")]
    Unavailable(#[source] Cause),
}

impl VaultError {
    /// There is no key now, for this reason.
    pub fn unavailable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(cause.into().into())
    }
}

/// Writes a secret as text, to be sealed: `#[serde(serialize_with = "crate::ports::exposed")]`.
pub(crate) fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}
