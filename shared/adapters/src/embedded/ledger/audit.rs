//! The audit's table.

use domain::{AuditEntry, WorkspaceId};
use engine::ports::{AuditFilter, LedgerError};
use rusqlite::{Connection, params};

use super::{Failure, first, limit, micros, parsed, threads::Threads};

/// A row of the audit.
pub(super) struct AuditRow {
    workspace: String,
    at: i64,
    entry_id: String,
    expires_at: i64,
    body: String,
}

impl AuditRow {
    pub fn of(entry: &AuditEntry) -> Result<Self, Failure> {
        Ok(Self {
            workspace: name(entry.workspace_id.as_ref()),
            at: micros(entry.at),
            entry_id: entry.entry_id.to_string(),
            expires_at: micros(entry.expires_at()),
            body: serde_json::to_string(entry)?,
        })
    }

    /// Inserts the row, unless it exists.
    pub fn insert(&self, connection: &Connection) -> Result<(), Failure> {
        connection
            .prepare_cached(
                "INSERT INTO audit (workspace, at, entry_id, expires_at, body) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![self.workspace, self.at, self.entry_id, self.expires_at, self.body])?;
        Ok(())
    }
}

/// The audit, newest first, without expired entries.
pub(super) async fn list(threads: &Threads, filter: &AuditFilter, now: i64) -> Result<Vec<AuditEntry>, LedgerError> {
    let (at, id) = filter.after.map_or((i64::MAX, String::new()), |last| (micros(last.at), last.entry_id.to_string()));
    let query = "SELECT body FROM audit WHERE workspace = ?1 AND (at, entry_id) < (?2, ?3) AND expires_at > ?4
         ORDER BY at DESC, entry_id DESC LIMIT ?5";
    let page = (name(filter.workspace.as_ref()), at, id, now, limit(filter.limit));
    let bodies = threads.all(query, page, first).await?;
    Ok(bodies.iter().map(|body| parsed(body)).collect::<Result<_, _>>()?)
}

/// The column's value: a workspace's id, or empty for the whole deployment.
fn name(workspace: Option<&WorkspaceId>) -> String {
    workspace.map(WorkspaceId::to_string).unwrap_or_default()
}
