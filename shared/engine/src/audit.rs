//! The audit: who asked for what, which rule decided, what came of it.
//!
//! What the ledger writes anyway carries its entry along: a version of a job ([`domain::Job::audit`]), a key, a plan, a
//! setting. Only a refusal has a write of its own.

use domain::{AuditBy, AuditEntry, AuditEvent, Rule, WorkspaceId};

use crate::{
    Caller, Engine, Problem,
    ports::{AuditFilter, AuditPosition, LedgerError},
};

/// A page of the audit.
#[derive(Debug, Clone)]
pub struct AuditPage {
    /// The entries, newest first.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins, if there is one.
    pub next: Option<AuditPosition>,
}

impl Engine {
    /// An entry of what a caller does now, to be filled in; then [`Engine::audit`] writes it, or the
    /// transaction that it tells of.
    pub fn audit_entry(&self, caller: &Caller, event: AuditEvent) -> AuditEntry {
        let by = if caller.key_id.is_some() { AuditBy::Key } else { AuditBy::Keyless };
        let workspace = Some(caller.workspace.clone());
        let mut entry = AuditEntry::new(self.ids.uuid(), workspace, event, by, self.clock.now());
        entry.key_id.clone_from(&caller.key_id);
        entry
    }

    /// Writes an entry by itself. For what no other write of the ledger carries.
    pub async fn audit(&self, entry: &AuditEntry) -> Result<(), LedgerError> {
        self.ledger.put_audit(entry).await
    }

    /// Writes down that a rule refused a request; other problems are not audited. The request is refused
    /// either way.
    pub(crate) async fn audit_refusal(&self, caller: &Caller, event: AuditEvent, problem: &Problem) {
        let Some(rule) = problem.rule else { return };
        let mut entry = self.audit_entry(caller, event);
        entry.code = Some(problem.code.as_str().to_owned());
        entry.rules = vec![rule];
        if let Err(error) = self.audit(&entry).await {
            tracing::error!(%error, problem.code = %problem.code, "a refusal is missing in the audit");
        }
    }

    /// The audit of the caller's workspace, newest first.
    pub async fn list_audit(
        &self,
        caller: &Caller,
        after: Option<AuditPosition>,
        limit: usize,
    ) -> Result<AuditPage, Problem> {
        Ok(self.audit_page(Some(caller.workspace.clone()), after, limit).await?)
    }

    /// The audit of a workspace, or of what is about the whole deployment.
    pub async fn audit_page(
        &self,
        workspace: Option<WorkspaceId>,
        after: Option<AuditPosition>,
        limit: usize,
    ) -> Result<AuditPage, LedgerError> {
        let mut entries = self.ledger.list_audit(&AuditFilter { workspace, after, limit: limit + 1 }).await?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let last = entries.last().map(|entry| AuditPosition { at: entry.at, entry_id: entry.entry_id });
        Ok(AuditPage { entries, next: last.filter(|_| more) })
    }
}

impl Problem {
    /// The same problem, said by this rule: it goes into the audit.
    #[must_use]
    pub(crate) fn by_rule(mut self, rule: Rule) -> Self {
        self.rule = Some(rule);
        self
    }
}
