//! The connected accounts' table.

use domain::{Provider, WorkspaceId};
use engine::ports::{LedgerError, Save, StoredConnection};
use rusqlite::{Connection, OptionalExtension, params};
use uuid::Uuid;

use super::{Failure, Threads, first, parsed};

pub(super) async fn find(
    threads: &Threads,
    workspace: &WorkspaceId,
    provider: Provider,
) -> Result<Option<StoredConnection>, LedgerError> {
    let query = "SELECT body FROM connections WHERE workspace = ?1 AND provider = ?2";
    let body = threads.one(query, (workspace.to_string(), provider.as_str()), first).await?;
    Ok(body.as_deref().map(parsed).transpose()?)
}

pub(super) async fn put(
    threads: &Threads,
    connection: &StoredConnection,
    over: Option<Uuid>,
) -> Result<Save, LedgerError> {
    let (workspace, provider) = (connection.workspace.to_string(), connection.provider.as_str());
    let (version, body) = (connection.version.to_string(), body(connection)?);
    threads
        .write(move |connection| {
            let there = version_of(connection, &workspace, provider)?;
            // The same version exists if an earlier write succeeded and only its answer was lost.
            if there.as_ref() == Some(&version) {
                return Ok(Save::Done);
            }
            if there != over.map(|over| over.to_string()) {
                return Ok(Save::Stale);
            }
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO connections (workspace, provider, version, body) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![workspace, provider, version, body])?;
            Ok(Save::Done)
        })
        .await
}

pub(super) async fn delete(
    threads: &Threads,
    workspace: &WorkspaceId,
    provider: Provider,
    version: Uuid,
) -> Result<Save, LedgerError> {
    let (workspace, version) = (workspace.to_string(), version.to_string());
    threads
        .write(move |connection| {
            let there = version_of(connection, &workspace, provider.as_str())?;
            if there.is_some_and(|there| there != version) {
                return Ok(Save::Stale);
            }
            connection.execute(
                "DELETE FROM connections WHERE workspace = ?1 AND provider = ?2",
                params![workspace, provider.as_str()],
            )?;
            Ok(Save::Done)
        })
        .await
}

fn version_of(connection: &Connection, workspace: &str, provider: &str) -> Result<Option<String>, Failure> {
    let mut query =
        connection.prepare_cached("SELECT version FROM connections WHERE workspace = ?1 AND provider = ?2")?;
    Ok(query.query_row(params![workspace, provider], |row| row.get(0)).optional()?)
}

fn body(connection: &StoredConnection) -> Result<String, Failure> {
    Ok(serde_json::to_string(connection)?)
}
