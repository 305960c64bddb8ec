//! The audit: each request with its caller, the rule that decided, and its result.
//!
//! Most entries ride along with a write of the ledger: a version of a job ([`domain::Job::audit`]), a key, a plan, a
//! setting. Only a refusal has a write of its own.

use std::sync::Arc;

use domain::{AuditBy, AuditEntry, AuditEvent, KeyId, Rule, WorkspaceId};

use crate::{
    Caller, Problem,
    limits::RateLimiter,
    ports::{Audit, AuditFilter, AuditPosition, Clock, Ids, LedgerError},
};

/// A page of the audit.
#[derive(Debug, Clone)]
pub struct AuditPage {
    /// The entries, newest first.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins, if there is one.
    pub next: Option<AuditPosition>,
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
        self.entry_by(&caller.workspace, caller.key_id.clone(), event)
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

    /// The audit of a workspace, or of the whole deployment's events; newest first.
    pub async fn page(
        &self,
        workspace: Option<WorkspaceId>,
        after: Option<AuditPosition>,
        limit: usize,
    ) -> Result<AuditPage, LedgerError> {
        let mut entries = self.audit.list_audit(&AuditFilter { workspace, after, limit: limit + 1 }).await?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let last = entries.last().map(|entry| AuditPosition { at: entry.at, entry_id: entry.entry_id });
        Ok(AuditPage { entries, next: last.filter(|_| more) })
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

impl Problem {
    /// The same problem, decided by this rule: it goes into the audit.
    #[must_use]
    pub(crate) fn by_rule(mut self, rule: Rule) -> Self {
        self.rule = Some(rule);
        self
    }
}
