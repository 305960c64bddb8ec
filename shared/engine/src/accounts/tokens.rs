//! The tokens of a connected account, and how they are sealed.

use domain::{Provider, WorkspaceId};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::ports::{Access, Purpose, Sealed, StoredConnection, Vault, VaultError};

/// The tokens of a connected account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tokens {
    /// The bearer token.
    #[serde(serialize_with = "crate::ports::exposed")]
    pub access: SecretString,
    /// The refresh token.
    #[serde(serialize_with = "crate::ports::exposed")]
    pub refresh: SecretString,
    /// When the bearer token ends.
    pub expires_at: Timestamp,
    /// The account's address, or another name that it signs in with.
    #[serde(rename = "address")]
    pub name: String,
}

impl Tokens {
    /// Seals them for their place: workspace, provider and account.
    pub async fn seal(
        &self,
        vault: &dyn Vault,
        workspace: &WorkspaceId,
        provider: Provider,
        account: &str,
    ) -> Result<Sealed, VaultError> {
        vault.seal_json(workspace, Purpose::Connection, format!("{provider}/{account}"), self).await
    }

    /// Opens the tokens of a connection; tokens that were sealed for another one do not open.
    pub async fn open(vault: &dyn Vault, stored: &StoredConnection) -> Result<Self, VaultError> {
        vault.open_json(&stored.workspace, Purpose::Connection, stored.sealed_for(), &stored.sealed).await
    }

    /// The access to the account.
    pub fn access(&self, stored: &StoredConnection) -> Access {
        Access {
            token: self.access.clone(),
            scopes: stored.scopes.clone(),
            address: self.name.parse().ok(),
            name: Some(self.name.clone()),
            account: Some(stored.account.clone()),
        }
    }
}
