//! How much a key and its workspace may ask for; without keys there is no such limit.

use std::time::Duration;

use domain::WorkspaceId;

use crate::{
    Caller, Engine, Problem, ProblemCode, Quota, Recent,
    ports::{CacheError, Passage, TOLL_WINDOW, Toll},
};

/// How soon a workspace with too many open jobs may ask again: so long its count is remembered.
const OPEN_JOBS_PAUSE: Duration = Duration::from_secs(15);

/// The counts of workspaces' open jobs that this process read last, with what it accepted since.
pub type OpenJobs = Recent<WorkspaceId, usize>;

/// The limits of keys and workspaces.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests of one key in a minute.
    pub requests_per_key: u32,
    /// Requests of all keys of one workspace in a minute.
    pub requests_per_workspace: u32,
    /// Jobs of one workspace that have not ended.
    pub open_jobs: usize,
    /// Bytes of a prompt; without keys, too.
    pub prompt_bytes: usize,
}

impl Engine {
    /// Counts a request that asks the cache for nothing else, and refuses one too many.
    pub async fn admit(&self, caller: &Caller) -> Result<(), Problem> {
        match self.toll(caller) {
            None => Ok(()),
            Some(toll) => passed(self.cache.count(&toll).await),
        }
    }

    pub(crate) fn toll(&self, caller: &Caller) -> Option<Toll> {
        Some(Toll {
            key: caller.key_id.clone()?,
            per_key: self.settings.limits.requests_per_key,
            workspace: caller.workspace.clone(),
            per_workspace: self.settings.limits.requests_per_workspace,
        })
    }

    /// Refuses jobs that would be too many at once. It need not be exact: the count is up to 15 s old.
    pub(crate) async fn check_open_jobs(&self, caller: &Caller, more: usize) -> Result<(), Problem> {
        if caller.key_id.is_none() {
            return Ok(());
        }
        let (now, most) = (self.clock.now(), self.settings.limits.open_jobs);
        let open = if let Some(open) = self.open_jobs.recall(&caller.workspace, now) {
            open
        } else {
            let open = self.ledger.open_jobs(&caller.workspace, most).await?;
            self.open_jobs.remember(caller.workspace.clone(), open, now);
            open
        };
        if open + more > most {
            let detail = format!("{open} jobs of this workspace have not ended yet, and {most} may be open at once");
            let problem = Problem::new(ProblemCode::RateLimited, detail);
            return Err(problem.with_retry_after(Some(OPEN_JOBS_PAUSE)));
        }
        self.open_jobs.change(&caller.workspace, |open| *open += more);
        Ok(())
    }
}

/// What came of counting a request. A cache that does not answer counts nothing, and holds nobody up.
pub(crate) fn passed(passage: Result<Passage, CacheError>) -> Result<(), Problem> {
    match passage {
        Ok(Passage::Free) => Ok(()),
        Ok(Passage::Refused { limit, retry_after }) => {
            let detail = format!("more than {limit} requests in a minute; try again after the time in Retry-After");
            let quota = Quota { name: "requests", limit: limit.into(), window: TOLL_WINDOW, left: 0 };
            let problem = Problem::new(ProblemCode::RateLimited, detail);
            Err(problem.with_retry_after(Some(retry_after)).with_quota(quota))
        }
        Err(error) => {
            tracing::warn!(%error, "a request was not counted");
            Ok(())
        }
    }
}
