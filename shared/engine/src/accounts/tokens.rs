//! The tokens of a connected account, and how they are sealed.

use domain::{Address, Provider, WorkspaceId};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Serialize};

use crate::ports::{Access, Place, Purpose, Sealed, StoredConnection, Vault, VaultError};

/// The tokens of a connected account.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The bearer token.
    pub access: SecretString,
    /// The refresh token.
    pub refresh: SecretString,
    /// When the bearer token ends.
    pub expires_at: Timestamp,
    /// The account's address.
    pub address: Address,
}

#[derive(Serialize)]
struct Written<'a> {
    access: &'a str,
    refresh: &'a str,
    expires_at: Timestamp,
    address: String,
}

#[derive(Deserialize)]
struct Read {
    access: SecretString,
    refresh: SecretString,
    expires_at: Timestamp,
    address: String,
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
        let written = Written {
            access: self.access.expose_secret(),
            refresh: self.refresh.expose_secret(),
            expires_at: self.expires_at,
            address: self.address.addr_spec(),
        };
        let text = Zeroizing::new(serde_json::to_vec(&written).expect("texts and a time are always JSON"));
        vault.seal(&Place::new(workspace, Purpose::Connection, &place(provider, account)), &text).await
    }

    /// Opens the tokens of a connection; tokens that were sealed for another one do not open.
    pub async fn open(vault: &dyn Vault, stored: &StoredConnection) -> Result<Self, VaultError> {
        let id = place(stored.provider, &stored.account);
        let text = vault.open(&Place::new(&stored.workspace, Purpose::Connection, &id), &stored.sealed).await?;
        let text = Zeroizing::new(text);
        let read: Read = serde_json::from_slice(&text).map_err(|_| VaultError::DoesNotOpen)?;
        let address = read.address.parse().map_err(|_| VaultError::DoesNotOpen)?;
        Ok(Self { access: read.access, refresh: read.refresh, expires_at: read.expires_at, address })
    }

    /// The access to the account.
    pub fn access(&self, stored: &StoredConnection) -> Access {
        Access {
            token: self.access.clone(),
            scopes: stored.scopes.clone(),
            address: Some(self.address.clone()),
            account: Some(stored.account.clone()),
        }
    }
}

fn place(provider: Provider, account: &str) -> String {
    format!("{provider}/{account}")
}
