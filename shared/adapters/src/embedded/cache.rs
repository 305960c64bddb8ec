//! Claims, jobs, rollout percentages, consents, locks and rate limits in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use domain::{Job, JobId, KeyId, Provider, WorkspaceId};
use engine::{
    RateCounts, Recent,
    ports::{
        CONSENT_WITHIN, CacheError, CacheHealth, Claims, Clock, Consent, Consents, Counted, Decision, JobCache, Locks,
        RateLimit, RateLimits, RolloutCache,
    },
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::later;

/// How long a claim is valid, and how long a job is cached after its last change.
const KEPT_FOR: SignedDuration = SignedDuration::from_mins(15);

/// The cache of one process. It keeps only the newest claims and jobs, so its memory does not grow with the traffic.
pub struct MemoryCache {
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

struct Kept {
    claims: Recent<JobId, ()>,
    jobs: Recent<(WorkspaceId, JobId), Job>,
    /// Each for a minute.
    rollouts: Recent<Provider, u8>,
    consents: Recent<String, Consent>,
    /// With the end of each.
    locks: HashMap<String, (Uuid, Timestamp)>,
    /// With the end of each.
    holds: HashMap<String, Timestamp>,
    rate_counts: RateCounts,
}

impl MemoryCache {
    /// An empty cache.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let kept = Kept {
            claims: Recent::good_for(KEPT_FOR),
            jobs: Recent::good_for(KEPT_FOR),
            rollouts: Recent::default(),
            consents: Recent::good_for(SignedDuration::try_from(CONSENT_WITHIN).unwrap_or(SignedDuration::MAX)),
            locks: HashMap::new(),
            holds: HashMap::new(),
            rate_counts: RateCounts::default(),
        };
        Self { clock, kept: Mutex::new(kept) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A cache may lose values, so a panic elsewhere cannot have broken it.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Claims for MemoryCache {
    async fn claim_keys(&self, jobs: &[JobId], limit: Option<&RateLimit>) -> Counted<Vec<bool>> {
        let now = self.clock.now();
        let mut kept = self.kept();
        let decision = kept.rate_counts.count(limit, now);
        let known = &mut kept.claims;
        let claim = |id: &JobId| {
            let is_new = known.recall(id, now).is_none();
            if is_new {
                known.remember(*id, (), now);
            }
            is_new
        };
        Ok((jobs.iter().map(claim).collect(), decision))
    }
}

#[async_trait]
impl JobCache for MemoryCache {
    async fn put_jobs(&self, jobs: &[Job]) -> Result<(), CacheError> {
        let now = self.clock.now();
        let known = &mut self.kept().jobs;
        for job in jobs {
            let key = (job.workspace_id.clone(), job.job_id);
            if known.recall(&key, now).is_none_or(|kept| kept.revision <= job.revision) {
                known.remember(key, job.clone(), now);
            }
        }
        Ok(())
    }

    async fn put_claimed(&self, job: &Job, account: &str) -> Result<Duration, CacheError> {
        self.put_jobs(std::slice::from_ref(job)).await?;
        let until = self.kept().holds.get(account).copied();
        let left = until.map(|until| until.duration_since(self.clock.now()));
        Ok(left.and_then(|left| left.try_into().ok()).unwrap_or_default())
    }

    async fn cached_job(&self, workspace: &WorkspaceId, id: JobId, limit: Option<&RateLimit>) -> Counted<Option<Job>> {
        let (now, mut kept) = (self.clock.now(), self.kept());
        let decision = kept.rate_counts.count(limit, now);
        Ok((kept.jobs.recall(&(workspace.clone(), id), now), decision))
    }
}

#[async_trait]
impl RateLimits for MemoryCache {
    async fn count(&self, rate_limit: &RateLimit) -> Result<Decision, CacheError> {
        Ok(self.kept().rate_counts.count(Some(rate_limit), self.clock.now()))
    }

    async fn revoke(&self, _: &WorkspaceId, key: &KeyId) -> Result<(), CacheError> {
        self.kept().rate_counts.revoke(key, self.clock.now());
        Ok(())
    }

    async fn hold(&self, account: &str, wait: Duration) -> Result<(), CacheError> {
        let (now, known) = (self.clock.now(), &mut self.kept().holds);
        known.retain(|_, until| *until > now);
        let until = known.entry(account.to_owned()).or_insert(now);
        *until = later(now, wait).max(*until);
        Ok(())
    }
}

#[async_trait]
impl Locks for MemoryCache {
    async fn lock(&self, name: &str, owner: Uuid, at_most: Duration) -> Result<bool, CacheError> {
        let now = self.clock.now();
        let known = &mut self.kept().locks;
        known.retain(|_, (_, until)| *until > now);
        let (holder, _) = known.entry(name.to_owned()).or_insert((owner, later(now, at_most)));
        Ok(*holder == owner)
    }

    async fn unlock(&self, name: &str, owner: Uuid) -> Result<(), CacheError> {
        let known = &mut self.kept().locks;
        if known.get(name).is_some_and(|(holder, _)| *holder == owner) {
            known.remove(name);
        }
        Ok(())
    }
}

#[async_trait]
impl Consents for MemoryCache {
    async fn put_consent(&self, id: &str, consent: &Consent) -> Result<(), CacheError> {
        self.kept().consents.remember(id.to_owned(), consent.clone(), self.clock.now());
        Ok(())
    }

    async fn take_consent(&self, id: &str) -> Result<Option<Consent>, CacheError> {
        Ok(self.kept().consents.take(&id.to_owned(), self.clock.now()))
    }
}

#[async_trait]
impl RolloutCache for MemoryCache {
    async fn rollout_percent(&self, provider: Provider) -> Result<Option<u8>, CacheError> {
        Ok(self.kept().rollouts.recall(&provider, self.clock.now()))
    }

    async fn put_rollout_percent(&self, provider: Provider, percent: u8) -> Result<(), CacheError> {
        self.kept().rollouts.remember(provider, percent, self.clock.now());
        Ok(())
    }
}

#[async_trait]
impl CacheHealth for MemoryCache {
    async fn ping(&self) -> Result<(), CacheError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contracts::{ManualClock, sample_job};

    #[tokio::test]
    async fn the_memory_does_not_grow_with_the_jobs() {
        let clock = ManualClock::new();
        let cache = MemoryCache::new(clock.clone());
        let workspace: WorkspaceId = "local".parse().unwrap();
        for n in 0..30_000 {
            let job = sample_job(&workspace, &format!("{n}"), clock.now());
            assert_eq!(cache.claim_keys(&[job.job_id], None).await.unwrap().0, [true]);
            cache.put_jobs(&[job]).await.unwrap();
        }
        let kept = cache.kept();
        assert_eq!((kept.jobs.count(), kept.claims.count()), (10_000, 10_000));
    }

    #[tokio::test]
    async fn what_has_expired_makes_room() {
        let clock = ManualClock::new();
        let cache = MemoryCache::new(clock.clone());
        let workspace: WorkspaceId = "local".parse().unwrap();
        for n in 0..10 {
            cache.put_jobs(&[sample_job(&workspace, &format!("{n}"), clock.now())]).await.unwrap();
        }
        clock.advance(std::time::Duration::from_mins(15));
        cache.put_jobs(&[sample_job(&workspace, "new", clock.now())]).await.unwrap();
        assert_eq!(cache.kept().jobs.count(), 1);
    }
}
