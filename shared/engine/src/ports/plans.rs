//! Plans at rest.

use async_trait::async_trait;
use domain::{AuditEntry, PlanId, WorkspaceId};
use jiff::Timestamp;

use super::{LedgerError, Sealed};

/// Plans at rest.
#[async_trait]
pub trait Plans: Send + Sync {
    /// Stores plans under their ids, over what was there, and the audit entry with them: all or nothing.
    async fn put_plans(&self, plans: &[StoredPlan], audit: &AuditEntry) -> Result<(), LedgerError>;

    /// A plan of a workspace that has not expired at `now`.
    async fn plan(
        &self,
        workspace: &WorkspaceId,
        id: PlanId,
        now: Timestamp,
    ) -> Result<Option<StoredPlan>, LedgerError>;
}

/// A plan at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPlan {
    /// The plan's id.
    pub plan_id: PlanId,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// The plan, its actor, and the prompt and answer it was made from; sealed.
    pub sealed: Sealed,
    /// When it is to be erased.
    pub expires_at: Timestamp,
}
