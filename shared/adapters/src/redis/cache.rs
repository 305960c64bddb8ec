//! The cache of all instances, on Redis.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{Job, JobId, KeyId, Provider, WorkspaceId};
use engine::ports::{
    CONSENT_WITHIN, CacheError, CacheHealth, Claims, Consent, Consents, Counted, Decision, JobCache, Locks,
    RATE_LIMIT_WINDOW, REVOKED_FOR, RateLimit, RateLimits, RolloutCache, Sealed,
};
use redis::{FromRedisValue, Value, from_redis_value};
use uuid::Uuid;

use super::{
    connection::{Fault, RedisConnection},
    key, milliseconds,
    script::{Call, Script},
};

static PUT_JOB: Script = Script::new(include_str!("lua/put_job.lua"));
static UNLOCK: Script = Script::new(include_str!("lua/unlock.lua"));
static COUNT_REQUEST: Script = Script::new(include_str!("lua/count_request.lua"));

/// How long a claim holds, in seconds.
const CLAIM: u64 = 15 * 60;

/// How long a job that has ended is kept, in seconds.
const ENDED: u64 = 15 * 60;

/// How long a job that goes on is kept, in seconds. When the put of its next version fails, polls see the
/// version before no longer than this; then they ask the ledger.
const OPEN: u64 = 30;

/// How long a rollout's share is kept, in seconds.
const ROLLOUT: u64 = 60;

/// The cache of all instances. Every command of it may be repeated: see each.
pub struct RedisCache(Arc<RedisConnection>);

impl RedisCache {
    /// A cache over this connection, which others may use too.
    pub fn new(connection: Arc<RedisConnection>) -> Self {
        Self(connection)
    }

    /// Counts a request and asks these commands, in one round trip.
    async fn counting<T: FromRedisValue>(
        &self,
        rate_limit: Option<&RateLimit>,
        calls: impl IntoIterator<Item = Call>,
    ) -> Counted<T> {
        // All in one slot, so that what one of them refuses does not count for the other.
        let count = |RateLimit { workspace, key, per_key, per_workspace }: &RateLimit| {
            let slot = format!("W#{workspace}");
            let (of_key, of_all) = (super::key(&slot, &format!("rate:K#{key}")), super::key(&slot, "rate"));
            let keys = [of_key, of_all, revoked_key(workspace, key)];
            COUNT_REQUEST.call(&keys, (milliseconds(RATE_LIMIT_WINDOW), per_key, per_workspace))
        };
        let all = rate_limit.map(count).into_iter().chain(calls);
        let mut answers: Vec<Value> = self.0.query(all).await?;
        let mut decision = Decision::Allowed;
        if let Some(rate_limit) = rate_limit {
            let (refused, wait): (u8, u64) = read(answers.remove(0))?;
            let refusal = |limit| Decision::Refused { limit, retry_after: Duration::from_millis(wait) };
            decision = match refused {
                0 => Decision::Allowed,
                1 => refusal(rate_limit.per_key),
                2 => refusal(rate_limit.per_workspace),
                _ => Decision::Revoked,
            };
        }
        Ok((read(Value::Array(answers))?, decision))
    }
}

#[async_trait]
impl Claims for RedisCache {
    async fn claim_keys(&self, jobs: &[JobId], limit: Option<&RateLimit>) -> Counted<Vec<bool>> {
        // When the answer of a claim is lost, its repetition sees it as somebody else's: too much
        // seen, never too little, and the ledger knows which it was.
        let command = |id: &JobId| Call::new("SET", (key(id, "claim"), 1, "NX", "EX", CLAIM));
        self.counting(limit, jobs.iter().map(command)).await
    }
}

#[async_trait]
impl JobCache for RedisCache {
    async fn put_jobs(&self, jobs: &[Job]) -> Result<(), CacheError> {
        Ok(self.0.query(jobs.iter().map(put)).await?)
    }

    async fn put_claimed(&self, job: &Job, account: &str) -> Result<Duration, CacheError> {
        let held = Call::new("PTTL", key(account, "hold"));
        // Negative where there is no hold.
        let ((), left): ((), i64) = self.0.query([put(job), held]).await?;
        Ok(Duration::from_millis(left.try_into().unwrap_or_default()))
    }

    async fn cached_job(&self, workspace: &WorkspaceId, id: JobId, limit: Option<&RateLimit>) -> Counted<Option<Job>> {
        let get = Call::new("HGET", (job_key(workspace, id), "body"));
        let ((body,), decision): ((Option<String>,), _) = self.counting(limit, [get]).await?;
        // A version that this program cannot read is one that it does not have.
        Ok((body.and_then(|body| serde_json::from_str(&body).ok()), decision))
    }
}

#[async_trait]
impl RateLimits for RedisCache {
    async fn count(&self, rate_limit: &RateLimit) -> Result<Decision, CacheError> {
        let ((), decision) = self.counting(Some(rate_limit), []).await?;
        Ok(decision)
    }

    async fn revoke(&self, workspace: &WorkspaceId, key: &KeyId) -> Result<(), CacheError> {
        let set = Call::new("SET", (revoked_key(workspace, key), 1, "EX", REVOKED_FOR.as_secs()));
        Ok(self.0.query_one(set).await?)
    }

    async fn hold(&self, account: &str, wait: Duration) -> Result<(), CacheError> {
        let (key, wait) = (key(account, "hold"), milliseconds(wait).max(1));
        let set = Call::new("SET", (&key, 1, "NX", "PX", wait));
        let longer = Call::new("PEXPIRE", (&key, wait, "GT"));
        let _: (Value, Value) = self.0.query([set, longer]).await?;
        Ok(())
    }
}

#[async_trait]
impl Locks for RedisCache {
    async fn lock(&self, name: &str, owner: Uuid, at_most: Duration) -> Result<bool, CacheError> {
        // What was there is in the answer, so that a repetition knows its own lock.
        let set = (key(name, "lock"), owner.to_string(), "NX", "GET", "PX", milliseconds(at_most));
        let before: Option<String> = self.0.query_one(Call::new("SET", set)).await?;
        Ok(before.is_none_or(|before| before == owner.to_string()))
    }

    async fn unlock(&self, name: &str, owner: Uuid) -> Result<(), CacheError> {
        Ok(self.0.query_one(UNLOCK.call(&[key(name, "lock")], owner.to_string())).await?)
    }
}

#[async_trait]
impl Consents for RedisCache {
    async fn put_consent(&self, id: &str, consent: &Consent) -> Result<(), CacheError> {
        let text = format!("{} {}", consent.workspace, consent.sealed.0);
        let set = Call::new("SET", (key(id, "consent"), text, "EX", CONSENT_WITHIN.as_secs()));
        Ok(self.0.query_one(set).await?)
    }

    async fn take_consent(&self, id: &str) -> Result<Option<Consent>, CacheError> {
        // When the answer is lost, its repetition finds nothing: then the person starts again.
        let text: Option<String> = self.0.query_one(Call::new("GETDEL", key(id, "consent"))).await?;
        let Some(text) = text else { return Ok(None) };
        let (workspace, sealed) = text.split_once(' ').ok_or(Fault::Unreadable)?;
        let workspace = workspace.parse().map_err(|_| Fault::Unreadable)?;
        Ok(Some(Consent { workspace, sealed: Sealed(sealed.to_owned()) }))
    }
}

#[async_trait]
impl RolloutCache for RedisCache {
    async fn rollout_percent(&self, provider: Provider) -> Result<Option<u8>, CacheError> {
        let percent: Option<String> = self.0.query_one(Call::new("GET", rollout_key(provider))).await?;
        // Somebody may have written anything there by hand; what is no percent is not one.
        Ok(percent.and_then(|percent| percent.parse().ok()).filter(|percent| *percent <= 100))
    }

    async fn put_rollout_percent(&self, provider: Provider, percent: u8) -> Result<(), CacheError> {
        let set = Call::new("SET", (rollout_key(provider), percent, "EX", ROLLOUT));
        Ok(self.0.query_one(set).await?)
    }
}

#[async_trait]
impl CacheHealth for RedisCache {
    async fn ping(&self) -> Result<(), CacheError> {
        Ok(self.0.query_one(Call::new("PING", None::<u8>)).await?)
    }
}

/// A put over itself changes nothing.
fn put(job: &Job) -> Call {
    let body = serde_json::to_string(job).expect("a job is always JSON");
    let seconds = if job.state.has_ended() { ENDED } else { OPEN };
    PUT_JOB.call(&[job_key(&job.workspace_id, job.job_id)], (job.revision, job.state.status().as_str(), body, seconds))
}

/// It holds the workspace, so that another workspace's job is not there.
fn job_key(workspace: &WorkspaceId, id: JobId) -> String {
    key(format!("{workspace}#{id}"), "job")
}

fn revoked_key(workspace: &WorkspaceId, key: &KeyId) -> String {
    self::key(format!("W#{workspace}"), &format!("revoked:K#{key}"))
}

fn rollout_key(provider: Provider) -> String {
    format!("flags:{provider}:rollout_percent")
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, Fault> {
    from_redis_value(value).map_err(|_| Fault::Unreadable)
}

impl From<Fault> for CacheError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unreadable => Self::permanent(fault),
            fault => Self::new(fault),
        }
    }
}
