//! The sandbox's outbox.

use async_trait::async_trait;
use domain::{JobId, WorkspaceId};
use jiff::Timestamp;

use super::{LedgerError, Position, Sealed};

/// The sandbox's outbox: what its jobs would have sent.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// Adds an entry; once per job, however often it is repeated.
    async fn put_outbox(&self, entry: &OutboxEntry) -> Result<(), LedgerError>;

    /// A workspace's entries, newest first, at most `limit`; only those older than `after`.
    async fn outbox(
        &self,
        workspace: &WorkspaceId,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<OutboxEntry>, LedgerError>;
}

/// What a job would have sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// The job that wrote it.
    pub job_id: JobId,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// When it was written.
    pub written_at: Timestamp,
    /// What would have been sent; sealed.
    pub sealed: Sealed,
    /// When it is to be erased.
    pub expires_at: Timestamp,
}

impl From<&OutboxEntry> for Position {
    fn from(entry: &OutboxEntry) -> Self {
        Self { at: entry.written_at, id: entry.job_id.0 }
    }
}
