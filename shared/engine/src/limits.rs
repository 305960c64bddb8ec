//! Rate limits of keys and workspaces; without keys there are none. Where the cache does not answer, this process counts
//! alone. Counting also finds keys that were revoked a moment ago.
//!
//! A request is counted once. Its [`Ticket`] holds the charge, and the first call that reaches the cache takes it:
//! most requests are charged by [`RateLimiter::charge`] before they begin; the claim of idempotency keys and the look
//! at a cached job charge theirs in the same round trip.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{KeyId, WorkspaceId};
use jiff::Timestamp;

use crate::{
    Problem, ProblemCode, Quota,
    keys::unauthenticated,
    ports::{CacheError, Clock, Decision, RATE_LIMIT_WINDOW, RateLimit, RateLimits},
    rate_counts::RateCounts,
    recent::Recent,
};

/// A key that sends more requests than this many times its limit to one process is refused before its request is read.
const FLOOD: u32 = 2;

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

/// What a request still owes the rate limits, and the key that it came with; nothing without a key. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Ticket(Arc<Mutex<Charge>>);

#[derive(Debug, Default)]
struct Charge {
    due: Option<RateLimit>,
    key: Option<(KeyId, WorkspaceId)>,
}

impl Ticket {
    /// Takes the charge, for a call that counts the request along with its own work.
    pub(crate) fn take(&self) -> Option<RateLimit> {
        self.lock().due.take()
    }

    /// The key that the request was admitted with, and the key's workspace.
    pub fn key(&self) -> Option<(KeyId, WorkspaceId)> {
        self.lock().key.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Charge> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts requests.
pub struct RateLimiter {
    pub(crate) counts: Arc<dyn RateLimits>,
    pub(crate) limits: Limits,
    /// The requests of each key to this process within a minute, refused ones too.
    pub(crate) seen: Recent<KeyId, u32>,
    pub(crate) clock: Arc<dyn Clock>,
    /// What this process has counted while the cache did not answer.
    pub(crate) floor: Mutex<RateCounts>,
}

impl RateLimiter {
    /// Writes the charge of a key's request on its ticket; refuses a flood, which the cache need not count.
    pub(crate) fn issue(
        &self,
        ticket: &Ticket,
        workspace: &WorkspaceId,
        key: &KeyId,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let charge = RateLimit {
            key: key.clone(),
            per_key: self.limits.requests_per_key,
            workspace: workspace.clone(),
            per_workspace: self.limits.requests_per_workspace,
        };
        let seen = self.seen.recall(key, now).unwrap_or_default();
        if seen >= FLOOD.saturating_mul(self.limits.requests_per_key) {
            let limit = self.limits.requests_per_key;
            return self.allowed(Some(&charge), Ok(Decision::Refused { retry_after: RATE_LIMIT_WINDOW, limit }));
        }
        match seen {
            0 => self.seen.remember(key.clone(), 1, now),
            _ => self.seen.change(key, |seen| *seen += 1),
        }
        *ticket.lock() = Charge { due: Some(charge), key: Some((key.clone(), workspace.clone())) };
        Ok(())
    }

    /// Counts a request that was not counted yet, and refuses one too many.
    pub async fn charge(&self, ticket: &Ticket) -> Result<(), Problem> {
        match ticket.take() {
            None => Ok(()),
            Some(limit) => self.allowed(Some(&limit), self.counts.count(&limit).await),
        }
    }

    /// Refuses a request over its limit, or of a revoked key. A cache that does not answer holds nobody up: then the
    /// same limits apply to what this process counts.
    pub(crate) fn allowed(
        &self,
        limit: Option<&RateLimit>,
        decision: Result<Decision, CacheError>,
    ) -> Result<(), Problem> {
        if limit.is_none() {
            return Ok(());
        }
        let decision = decision.unwrap_or_else(|error| {
            tracing::warn!(%error, "a request was not counted");
            let mut floor = self.floor.lock().unwrap_or_else(PoisonError::into_inner);
            floor.count(limit, self.clock.now())
        });
        match decision {
            Decision::Allowed => Ok(()),
            Decision::Refused { limit, retry_after } => {
                let detail = format!("more than {limit} requests in a minute; try again after the time in Retry-After");
                let quota = Quota { name: "requests", limit: limit.into(), window: RATE_LIMIT_WINDOW, left: 0 };
                let problem = Problem::new(ProblemCode::RateLimited, detail);
                Err(Problem { retry_after: Some(retry_after), quota: Some(quota), ..problem })
            }
            Decision::Revoked => Err(unauthenticated()),
        }
    }
}
