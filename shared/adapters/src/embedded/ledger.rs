//! The ledger in a SQLite file.

mod audit;
mod connections;
mod schema;
#[cfg(test)]
mod tests;
mod threads;

use std::{collections::HashSet, path::Path, sync::Arc};

use async_trait::async_trait;
use audit::AuditRow;
use domain::{AuditEntry, Job, JobId, JobStatus, KeyId, KeyRecord, PlanId, Provider, WorkspaceId, WorkspaceSettings};
use engine::ports::{
    Audit, AuditFilter, Clock, Connections, Contents, Insert, JobFilter, Jobs, Keys, LedgerError, Outbox, OutboxEntry,
    Plans, Save, Sealed, Settings, StoredConnection, StoredPlan, Upkeep,
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::de::DeserializeOwned;
use threads::{Failure, Threads};
use uuid::Uuid;

/// The ledger in a SQLite file (WAL, every commit synced): a running server and the command line
/// may work on it side by side. Writes that wait at the same time are committed together.
pub struct SqliteLedger {
    threads: Threads,
    clock: Arc<dyn Clock>,
}

impl SqliteLedger {
    /// Opens `ledger.db` in a folder and migrates its schema. A missing folder or file is created for the owner only. A file
    /// of a later version of the program is refused.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, LedgerError> {
        let (writer, reader) = schema::open(folder)?;
        Ok(Self { threads: Threads::start(writer, reader)?, clock })
    }

    fn now(&self) -> i64 {
        micros(self.clock.now())
    }
}

#[async_trait]
impl Jobs for SqliteLedger {
    async fn insert_jobs(&self, jobs: &[(Job, Contents)]) -> Result<Insert, LedgerError> {
        let ids: HashSet<JobId> = jobs.iter().map(|(job, _)| job.job_id).collect();
        if ids.len() < jobs.len() {
            return Ok(Insert::Taken);
        }
        let rows: Vec<(JobRow, String)> = jobs
            .iter()
            .map(|(job, contents)| Ok((JobRow::of(job)?, contents.0.0.clone())))
            .collect::<Result<_, Failure>>()?;
        let now = self.now();
        self.threads
            .write(move |connection| {
                for (row, _) in &rows {
                    if body(connection, &row.job_id, now)?.is_some() {
                        return Ok(Insert::Taken);
                    }
                }
                for (row, sealed) in &rows {
                    let number = row.insert(connection)?;
                    connection
                        .prepare_cached(
                            "INSERT OR REPLACE INTO contents (job, sealed, expires_at) VALUES (?1, ?2, ?3)",
                        )?
                        .execute(params![number, sealed, row.contents_expire_at])?;
                }
                Ok(Insert::Done)
            })
            .await
    }

    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, LedgerError> {
        let ids: Vec<String> = ids.iter().map(JobId::to_string).collect();
        let now = self.now();
        let bodies = self
            .threads
            .read(move |connection| ids.iter().map(|id| body(connection, id, now)).collect::<Result<Vec<_>, _>>())
            .await?;
        Ok(bodies.iter().map(|body| body.as_deref().map(parsed).transpose()).collect::<Result<_, _>>()?)
    }

    async fn save(&self, job: &Job) -> Result<Save, LedgerError> {
        let row = JobRow::of(job)?;
        let now = self.now();
        self.threads
            .write(move |connection| {
                if row.replace(connection, now)? {
                    return Ok(Save::Done);
                }
                // The same version exists if an earlier write succeeded and only its answer was lost.
                let there = body(connection, &row.job_id, now)?;
                Ok(if there.as_ref() == Some(&row.body) { Save::Done } else { Save::Stale })
            })
            .await
    }

    async fn contents(&self, id: JobId) -> Result<Option<Contents>, LedgerError> {
        let query = "SELECT sealed FROM contents
             WHERE job = (SELECT number FROM jobs WHERE job_id = ?1) AND (expires_at IS NULL OR expires_at > ?2)";
        let sealed = self.threads.one(query, (id.to_string(), self.now()), first).await?;
        Ok(sealed.map(|sealed| Contents(Sealed(sealed))))
    }

    async fn list_jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, LedgerError> {
        let (created_at, job_id) =
            filter.after.map_or((i64::MAX, String::new()), |last| (micros(last.created_at), last.job_id.to_string()));
        // Two queries, as each has its index.
        let status = filter.status.map(JobStatus::as_str);
        let of_status = if status.is_some() { "AND status = ?6" } else { "AND ?6 IS NULL" };
        let query = format!(
            "SELECT body FROM jobs
             WHERE workspace = ?1 AND (created_at, job_id) < (?2, ?3) AND (expires_at IS NULL OR expires_at > ?4) {of_status}
             ORDER BY created_at DESC, job_id DESC LIMIT ?5"
        );
        let page = (filter.workspace.to_string(), created_at, job_id, self.now(), limit(filter.limit), status);
        Ok(read_jobs(&self.threads.all(query, page, first).await?)?)
    }

    async fn overdue_jobs(&self, before: Timestamp, at_most: usize) -> Result<Vec<Job>, LedgerError> {
        let query = "SELECT body FROM jobs WHERE open = 1 AND due_at < ?1 ORDER BY due_at, job_id LIMIT ?2";
        Ok(read_jobs(&self.threads.all(query, (micros(before), limit(at_most)), first).await?)?)
    }

    async fn open_jobs(&self, workspace: &WorkspaceId, at_most: usize) -> Result<usize, LedgerError> {
        let query = "SELECT count(*) FROM
             (SELECT 1 FROM jobs WHERE workspace = ?1 AND status IN ('pending', 'running') LIMIT ?2)";
        let count =
            self.threads.one(query, (workspace.to_string(), limit(at_most)), |row| row.get::<_, i64>(0)).await?;
        Ok(count.and_then(|count| count.try_into().ok()).unwrap_or(0))
    }

    async fn oldest_unclaimed(&self) -> Result<Option<Timestamp>, LedgerError> {
        let query = "SELECT waits_since FROM jobs WHERE waits_since IS NOT NULL ORDER BY waits_since LIMIT 1";
        self.threads.one(query, [], |row| time(row, 0)).await
    }

    async fn void_leases(&self, now: Timestamp) -> Result<u64, LedgerError> {
        let expiry = self.now();
        self.threads
            .write(move |connection| {
                let mut query = connection.prepare("SELECT body FROM jobs WHERE open = 1")?;
                let bodies = query.query_map([], first)?.collect::<Result<Vec<String>, _>>()?;
                let mut voided = 0;
                for job in read_jobs(&bodies)?.iter().filter(|job| job.lease.is_some()) {
                    let free = job.orphaned(now).map_err(Failure::new)?;
                    JobRow::of(&free)?.replace(connection, expiry)?;
                    voided += 1;
                }
                Ok(voided)
            })
            .await
    }
}

#[async_trait]
impl Plans for SqliteLedger {
    async fn put_plans(&self, plans: &[StoredPlan], audit: &AuditEntry) -> Result<(), LedgerError> {
        let plans = plans.to_vec();
        let audit = AuditRow::of(audit)?;
        self.threads
            .write(move |connection| {
                audit.insert(connection)?;
                let mut insert = connection.prepare_cached(
                    "INSERT OR REPLACE INTO plans (plan_id, workspace, sealed, expires_at) VALUES (?1, ?2, ?3, ?4)",
                )?;
                for StoredPlan { plan_id, workspace, sealed, expires_at } in &plans {
                    insert.execute(params![plan_id.to_string(), workspace.as_str(), sealed.0, micros(*expires_at)])?;
                }
                Ok(())
            })
            .await
    }

    async fn plan(
        &self,
        workspace: &WorkspaceId,
        id: PlanId,
        now: Timestamp,
    ) -> Result<Option<StoredPlan>, LedgerError> {
        let query = "SELECT sealed, expires_at FROM plans WHERE plan_id = ?1 AND workspace = ?2 AND expires_at > ?3";
        let params = (id.to_string(), workspace.to_string(), micros(now));
        let workspace = workspace.clone();
        let plan = move |row: &Row<'_>| {
            Ok(StoredPlan { plan_id: id, workspace, sealed: Sealed(row.get(0)?), expires_at: time(row, 1)? })
        };
        self.threads.one(query, params, plan).await
    }
}

#[async_trait]
impl Outbox for SqliteLedger {
    async fn put_outbox(&self, entry: &OutboxEntry) -> Result<(), LedgerError> {
        let OutboxEntry { job_id, workspace, written_at, sealed, expires_at } = entry.clone();
        let now = self.now();
        self.threads
            .write(move |connection| {
                connection
                    .prepare_cached(
                        "INSERT INTO outbox (job_id, workspace, written_at, sealed, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)
                         ON CONFLICT (job_id) DO UPDATE SET workspace = excluded.workspace, written_at = excluded.written_at,
                             sealed = excluded.sealed, expires_at = excluded.expires_at
                         WHERE expires_at <= ?6",
                    )?
                    .execute(params![
                        job_id.to_string(),
                        workspace.as_str(),
                        micros(written_at),
                        sealed.0,
                        micros(expires_at),
                        now
                    ])?;
                Ok(())
            })
            .await
    }

    async fn outbox(&self, workspace: &WorkspaceId, at_most: usize) -> Result<Vec<OutboxEntry>, LedgerError> {
        let query = "SELECT job_id, written_at, sealed, expires_at FROM outbox WHERE workspace = ?1 AND expires_at > ?2
             ORDER BY written_at DESC, job_id DESC LIMIT ?3";
        let params = (workspace.to_string(), self.now(), limit(at_most));
        let workspace = workspace.clone();
        let entry = move |row: &Row<'_>| {
            Ok(OutboxEntry {
                job_id: first(row)?.parse().map_err(|_| rusqlite::Error::InvalidQuery)?,
                workspace: workspace.clone(),
                written_at: time(row, 1)?,
                sealed: Sealed(row.get(2)?),
                expires_at: time(row, 3)?,
            })
        };
        self.threads.all(query, params, entry).await
    }
}

#[async_trait]
impl Keys for SqliteLedger {
    async fn put_key(&self, key: &KeyRecord) -> Result<bool, LedgerError> {
        let (id, created_at, body) = (key.key_id.to_string(), micros(key.created_at), key_body(key)?);
        let audit = AuditRow::of(&key.audit_of_making())?;
        self.threads
            .write(move |connection| {
                let insert = "INSERT INTO keys (key_id, created_at, body) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
                let is_new = connection.prepare_cached(insert)?.execute(params![id, created_at, body])? == 1;
                if is_new {
                    audit.insert(connection)?;
                }
                Ok(is_new)
            })
            .await
    }

    async fn key(&self, id: &KeyId) -> Result<Option<KeyRecord>, LedgerError> {
        let body = self.threads.one("SELECT body FROM keys WHERE key_id = ?1", [id.to_string()], first).await?;
        Ok(body.as_deref().map(parsed).transpose()?)
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>, LedgerError> {
        let bodies = self.threads.all("SELECT body FROM keys ORDER BY created_at, key_id", [], first).await?;
        Ok(bodies.iter().map(|body| parsed(body)).collect::<Result<_, _>>()?)
    }

    async fn revoke_key(&self, id: &KeyId, now: Timestamp) -> Result<bool, LedgerError> {
        let Some(mut key) = self.key(id).await? else { return Ok(false) };
        let revoked_at = *key.revoked_at.get_or_insert(now);
        let (id, body) = (id.to_string(), key_body(&key)?);
        let audit = AuditRow::of(&key.audit_of_end(revoked_at))?;
        self.threads
            .write(move |connection| {
                audit.insert(connection)?;
                connection.execute("UPDATE keys SET body = ?2 WHERE key_id = ?1", params![id, body])?;
                Ok(true)
            })
            .await
    }
}

#[async_trait]
impl Connections for SqliteLedger {
    async fn connection(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
    ) -> Result<Option<StoredConnection>, LedgerError> {
        connections::find(&self.threads, workspace, provider).await
    }

    async fn put_connection(&self, connection: &StoredConnection, over: Option<Uuid>) -> Result<Save, LedgerError> {
        connections::put(&self.threads, connection, over).await
    }

    async fn delete_connection(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
        version: Uuid,
    ) -> Result<Save, LedgerError> {
        connections::delete(&self.threads, workspace, provider, version).await
    }
}

#[async_trait]
impl Settings for SqliteLedger {
    async fn rollout_percent(&self, provider: Provider) -> Result<Option<u8>, LedgerError> {
        let query = "SELECT percent FROM rollout WHERE provider = ?1";
        self.threads.one(query, [provider.as_str()], |row| row.get(0)).await
    }

    async fn set_rollout_percent(
        &self,
        provider: Provider,
        percent: u8,
        audit: &AuditEntry,
    ) -> Result<(), LedgerError> {
        let audit = AuditRow::of(audit)?;
        self.threads
            .write(move |connection| {
                audit.insert(connection)?;
                connection
                    .prepare_cached("INSERT OR REPLACE INTO rollout (provider, percent) VALUES (?1, ?2)")?
                    .execute(params![provider.as_str(), percent])?;
                Ok(())
            })
            .await
    }

    async fn workspace(&self, id: &WorkspaceId) -> Result<Option<WorkspaceSettings>, LedgerError> {
        let query = "SELECT body FROM workspaces WHERE workspace = ?1";
        let body = self.threads.one(query, [id.to_string()], first).await?;
        Ok(body.as_deref().map(parsed).transpose()?)
    }

    async fn put_workspace(
        &self,
        id: &WorkspaceId,
        settings: &WorkspaceSettings,
        audit: &AuditEntry,
    ) -> Result<(), LedgerError> {
        let (id, audit) = (id.to_string(), AuditRow::of(audit)?);
        let body = serde_json::to_string(settings).map_err(Failure::from)?;
        self.threads
            .write(move |connection| {
                audit.insert(connection)?;
                let put = "INSERT OR REPLACE INTO workspaces (workspace, body) VALUES (?1, ?2)";
                connection.prepare_cached(put)?.execute(params![id, body])?;
                Ok(())
            })
            .await
    }
}

#[async_trait]
impl Audit for SqliteLedger {
    async fn put_audit(&self, entry: &AuditEntry) -> Result<(), LedgerError> {
        let audit = AuditRow::of(entry)?;
        self.threads.write(move |connection| audit.insert(connection)).await
    }

    async fn list_audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, LedgerError> {
        audit::list(&self.threads, filter, self.now()).await
    }
}

#[async_trait]
impl Upkeep for SqliteLedger {
    async fn erase_expired(&self, now: Timestamp) -> Result<(), LedgerError> {
        for table in ["jobs", "contents", "plans", "outbox", "audit"] {
            let delete = format!("DELETE FROM {table} WHERE expires_at <= ?1");
            self.threads.write(move |connection| Ok(connection.execute(&delete, [micros(now)])?)).await?;
        }
        Ok(())
    }

    async fn ping(&self) -> Result<(), LedgerError> {
        self.threads
            .read(|connection| Ok(connection.query_row("SELECT count(*) FROM rollout", [], |_| Ok(()))?))
            .await?;
        self.threads.write(|_| Ok(())).await
    }
}

fn key_body(key: &KeyRecord) -> Result<String, Failure> {
    Ok(serde_json::to_string(key)?)
}

/// A job's row, and the expiry of its contents.
struct JobRow {
    job_id: String,
    workspace: String,
    created_at: i64,
    status: &'static str,
    open: bool,
    due_at: i64,
    waits_since: Option<i64>,
    revision: i64,
    expires_at: Option<i64>,
    contents_expire_at: Option<i64>,
    body: String,
    audit: Option<AuditRow>,
}

impl JobRow {
    fn of(job: &Job) -> Result<Self, Failure> {
        Ok(Self {
            job_id: job.job_id.to_string(),
            workspace: job.workspace_id.to_string(),
            created_at: micros(job.created_at),
            status: job.state.status().as_str(),
            open: !job.state.has_ended(),
            due_at: micros(job.due_at()),
            waits_since: job.waits_since().map(micros),
            revision: i64::try_from(job.revision).unwrap_or(i64::MAX),
            expires_at: job.record_expires_at().map(micros),
            contents_expire_at: job.contents_expire_at().map(micros),
            body: serde_json::to_string(job)?,
            audit: job.audit().as_ref().map(AuditRow::of).transpose()?,
        })
    }

    /// Inserts the row, or replaces an expired one. Returns its number.
    fn insert(&self, connection: &Connection) -> Result<i64, Failure> {
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO jobs
                     (job_id, workspace, created_at, status, open, due_at, revision, expires_at, body, waits_since)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                self.job_id,
                self.workspace,
                self.created_at,
                self.status,
                self.open,
                self.due_at,
                self.revision,
                self.expires_at,
                self.body,
                self.waits_since
            ])?;
        let number = connection.last_insert_rowid();
        if let Some(audit) = &self.audit {
            audit.insert(connection)?;
        }
        Ok(number)
    }

    /// Replaces the previous version of the row. Returns false if another version exists.
    fn replace(&self, connection: &Connection, now: i64) -> Result<bool, Failure> {
        let replaced = connection
            .prepare_cached(
                "UPDATE jobs SET status = ?2, open = ?3, due_at = ?4, revision = ?5, expires_at = ?6, body = ?7,
                     waits_since = ?9
                 WHERE job_id = ?1 AND revision = ?5 - 1 AND (expires_at IS NULL OR expires_at > ?8)",
            )?
            .execute(params![
                self.job_id,
                self.status,
                self.open,
                self.due_at,
                self.revision,
                self.expires_at,
                self.body,
                now,
                self.waits_since
            ])?;
        if replaced == 0 {
            return Ok(false);
        }
        // Expired contents stay expired, even if the job is retried before they are erased.
        connection
            .prepare_cached(
                "UPDATE contents SET expires_at = ?2
                 WHERE job = (SELECT number FROM jobs WHERE job_id = ?1) AND expires_at IS NOT ?2
                     AND (expires_at IS NULL OR expires_at > ?3)",
            )?
            .execute(params![self.job_id, self.contents_expire_at, now])?;
        if let Some(audit) = &self.audit {
            audit.insert(connection)?;
        }
        Ok(true)
    }
}

/// The body of a job that has not expired.
fn body(connection: &Connection, job_id: &str, now: i64) -> Result<Option<String>, Failure> {
    let mut query = connection
        .prepare_cached("SELECT body FROM jobs WHERE job_id = ?1 AND (expires_at IS NULL OR expires_at > ?2)")?;
    Ok(query.query_row(params![job_id, now], first).optional()?)
}

fn first(row: &Row<'_>) -> rusqlite::Result<String> {
    row.get(0)
}

fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Timestamp::from_microsecond(row.get(column)?).map_err(|_| rusqlite::Error::InvalidQuery)
}

fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn parsed<T: DeserializeOwned>(body: &str) -> Result<T, Failure> {
    Ok(serde_json::from_str(body)?)
}

fn read_jobs(bodies: &[String]) -> Result<Vec<Job>, Failure> {
    bodies.iter().map(|body| parsed(body)).collect()
}
