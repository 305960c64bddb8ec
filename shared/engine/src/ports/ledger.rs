use async_trait::async_trait;
use domain::{AuditEntry, Job, JobId, JobStatus, KeyId, KeyRecord, PlanId, Provider, WorkspaceId, WorkspaceSettings};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Sealed;

/// What must not be lost, and decides: jobs with their contents, plans, the outbox, the rollout,
/// API keys, connected accounts, settings of workspaces, the audit.
///
/// When a write returns, it is durable. Every write names its precondition. Records end by
/// themselves: a job 30 days after its last change, its contents 7 days after its end, but neither
/// while the job is open; what has expired is not found, whether or not it has been erased yet.
///
/// What is audited is written in the same transaction as its entry: a version of a job with [`Job::audit`], a key with
/// [`KeyRecord::audit_of_making`] and [`KeyRecord::audit_of_end`], the rest with the entry that comes with it.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Writes new jobs with their sealed contents: all of them, or none when any of their ids is taken.
    async fn insert_jobs(&self, jobs: &[(Job, Contents)]) -> Result<Insert, LedgerError>;

    /// The jobs of these ids, in order; none where there is no such job.
    async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Option<Job>>, LedgerError>;

    /// Writes the next version of a job over the version before it (`revision - 1`), and nothing
    /// when the ledger holds another one. A write that was made but whose answer was lost counts as
    /// done when it is repeated.
    async fn save(&self, job: &Job) -> Result<Save, LedgerError>;

    /// The sealed contents of a job, until they are erased.
    async fn contents(&self, id: JobId) -> Result<Option<Contents>, LedgerError>;

    /// A job with its sealed contents, until they are erased: what a worker starts from. For ledgers that
    /// read both in one call.
    async fn job_with_contents(&self, id: JobId) -> Result<Option<(Job, Option<Contents>)>, LedgerError> {
        let Some(job) = self.jobs(&[id]).await?.pop().flatten() else { return Ok(None) };
        Ok(Some((job, self.contents(id).await?)))
    }

    /// A workspace's jobs, newest first.
    async fn list_jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, LedgerError>;

    /// Jobs that have not ended and were due ([`Job::due_at`]) before `before`, longest due first, at most `limit`.
    async fn overdue_jobs(&self, before: Timestamp, limit: usize) -> Result<Vec<Job>, LedgerError>;

    /// Since when the longest waiting of all jobs that no worker has claimed waits ([`Job::waits_since`]); none
    /// when there is no such job. It may be some moments behind.
    async fn oldest_unclaimed(&self) -> Result<Option<Timestamp>, LedgerError>;

    /// Ends all leases: only for a process that knows that no other works on this ledger. Returns how many there were.
    async fn void_leases(&self, now: Timestamp) -> Result<u64, LedgerError>;

    /// Stores a plan under its id.
    async fn put_plan(&self, plan: &StoredPlan, audit: &AuditEntry) -> Result<(), LedgerError>;

    /// A plan of a workspace that has not expired at `now`.
    async fn plan(
        &self,
        workspace: &WorkspaceId,
        id: PlanId,
        now: Timestamp,
    ) -> Result<Option<StoredPlan>, LedgerError>;

    /// Puts a mail into the outbox; once per job, whatever is repeated.
    async fn put_outbox(&self, entry: &OutboxEntry) -> Result<(), LedgerError>;

    /// A workspace's outbox, newest first, at most `limit`.
    async fn outbox(&self, workspace: &WorkspaceId, limit: usize) -> Result<Vec<OutboxEntry>, LedgerError>;

    /// The share of a provider's rollout, 0 to 100, where the ledger holds one.
    async fn rollout_percent(&self, provider: Provider) -> Result<Option<u8>, LedgerError>;

    /// Sets the share of a provider's rollout, 0 to 100.
    async fn set_rollout_percent(&self, provider: Provider, percent: u8, audit: &AuditEntry)
    -> Result<(), LedgerError>;

    /// What was set for a workspace; none when nothing was.
    async fn workspace(&self, id: &WorkspaceId) -> Result<Option<WorkspaceSettings>, LedgerError>;

    /// Sets it.
    async fn put_workspace(
        &self,
        id: &WorkspaceId,
        settings: &WorkspaceSettings,
        audit: &AuditEntry,
    ) -> Result<(), LedgerError>;

    /// Adds an entry to the audit; one of the same id is there already, and stays as it is.
    async fn put_audit(&self, entry: &AuditEntry) -> Result<(), LedgerError>;

    /// The audit, newest first. Entries end 400 days after what they tell of.
    async fn list_audit(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, LedgerError>;

    /// How many jobs of a workspace have not ended, counted to `at_most`. It may be some milliseconds behind.
    async fn open_jobs(&self, workspace: &WorkspaceId, at_most: usize) -> Result<usize, LedgerError>;

    /// Stores a key; false when there is one of its id already.
    async fn put_key(&self, key: &KeyRecord) -> Result<bool, LedgerError>;

    /// The key of this id, revoked or not.
    async fn key(&self, id: &KeyId) -> Result<Option<KeyRecord>, LedgerError>;

    /// Every key, revoked ones too, oldest first.
    async fn keys(&self) -> Result<Vec<KeyRecord>, LedgerError>;

    /// Ends a key; false when there is none of this id. One that was revoked before keeps its time.
    async fn revoke_key(&self, id: &KeyId, now: Timestamp) -> Result<bool, LedgerError>;

    /// A workspace's connection with a provider.
    async fn connection(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
    ) -> Result<Option<StoredConnection>, LedgerError>;

    /// Writes a connection over the version `over`, or where there is none if that is none; nothing when the
    /// ledger holds another one. A write that was made but whose answer was lost counts as done when it is repeated.
    async fn put_connection(&self, connection: &StoredConnection, over: Option<Uuid>) -> Result<Save, LedgerError>;

    /// Deletes this version of a connection, and nothing when the ledger holds another one. One that is gone
    /// already counts as done.
    async fn delete_connection(
        &self,
        workspace: &WorkspaceId,
        provider: Provider,
        version: Uuid,
    ) -> Result<Save, LedgerError>;

    /// Erases what has expired at `now`, as far as the store does not do so itself.
    async fn erase_expired(&self, now: Timestamp) -> Result<(), LedgerError>;

    /// Whether the ledger answers.
    async fn ping(&self) -> Result<(), LedgerError>;
}

/// A job's sealed params.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents(pub Sealed);

/// What became of an insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insert {
    /// All jobs were written.
    Done,
    /// None was: at least one of the ids is taken.
    Taken,
}

/// What became of a save.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Save {
    /// The version was written.
    Done,
    /// The ledger holds another version than the one before: somebody was quicker.
    Stale,
}

/// Which jobs to list.
#[derive(Debug, Clone)]
pub struct JobFilter {
    /// Whose jobs.
    pub workspace: WorkspaceId,
    /// Only those of this status.
    pub status: Option<JobStatus>,
    /// Only those older than this one, which was the last of the page before.
    pub after: Option<Position>,
    /// At most so many.
    pub limit: usize,
}

/// A job's place in the list: by time of acceptance, then id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// When the job was accepted.
    pub created_at: Timestamp,
    /// Its id.
    pub job_id: JobId,
}

/// Which entries of the audit to list.
#[derive(Debug, Clone)]
pub struct AuditFilter {
    /// Whose; none for what is about the whole deployment.
    pub workspace: Option<WorkspaceId>,
    /// Only those older than this one, which was the last of the page before.
    pub after: Option<AuditPosition>,
    /// At most so many.
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

/// A plan at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPlan {
    /// The plan's id.
    pub plan_id: PlanId,
    /// Whose plan it is.
    pub workspace: WorkspaceId,
    /// The plan, the actor it was made for and how it came about; sealed.
    pub sealed: Sealed,
    /// When it is to be erased.
    pub expires_at: Timestamp,
}

/// A mail that sandbox mode would have sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// The job that wrote it.
    pub job_id: JobId,
    /// Whose outbox.
    pub workspace: WorkspaceId,
    /// When it was written.
    pub written_at: Timestamp,
    /// The mail as it would have gone out; sealed.
    pub sealed: Sealed,
    /// When it is to be erased.
    pub expires_at: Timestamp,
}

/// The account of a provider that a workspace has connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredConnection {
    /// Whose connection.
    pub workspace: WorkspaceId,
    /// With whom.
    pub provider: Provider,
    /// Names the account, and tells nothing of it: a hash of the provider's own name for it.
    pub account: String,
    /// The tokens and the account's address; sealed for workspace, provider and account.
    pub sealed: Sealed,
    /// What the account's owner granted, as the provider names it.
    pub scopes: Vec<String>,
    /// Whether it can be used.
    pub status: ConnectionStatus,
    /// Names this version; each write has a fresh one, so that no two are ever taken for each other.
    pub version: Uuid,
    /// When its owner last consented.
    pub connected_at: Timestamp,
}

/// Whether a connection can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionStatus {
    /// It can.
    Active,
    /// The provider wants its owner's consent again.
    NeedsReauth,
}

/// The ledger did not do it, or did not say that it did. Always worth another try.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the ledger failed: {0}")]
pub struct LedgerError(pub String);
