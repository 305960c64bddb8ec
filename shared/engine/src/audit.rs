//! The audit: each request with its caller, the rule that decided, and its result.
//!
//! Most entries ride along with a write of the ledger: a version of a job ([`domain::Job::audit`]), a key, a plan, a
//! setting. Only a refusal has a write of its own.

use std::sync::Arc;

use domain::{AuditBy, AuditEntry, AuditEvent, AuditHead, AuditVerdict, KeyId, WorkspaceId};
use jiff::SignedDuration;

use crate::{
    Caller, Problem,
    limits::RateLimiter,
    paging::Paging,
    ports::{Audit, AuditFilter, Clock, Ids, LedgerError, Position},
};

/// How long an index of the ledger may be behind: what does not fit is looked at again after this.
const INDEX_PAUSE: std::time::Duration = std::time::Duration::from_secs(2);
/// The last hour of an entry's life, in which it may be gone already.
const EXPIRING: SignedDuration = SignedDuration::from_hours(1);

/// A page of the audit.
#[derive(Debug, Clone)]
pub struct AuditPage {
    /// The entries, newest first.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins, if there is one.
    pub next: Option<Position>,
}

/// Reads and writes the audit.
pub struct Auditor {
    pub(crate) audit: Arc<dyn Audit>,
    pub(crate) limiter: Arc<RateLimiter>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
}

impl Auditor {
    /// An entry of an event now, to be filled in; then [`Auditor::write`] writes it, or the transaction that it
    /// belongs to.
    pub fn entry(&self, workspace: Option<WorkspaceId>, event: AuditEvent, by: AuditBy) -> AuditEntry {
        AuditEntry::new(self.ids.uuid(), workspace, event, by, self.clock.now())
    }

    /// The same for an event that a caller causes.
    pub fn entry_of(&self, caller: &Caller, event: AuditEvent) -> AuditEntry {
        let by_actor = Some(caller.default_actor.clone());
        AuditEntry { by_actor, ..self.entry_by(&caller.workspace, caller.key_id.clone(), event) }
    }

    /// The same for an event that a caller with this key caused; none without keys.
    pub(crate) fn entry_by(&self, workspace: &WorkspaceId, key_id: Option<KeyId>, event: AuditEvent) -> AuditEntry {
        let by = if key_id.is_some() { AuditBy::Key } else { AuditBy::Keyless };
        AuditEntry { key_id, ..self.entry(Some(workspace.clone()), event, by) }
    }

    /// Writes an entry by itself; for events that no other write of the ledger carries.
    pub async fn write(&self, entry: &AuditEntry) -> Result<(), LedgerError> {
        self.audit.put_audit(entry).await
    }

    /// The entries of a workspace's audit, or of the whole deployment's events, that a caller may see; all of them
    /// without a caller. Newest first.
    pub async fn page(
        &self,
        workspace: Option<WorkspaceId>,
        caller: Option<&Caller>,
        after: Option<Position>,
        limit: usize,
    ) -> Result<AuditPage, LedgerError> {
        let mut paging = Paging::new(after, limit);
        while let Some((after, limit)) = paging.next() {
            let entries = self.audit.list_audit(&AuditFilter { workspace: workspace.clone(), after, limit }).await?;
            paging.take(entries, |entry| caller.is_none_or(|caller| caller.may_see(entry)));
        }
        let (entries, next) = paging.finish();
        Ok(AuditPage { entries, next })
    }

    /// The last entries that are kept of the chains of each workspace, and of the whole deployment's own.
    pub async fn heads(&self) -> Result<Vec<AuditHead>, LedgerError> {
        self.audit.audit_heads(self.clock.now() + EXPIRING).await
    }

    /// Whether the audit of a workspace, or of none, is as it was written; see [`Audit::verify_audit`].
    pub async fn verify(
        &self,
        workspace: Option<&WorkspaceId>,
        logged: Option<&AuditHead>,
    ) -> Result<AuditVerdict, LedgerError> {
        let verify = || self.audit.verify_audit(workspace, logged, self.clock.now() + EXPIRING);
        let verdict = verify().await?;
        if verdict.tampering.is_none() {
            return Ok(verdict);
        }
        self.clock.sleep(INDEX_PAUSE).await;
        verify().await
    }

    /// Records that a rule refused a request; other problems are not audited. The request is counted first, so that
    /// refused requests cannot fill the audit. It is refused either way.
    pub(crate) async fn audited<T>(
        &self,
        caller: &Caller,
        event: AuditEvent,
        asked: Result<T, Problem>,
    ) -> Result<T, Problem> {
        let Err(problem) = &asked else { return asked };
        self.limiter.charge(&caller.ticket).await?;
        if let Some(rule) = problem.rule {
            let code = Some(problem.code.as_str().to_owned());
            let entry = AuditEntry { code, rules: vec![rule], ..self.entry_of(caller, event) };
            if let Err(error) = self.write(&entry).await {
                tracing::error!(%error, problem.code = %problem.code, "a refusal is missing in the audit");
            }
        }
        asked
    }
}
