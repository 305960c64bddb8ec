use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{Job, JobId, PayloadHash, Provider};
use engine::ports::{
    CONSENT_WITHIN, Cache, CacheError, Consent, FirstSight, KeyClaim, Passage, Sealed, TOLL_WINDOW, Toll,
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
        toll: Option<&Toll>,
        commands: impl IntoIterator<Item = Cmd>,
    ) -> Result<(Vec<Value>, Passage), CacheError> {
        // Both in one slot, so that what one of them refuses does not count for the other.
        let call = |toll: &Toll| {
            let keys = [format!(":K#{}", toll.key), String::new()];
            let mut call = self.count_request.call(&keys.map(|key| format!("orc:{{W#{}}}:rate{key}", toll.workspace)));
            call.arg(milliseconds(TOLL_WINDOW)).arg(toll.per_key).arg(toll.per_workspace);
            call
        };
        let all = toll.map(call).into_iter().chain(commands);
        let mut answers = self.count_request.query(&self.connection, all).await?;
        let rest = answers.split_off(usize::from(toll.is_some()));
        let mut passage = Passage::Free;
        if let (Some(toll), Some(answer)) = (toll, answers.pop()) {
            let (refused, wait): (u8, u64) = read(answer)?;
            let limit = if refused == 1 { toll.per_key } else { toll.per_workspace };
            if refused > 0 {
                passage = Passage::Refused { limit, retry_after: Duration::from_millis(wait) };
            }
        }
        Ok((rest, passage))
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn claim_keys(
        &self,
        claims: &[KeyClaim],
        toll: Option<&Toll>,
    ) -> Result<(Vec<FirstSight>, Passage), CacheError> {
        // When the answer of a claim is lost, its repetition sees it as somebody else's: too much
        // seen, never too little, and the ledger knows which it was.
        let command = |claim: &KeyClaim| {
            let mut command = cmd("SET");
            command.arg(format!("orc:{{{}}}:claim", claim.job_id)).arg(claim.payload_hash.as_str());
            command.arg("NX").arg("GET").arg("EX").arg(CLAIM);
            command
        };
        let (answers, passage) = self.counting(toll, claims.iter().map(command)).await?;
        Ok((answers.into_iter().map(first_sight).collect::<Result<_, _>>()?, passage))
    }

    async fn count(&self, toll: &Toll) -> Result<Passage, CacheError> {
        Ok(self.counting(Some(toll), []).await?.1)
    }

    async fn put_jobs(&self, jobs: &[Job]) -> Result<(), CacheError> {
        let call = |job: &Job| {
            let body = serde_json::to_string(job).map_err(|_| CacheError("a job is no JSON".to_owned()))?;
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

    async fn job(&self, id: JobId, toll: Option<&Toll>) -> Result<(Option<Job>, Passage), CacheError> {
        let mut command = cmd("HGET");
        command.arg(job_key(id)).arg("body");
        let (mut answers, passage) = self.counting(toll, [command]).await?;
        let body: Option<String> = read(answers.pop().unwrap_or(Value::Nil))?;
        // A version that this program cannot read is one that it does not have.
        Ok((body.and_then(|body| serde_json::from_str(&body).ok()), passage))
    }

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

fn first_sight(before: Value) -> Result<FirstSight, CacheError> {
    let Some(hash) = read::<Option<String>>(before)? else { return Ok(FirstSight::New) };
    let hash: PayloadHash = serde_json::from_value(json!(hash)).map_err(|_| unreadable())?;
    Ok(FirstSight::Seen(hash))
}

fn read<T: redis::FromRedisValue>(value: Value) -> Result<T, CacheError> {
    from_redis_value(value).map_err(|_| unreadable())
}

fn unreadable() -> CacheError {
    CacheError("the answer cannot be read".to_owned())
}

impl From<Fault> for CacheError {
    fn from(fault: Fault) -> Self {
        Self(fault.to_string())
    }
}
