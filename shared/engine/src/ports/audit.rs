//! The audit.

use async_trait::async_trait;
use domain::{AuditEntry, AuditHead, AuditVerdict, WorkspaceId};
use jiff::Timestamp;

use super::{LedgerError, Position};

/// The audit. Each entry that is written gets its [`domain::AuditLink`].
#[async_trait]
pub trait Audit: Send + Sync {
    /// Adds an entry. An entry whose id is there already stays as it is.
    async fn put_audit(&self, entry: &AuditEntry) -> Result<(), LedgerError>;

    /// The audit, newest first. Entries end 400 days after the event.
    async fn list_audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, LedgerError>;

    /// The last entries of the chains of each workspace, and of the whole deployment's own; without those that have expired
    /// at `now`.
    async fn audit_heads(&self, now: Timestamp) -> Result<Vec<AuditHead>, LedgerError>;

    /// Walks through all entries of a workspace, or of none, and tells the first that does not fit. The entries of a head
    /// that was `logged` must still be there; others that have expired at `now` are not missed.
    async fn verify_audit(
        &self,
        workspace: Option<&WorkspaceId>,
        logged: Option<&AuditHead>,
        now: Timestamp,
    ) -> Result<AuditVerdict, LedgerError>;
}

/// Which entries of the audit to list.
#[derive(Debug, Clone)]
pub struct AuditFilter {
    /// The workspace; none for entries about the whole deployment.
    pub workspace: Option<WorkspaceId>,
    /// Only those older than this one, the last of the page before.
    pub after: Option<Position>,
    /// At most this many.
    pub limit: usize,
}

impl From<&AuditEntry> for Position {
    fn from(entry: &AuditEntry) -> Self {
        Self { at: entry.at, id: entry.entry_id }
    }
}
