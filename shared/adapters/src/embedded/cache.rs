//! The cache of one process.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use domain::{Job, JobId, PayloadHash, Provider};
use engine::ports::{
    CONSENT_WITHIN, CacheError, CacheHealth, ClaimResult, Claims, Clock, Consent, Consents, Decision, JobCache,
    KeyClaim, Locks, RateLimit, RateLimits, RolloutCache,
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::rate_limit::RateCounts;

/// How long a claim holds, and how long a job is kept after it was put last.
const KEPT_FOR: SignedDuration = SignedDuration::from_mins(15);

/// How long a rollout's share is kept.
const ROLLOUT: SignedDuration = SignedDuration::from_mins(1);

/// The cache of one process. It keeps so many claims and so many jobs at most, the newest, so its
/// memory does not grow with what has passed through.
pub struct MemoryCache {
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

struct Kept {
    claims: Recent<PayloadHash>,
    jobs: Recent<Job>,
    rollouts: BTreeMap<Provider, (u8, Timestamp)>,
    /// With when each ends.
    consents: HashMap<String, (Consent, Timestamp)>,
    locks: HashMap<String, (Uuid, Timestamp)>,
    rate_counts: RateCounts,
}

impl MemoryCache {
    /// An empty cache of at most 10,000 claims and 10,000 jobs.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_capacity(clock, 10_000)
    }

    /// An empty cache of at most `capacity` claims and as many jobs.
    pub fn with_capacity(clock: Arc<dyn Clock>, capacity: usize) -> Self {
        let (claims, jobs) = (Recent::new(capacity), Recent::new(capacity));
        let kept = Kept {
            claims,
            jobs,
            rollouts: BTreeMap::new(),
            consents: HashMap::new(),
            locks: HashMap::new(),
            rate_counts: RateCounts::default(),
        };
        Self { clock, kept: Mutex::new(kept) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing in here panics half-way, and what a cache holds need not be right for ever.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Claims for MemoryCache {
    async fn claim_keys(
        &self,
        claims: &[KeyClaim],
        rate_limit: Option<&RateLimit>,
    ) -> Result<(Vec<ClaimResult>, Decision), CacheError> {
        let now = self.clock.now();
        let mut kept = self.kept();
        let decision = kept.rate_counts.count(rate_limit, now);
        let known = &mut kept.claims;
        let results = claims.iter().map(|claim| {
            if let Some(hash) = known.get(claim.job_id, now) {
                return ClaimResult::Seen(hash.clone());
            }
            known.put(claim.job_id, claim.payload_hash.clone(), now);
            ClaimResult::New
        });
        Ok((results.collect(), decision))
    }
}

#[async_trait]
impl JobCache for MemoryCache {
    async fn put_jobs(&self, jobs: &[Job]) -> Result<(), CacheError> {
        let now = self.clock.now();
        let known = &mut self.kept().jobs;
        for job in jobs {
            if known.get(job.job_id, now).is_none_or(|kept| kept.revision <= job.revision) {
                known.put(job.job_id, job.clone(), now);
            }
        }
        Ok(())
    }

    async fn cached_job(
        &self,
        id: JobId,
        rate_limit: Option<&RateLimit>,
    ) -> Result<(Option<Job>, Decision), CacheError> {
        let (now, mut kept) = (self.clock.now(), self.kept());
        let decision = kept.rate_counts.count(rate_limit, now);
        Ok((kept.jobs.get(id, now).cloned(), decision))
    }
}

#[async_trait]
impl RateLimits for MemoryCache {
    async fn count(&self, rate_limit: &RateLimit) -> Result<Decision, CacheError> {
        Ok(self.kept().rate_counts.count(Some(rate_limit), self.clock.now()))
    }
}

#[async_trait]
impl Locks for MemoryCache {
    async fn lock(&self, name: &str, owner: Uuid, at_most: Duration) -> Result<bool, CacheError> {
        let now = self.clock.now();
        let known = &mut self.kept().locks;
        known.retain(|_, (_, until)| *until > now);
        let (holder, _) = known.entry(name.to_owned()).or_insert((owner, after(now, at_most)));
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
        let now = self.clock.now();
        let known = &mut self.kept().consents;
        known.retain(|_, (_, until)| *until > now);
        known.insert(id.to_owned(), (consent.clone(), after(now, CONSENT_WITHIN)));
        Ok(())
    }

    async fn take_consent(&self, id: &str) -> Result<Option<Consent>, CacheError> {
        let now = self.clock.now();
        let taken = self.kept().consents.remove(id);
        Ok(taken.filter(|(_, until)| *until > now).map(|(consent, _)| consent))
    }
}

#[async_trait]
impl RolloutCache for MemoryCache {
    async fn rollout_percent(&self, provider: Provider) -> Result<Option<u8>, CacheError> {
        let now = self.clock.now();
        let known = self.kept().rollouts.get(&provider).copied();
        Ok(known.filter(|(_, put_at)| now.duration_since(*put_at) < ROLLOUT).map(|(percent, _)| percent))
    }

    async fn put_rollout_percent(&self, provider: Provider, percent: u8) -> Result<(), CacheError> {
        self.kept().rollouts.insert(provider, (percent, self.clock.now()));
        Ok(())
    }
}

#[async_trait]
impl CacheHealth for MemoryCache {
    async fn ping(&self) -> Result<(), CacheError> {
        Ok(())
    }
}

fn after(now: Timestamp, duration: Duration) -> Timestamp {
    now.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// A map that forgets: each value after a while, and the oldest when there are too many.
struct Recent<V> {
    capacity: usize,
    values: HashMap<JobId, (V, Timestamp)>,
    /// The keys of `values`, each once, in the order they came.
    order: VecDeque<JobId>,
}

impl<V> Recent<V> {
    fn new(capacity: usize) -> Self {
        Self { capacity, values: HashMap::new(), order: VecDeque::new() }
    }

    fn get(&self, key: JobId, now: Timestamp) -> Option<&V> {
        self.values.get(&key).filter(|(_, until)| *until > now).map(|(value, _)| value)
    }

    fn put(&mut self, key: JobId, value: V, now: Timestamp) {
        if self.values.insert(key, (value, now + KEPT_FOR)).is_none() {
            self.order.push_back(key);
        }
        while let Some(oldest) = self.order.front() {
            let expired = self.values.get(oldest).is_none_or(|(_, until)| *until <= now);
            if !expired && self.order.len() <= self.capacity {
                break;
            }
            self.values.remove(oldest);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use contracts::{ManualClock, sample_job};
    use domain::WorkspaceId;

    use super::*;

    #[tokio::test]
    async fn the_memory_does_not_grow_with_the_jobs() {
        let clock = ManualClock::new();
        let cache = MemoryCache::with_capacity(clock.clone(), 100);
        let workspace: WorkspaceId = "local".parse().unwrap();
        for n in 0..100_000 {
            let job = sample_job(&workspace, &format!("{n}"), clock.now());
            let claim = KeyClaim { job_id: job.job_id, payload_hash: job.payload_hash.clone() };
            assert_eq!(cache.claim_keys(&[claim], None).await.unwrap().0, [ClaimResult::New]);
            cache.put_jobs(&[job]).await.unwrap();
        }
        let kept = cache.kept();
        assert_eq!((kept.jobs.values.len(), kept.jobs.order.len()), (100, 100));
        assert_eq!((kept.claims.values.len(), kept.claims.order.len()), (100, 100));
        assert!(kept.jobs.values.capacity() < 1000 && kept.jobs.order.capacity() < 1000);
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
        assert_eq!(cache.kept().jobs.values.len(), 1);
    }
}
