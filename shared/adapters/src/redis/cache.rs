//! The cache of all instances, on Redis.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{Job, JobId, PayloadHash, Provider};
use engine::ports::{
    CONSENT_WITHIN, CacheError, CacheHealth, ClaimResult, Claims, Consent, Consents, Decision, JobCache, KeyClaim,
    Locks, RATE_LIMIT_WINDOW, RateLimit, RateLimits, RolloutCache, Sealed,
};
use redis::{Cmd, Value, cmd, from_redis_value};
use serde_json::json;
use uuid::Uuid;

use super::{
    connection::{Fault, RedisConnection},
    milliseconds,
    script::Script,
};

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
pub struct RedisCache {
    connection: Arc<RedisConnection>,
    put_job: Script,
    unlock: Script,
    count_request: Script,
}

impl RedisCache {
    /// A cache over this connection, which others may use too.
    pub fn new(connection: Arc<RedisConnection>) -> Self {
        let put_job = Script::new(include_str!("lua/put_job.lua"));
        let unlock = Script::new(include_str!("lua/unlock.lua"));
        Self { connection, put_job, unlock, count_request: Script::new(include_str!("lua/count_request.lua")) }
    }

    /// Counts a request and asks these commands, in one round trip.
    async fn counting(
        &self,
        rate_limit: Option<&RateLimit>,
        commands: impl IntoIterator<Item = Cmd>,
    ) -> Result<(Vec<Value>, Decision), CacheError> {
        // Both in one slot, so that what one of them refuses does not count for the other.
        let call = |rate_limit: &RateLimit| {
            let keys = [format!(":K#{}", rate_limit.key), String::new()];
            let mut call =
                self.count_request.call(&keys.map(|key| format!("orc:{{W#{}}}:rate{key}", rate_limit.workspace)));
            call.arg(milliseconds(RATE_LIMIT_WINDOW)).arg(rate_limit.per_key).arg(rate_limit.per_workspace);
            call
        };
        let all = rate_limit.map(call).into_iter().chain(commands);
        let mut answers = self.count_request.query(&self.connection, all).await?;
        let rest = answers.split_off(usize::from(rate_limit.is_some()));
        let mut decision = Decision::Allowed;
        if let (Some(rate_limit), Some(answer)) = (rate_limit, answers.pop()) {
            let (refused, wait): (u8, u64) = read(answer)?;
            let limit = if refused == 1 { rate_limit.per_key } else { rate_limit.per_workspace };
            if refused > 0 {
                decision = Decision::Refused { limit, retry_after: Duration::from_millis(wait) };
            }
        }
        Ok((rest, decision))
    }
}

#[async_trait]
impl Claims for RedisCache {
    async fn claim_keys(
        &self,
        claims: &[KeyClaim],
        rate_limit: Option<&RateLimit>,
    ) -> Result<(Vec<ClaimResult>, Decision), CacheError> {
        // When the answer of a claim is lost, its repetition sees it as somebody else's: too much
        // seen, never too little, and the ledger knows which it was.
        let command = |claim: &KeyClaim| {
            let mut command = cmd("SET");
            command.arg(format!("orc:{{{}}}:claim", claim.job_id)).arg(claim.payload_hash.as_str());
            command.arg("NX").arg("GET").arg("EX").arg(CLAIM);
            command
        };
        let (answers, decision) = self.counting(rate_limit, claims.iter().map(command)).await?;
        Ok((answers.into_iter().map(claim_result).collect::<Result<_, _>>()?, decision))
    }
}

#[async_trait]
impl JobCache for RedisCache {
    async fn put_jobs(&self, jobs: &[Job]) -> Result<(), CacheError> {
        let call = |job: &Job| {
            let body = serde_json::to_string(job).map_err(|_| CacheError::permanent("a job is no JSON"))?;
            let seconds = if job.state.has_ended() { ENDED } else { OPEN };
            let mut call = self.put_job.call(&[job_key(job.job_id)]);
            call.arg(job.revision).arg(job.state.status().as_str()).arg(body).arg(seconds);
            Ok(call)
        };
        let calls = jobs.iter().map(call).collect::<Result<Vec<_>, CacheError>>()?;
        // A put over itself changes nothing.
        self.put_job.query(&self.connection, calls).await?;
        Ok(())
    }

    async fn cached_job(
        &self,
        id: JobId,
        rate_limit: Option<&RateLimit>,
    ) -> Result<(Option<Job>, Decision), CacheError> {
        let mut command = cmd("HGET");
        command.arg(job_key(id)).arg("body");
        let (mut answers, decision) = self.counting(rate_limit, [command]).await?;
        let body: Option<String> = read(answers.pop().unwrap_or(Value::Nil))?;
        // A version that this program cannot read is one that it does not have.
        Ok((body.and_then(|body| serde_json::from_str(&body).ok()), decision))
    }
}

#[async_trait]
impl RateLimits for RedisCache {
    async fn count(&self, rate_limit: &RateLimit) -> Result<Decision, CacheError> {
        Ok(self.counting(Some(rate_limit), []).await?.1)
    }
}

#[async_trait]
impl Locks for RedisCache {
    async fn lock(&self, name: &str, owner: Uuid, at_most: Duration) -> Result<bool, CacheError> {
        // What was there is in the answer, so that a repetition knows its own lock.
        let mut command = cmd("SET");
        command.arg(lock_key(name)).arg(owner.to_string()).arg("NX").arg("GET");
        command.arg("PX").arg(u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX));
        let before: Option<String> = read(self.connection.query_one(command).await?)?;
        Ok(before.is_none_or(|before| before == owner.to_string()))
    }

    async fn unlock(&self, name: &str, owner: Uuid) -> Result<(), CacheError> {
        let mut call = self.unlock.call(&[lock_key(name)]);
        call.arg(owner.to_string());
        self.unlock.query(&self.connection, [call]).await?;
        Ok(())
    }
}

#[async_trait]
impl Consents for RedisCache {
    async fn put_consent(&self, id: &str, consent: &Consent) -> Result<(), CacheError> {
        let mut command = cmd("SET");
        command.arg(consent_key(id)).arg(format!("{} {}", consent.workspace, consent.sealed.0));
        command.arg("EX").arg(CONSENT_WITHIN.as_secs());
        self.connection.query_one(command).await?;
        Ok(())
    }

    async fn take_consent(&self, id: &str) -> Result<Option<Consent>, CacheError> {
        // When the answer is lost, its repetition finds nothing: then the person begins anew.
        let mut command = cmd("GETDEL");
        command.arg(consent_key(id));
        let text: Option<String> = read(self.connection.query_one(command).await?)?;
        let Some(text) = text else { return Ok(None) };
        let (workspace, sealed) = text.split_once(' ').ok_or_else(unreadable)?;
        let workspace = workspace.parse().map_err(|_| unreadable())?;
        Ok(Some(Consent { workspace, sealed: Sealed(sealed.to_owned()) }))
    }
}

#[async_trait]
impl RolloutCache for RedisCache {
    async fn rollout_percent(&self, provider: Provider) -> Result<Option<u8>, CacheError> {
        let mut command = cmd("GET");
        command.arg(rollout_key(provider));
        let percent: Option<String> = read(self.connection.query_one(command).await?)?;
        // Somebody may have written anything there by hand; what is no percent is not one.
        Ok(percent.and_then(|percent| percent.parse().ok()).filter(|percent| *percent <= 100))
    }

    async fn put_rollout_percent(&self, provider: Provider, percent: u8) -> Result<(), CacheError> {
        let mut command = cmd("SET");
        command.arg(rollout_key(provider)).arg(percent).arg("EX").arg(ROLLOUT);
        self.connection.query_one(command).await?;
        Ok(())
    }
}

#[async_trait]
impl CacheHealth for RedisCache {
    async fn ping(&self) -> Result<(), CacheError> {
        self.connection.query_one(cmd("PING")).await?;
        Ok(())
    }
}

fn rollout_key(provider: Provider) -> String {
    format!("flags:{provider}:rollout_percent")
}

fn consent_key(id: &str) -> String {
    format!("orc:{{{id}}}:consent")
}

fn lock_key(name: &str) -> String {
    format!("orc:{{{name}}}:lock")
}

fn job_key(id: JobId) -> String {
    format!("orc:{{{id}}}:job")
}

fn claim_result(before: Value) -> Result<ClaimResult, CacheError> {
    let Some(hash) = read::<Option<String>>(before)? else { return Ok(ClaimResult::New) };
    let hash: PayloadHash = serde_json::from_value(json!(hash)).map_err(|_| unreadable())?;
    Ok(ClaimResult::Seen(hash))
}

fn read<T: redis::FromRedisValue>(value: Value) -> Result<T, CacheError> {
    from_redis_value(value).map_err(|_| unreadable())
}

fn unreadable() -> CacheError {
    CacheError::permanent("the answer cannot be read")
}

impl From<Fault> for CacheError {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}
