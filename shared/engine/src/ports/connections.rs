//! The accounts that workspaces have connected.

use async_trait::async_trait;
use domain::{Provider, WorkspaceId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{LedgerError, Save, Sealed};

/// The accounts that workspaces have connected.
#[async_trait]
pub trait Connections: Send + Sync {
    /// A workspace's connection with a provider.
    async fn connection(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
    ) -> Result<Option<StoredConnection>, LedgerError>;

    /// Whether a workspace, other than this one if it is given, has connected an account. It may be some moments
    /// behind.
    async fn is_connected(
        &self,
        provider: Provider,
        account: &str,
        elsewhere_than: Option<&WorkspaceId>,
    ) -> Result<bool, LedgerError>;

    /// Writes a connection over the version `over`, or where there is none if that is none; nothing when the
    /// ledger holds another one. Repeating a write whose answer was lost counts as done.
    async fn put_connection(&self, connection: &StoredConnection, over: Option<Uuid>) -> Result<Save, LedgerError>;

    /// Deletes this version of a connection, and nothing when the ledger holds another one. Deleting a connection
    /// that is gone already counts as done.
    async fn delete_connection(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
        version: Uuid,
    ) -> Result<Save, LedgerError>;
}

/// The account of a provider that a workspace has connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredConnection {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The provider.
    pub provider: Provider,
    /// Names the account, and tells nothing of it: a hash of the provider's own name for it.
    pub account: String,
    /// The tokens and the account's address; sealed for workspace, provider and account.
    pub sealed: Sealed,
    /// The scopes that the account's owner granted, as the provider names them.
    pub scopes: Vec<String>,
    /// The provider wants its owner's consent again.
    #[serde(default)]
    pub needs_reauth: bool,
    /// Since when; webhooks tell of the version that has it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_reauth_since: Option<Timestamp>,
    /// Why the provider refuses our client, as its code, where it did so last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup_problem: Option<String>,
    /// Names this version; each write has a fresh one, so that no two are ever taken for each other.
    pub version: Uuid,
    /// When its owner last consented.
    pub connected_at: Timestamp,
}

impl StoredConnection {
    /// The id for which its tokens are sealed: provider and account.
    pub fn sealed_for(&self) -> String {
        format!("{}/{}", self.provider, self.account)
    }
}
