//! The audit.

use async_trait::async_trait;
use domain::{AuditEntry, WorkspaceId};
use jiff::Timestamp;
use uuid::Uuid;

use super::LedgerError;

/// The audit.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Adds an entry. An entry whose id is there already stays as it is.
    async fn put_audit(&self, entry: &AuditEntry) -> Result<(), LedgerError>;

    /// The audit, newest first. Entries end 400 days after the event.
    async fn list_audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, LedgerError>;
}

/// Which entries of the audit to list.
#[derive(Debug, Clone)]
pub struct AuditFilter {
    /// The workspace; none for entries about the whole deployment.
    pub workspace: Option<WorkspaceId>,
    /// Only those older than this one, the last of the page before.
    pub after: Option<AuditPosition>,
    /// At most this many.
    pub limit: usize,
}

/// An entry's place in the audit: by time, then id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditPosition {
    /// When it happened.
    pub at: Timestamp,
    /// Its id.
    pub entry_id: Uuid,
}
