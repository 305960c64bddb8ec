use async_trait::async_trait;
use domain::{Address, Provider, WorkspaceId};

use super::{Access, LedgerError};

/// The accounts that workspaces have connected.
#[async_trait]
pub trait Connections: Send + Sync {
    /// A workspace's account with a provider, ready for use: a token that is about to end is renewed first.
    async fn connection(&self, workspace: &WorkspaceId, provider: Provider) -> Result<Connection, ConnectionError>;

    /// The same as it is known, for showing and checking: the provider is not asked, and the token may have ended.
    async fn known(&self, workspace: &WorkspaceId, provider: Provider) -> Result<Connection, ConnectionError> {
        self.connection(workspace, provider).await
    }

    /// Gets a newer token of the same account after the provider refused this one. None when only its
    /// owner's consent helps.
    async fn refreshed(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
        refused: &Access,
    ) -> Result<Option<Access>, ConnectionError>;
}

/// Where a workspace's mails of one provider go.
#[derive(Debug, Clone)]
pub enum Connection {
    /// Into the outbox, from this address.
    Sandbox(Address),
    /// To the provider.
    Live(Access),
    /// Nowhere: the provider wants the consent of this account's owner again.
    NeedsReauth(Access),
    /// Nowhere: no account is connected.
    None,
}

/// Why nothing is known of a connection.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectionError {
    /// The ledger did not say.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// There is no token to be had now; worth another try later.
    #[error("the account's token cannot be renewed now: {0}")]
    Unavailable(String),
    /// What lies there was sealed for another place, or with another key, or changed.
    #[error("the connection's sealed text does not open")]
    DoesNotOpen,
}
