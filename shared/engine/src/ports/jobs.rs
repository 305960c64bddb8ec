//! Jobs with their sealed contents.

use async_trait::async_trait;
use domain::{ContentHash, Job, JobId, JobStatus, WorkspaceId};
use jiff::Timestamp;

use super::{LedgerError, Position, Sealed};

/// Jobs with their sealed contents.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Writes new jobs with their sealed contents: all of them, or none when any of their ids is taken.
    async fn insert_jobs(&self, jobs: &[(Job, Contents)]) -> Result<Insert, LedgerError>;

    /// The workspace's jobs of these ids, in order; none where there is no such job. A job of another workspace is not
    /// read, so that nobody learns of it by the time that takes.
    async fn jobs(&self, workspace: &WorkspaceId, ids: &[JobId]) -> Result<Vec<Option<Job>>, LedgerError>;

    /// The workspace's job of this id.
    async fn job(&self, workspace: &WorkspaceId, id: JobId) -> Result<Option<Job>, LedgerError> {
        Ok(self.jobs(workspace, &[id]).await?.pop().flatten())
    }

    /// Writes the next version of a job over the version before it (`revision - 1`), and nothing
    /// when the ledger holds another one. Repeating a write whose answer was lost counts as done.
    async fn save(&self, job: &Job) -> Result<Save, LedgerError>;

    /// The sealed contents of these jobs, in order, until they are erased.
    async fn contents_of(&self, ids: &[JobId]) -> Result<Vec<Option<Contents>>, LedgerError>;

    /// The sealed contents of a job, until they are erased.
    async fn contents(&self, id: JobId) -> Result<Option<Contents>, LedgerError> {
        Ok(self.contents_of(&[id]).await?.pop().flatten())
    }

    /// A job with its sealed contents, until they are erased. A worker starts from both, so a ledger reads
    /// them in one call where it can.
    async fn job_with_contents(
        &self,
        workspace: &WorkspaceId,
        id: JobId,
    ) -> Result<Option<(Job, Option<Contents>)>, LedgerError> {
        let Some(job) = self.job(workspace, id).await? else { return Ok(None) };
        Ok(Some((job, self.contents(id).await?)))
    }

    /// A workspace's jobs, newest first.
    async fn list_jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, LedgerError>;

    /// Jobs that have not ended and were due ([`Job::due_at`]) before `before`, longest due first, at most `limit`.
    async fn overdue_jobs(&self, before: Timestamp, limit: usize) -> Result<Vec<Job>, LedgerError>;

    /// How many jobs of a workspace have not ended, counted to `at_most`. It may be some milliseconds behind.
    async fn open_jobs(&self, workspace: &WorkspaceId, at_most: usize) -> Result<usize, LedgerError>;

    /// Since when the oldest job without a worker has waited ([`Job::waits_since`]). It may be some moments behind.
    async fn oldest_unclaimed(&self) -> Result<Option<Timestamp>, LedgerError>;

    /// The jobs that are held ([`Job::held_since`]), counted to `at_most`. It may be some moments behind.
    async fn held(&self, at_most: usize) -> Result<Held, LedgerError>;

    /// The job that was the last to reach these people with this content, or may have been, within a day: see
    /// [`Job::may_repeat_until`]. It may be some moments behind.
    async fn last_with_content(
        &self,
        workspace: &WorkspaceId,
        content: &ContentHash,
        now: Timestamp,
    ) -> Result<Option<Job>, LedgerError>;

    /// Ends all leases: only for a process that knows that no other works on this ledger. Returns how many there were.
    async fn void_leases(&self, now: Timestamp) -> Result<u64, LedgerError>;
}

/// The jobs that are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// How many there are.
    pub count: usize,
    /// Since when the oldest waits for a person.
    pub since: Option<Timestamp>,
}

/// A job's sealed params.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents(pub Sealed);

/// The result of an insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insert {
    /// All jobs were written.
    Done,
    /// None was: at least one of the ids is taken.
    Taken,
}

/// The result of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Save {
    /// The version was written.
    Done,
    /// The ledger holds another version than the one before: another process was quicker.
    Stale,
}

/// Which jobs to list.
#[derive(Debug, Clone)]
pub struct JobFilter {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Only those of this list.
    pub list: JobList,
    /// Only those older than this one, the last of the page before.
    pub after: Option<Position>,
    /// At most this many.
    pub limit: usize,
}

/// The lists that a ledger keeps of a workspace's jobs. Completed jobs have no list of their own: they are the most, and
/// each list costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobList {
    /// All of them.
    All,
    /// Those that have not ended.
    Open,
    /// Those that ended in an error.
    Failed,
}

impl JobList {
    /// The shortest list that holds all jobs of this status.
    pub const fn with(status: JobStatus) -> Self {
        match status {
            JobStatus::Pending | JobStatus::Running => Self::Open,
            JobStatus::Error => Self::Failed,
            JobStatus::Completed => Self::All,
        }
    }
}

impl From<&Job> for Position {
    fn from(job: &Job) -> Self {
        Self { at: job.created_at, id: job.job_id.0 }
    }
}
