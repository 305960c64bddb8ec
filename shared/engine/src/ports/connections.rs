use async_trait::async_trait;
use domain::{Address, Provider, WorkspaceId};

use super::{Access, LedgerError};

/// The accounts that workspaces have connected.
#[async_trait]
pub trait Connections: Send + Sync {
    /// A workspace's account with a provider, ready for use.
    async fn connection(&self, workspace: &WorkspaceId, provider: Provider) -> Result<Connection, LedgerError>;

    /// Gets a newer token after the provider refused this one. None when there is none to be had
    /// now, which does not end the connection.
    async fn refreshed(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
        refused: &Access,
    ) -> Result<Option<Access>, LedgerError>;
}

/// Where a workspace's mails of one provider go.
#[derive(Debug, Clone)]
pub enum Connection {
    /// Into the outbox, from this address.
    Sandbox(Address),
    /// To the provider.
    Live(Access),
    /// Nowhere: no account is connected.
    None,
}
