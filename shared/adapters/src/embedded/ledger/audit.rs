//! The audit's table.

use domain::{AuditEntry, WorkspaceId};
use engine::ports::{AuditFilter, LedgerError};
use rusqlite::{Connection, params};

use super::{Failure, first, limit, micros, threads::Threads};

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
    let (workspace, limit) = (name(filter.workspace.as_ref()), limit(filter.limit));
    let (at, id) = filter.after.map_or((i64::MAX, String::new()), |last| (micros(last.at), last.entry_id.to_string()));
    let bodies = threads
        .read(move |connection| {
            let mut query = connection.prepare_cached(
                "SELECT body FROM audit WHERE workspace = ?1 AND (at, entry_id) < (?2, ?3) AND expires_at > ?4
                 ORDER BY at DESC, entry_id DESC LIMIT ?5",
            )?;
            let rows = query.query_map(params![workspace, at, id, now, limit], first)?;
            Ok(rows.collect::<Result<Vec<String>, _>>()?)
        })
        .await?;
    Ok(bodies.iter().map(|body| serde_json::from_str(body)).collect::<Result<_, _>>().map_err(Failure::from)?)
}

/// The column's value: a workspace's id, or empty for the whole deployment.
fn name(workspace: Option<&WorkspaceId>) -> String {
    workspace.map(WorkspaceId::to_string).unwrap_or_default()
}
