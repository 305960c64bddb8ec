use async_trait::async_trait;
use domain::WorkspaceId;
use engine::ports::{Purpose, Sealed, Vault, VaultError};
use secrecy::ExposeSecret;
use tokio::sync::OnceCell;

use super::LocalVault;
use crate::secret::Secret;

/// A [`LocalVault`] whose key is kept elsewhere and read when something is first sealed or opened. It
/// keeps that key: another one would not open what the first has sealed.
pub struct StoredKeyVault {
    key: Secret,
    vault: OnceCell<LocalVault>,
}

impl StoredKeyVault {
    /// A vault with the key that this secret is.
    pub fn new(key: Secret) -> Self {
        Self { key, vault: OnceCell::new() }
    }

    async fn vault(&self) -> Result<&LocalVault, VaultError> {
        let vault = self.vault.get_or_try_init(|| async {
            let key = self.key.get().await.map_err(VaultError::unavailable)?;
            LocalVault::from_text(key.expose_secret()).map_err(VaultError::unavailable)
        });
        vault.await
    }
}

#[async_trait]
impl Vault for StoredKeyVault {
    async fn seal(
        &self,
        workspace: &WorkspaceId,
        purpose: Purpose,
        id: &str,
        plaintext: &[u8],
    ) -> Result<Sealed, VaultError> {
        self.vault().await?.seal(workspace, purpose, id, plaintext).await
    }

    async fn open(
        &self,
        workspace: &WorkspaceId,
        purpose: Purpose,
        id: &str,
        sealed: &Sealed,
    ) -> Result<Vec<u8>, VaultError> {
        self.vault().await?.open(workspace, purpose, id, sealed).await
    }
}
