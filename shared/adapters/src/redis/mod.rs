//! Cache, token budget, queue and metrics on Redis 7 or Valkey, one server or a cluster.
//!
//! Every command and script uses keys of one slot only, by their hash tag (the part in braces), so a cluster serves
//! them like a single server:
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `orc:{JOB}:claim` | string | exists for 15 minutes after the job's idempotency key was claimed |
//! | `orc:{WORKSPACE#JOB}:job` | hash | `revision`, `status` and `body`, the job as JSON |
//! | `orc:{W#WORKSPACE}:rate`, `orc:{W#WORKSPACE}:rate:K#KEY` | hash | requests of a workspace and of a key, in this minute and the one before |
//! | `orc:{W#WORKSPACE}:revoked:K#KEY` | string | exists for two minutes after a key was revoked |
//! | `orc:{W#WORKSPACE#PROVIDER#ACCOUNT}:hold` | string | exists while the provider limits the rate of an account |
//! | `orc:{CONSENT}:consent` | string | a pending consent: its workspace, and the rest sealed; for ten minutes |
//! | `orc:{NAME}:lock` | string | the id of the lock's owner, until the lock ends |
//! | `flags:PROVIDER:rollout_percent` | string | a provider's rollout percentage, for a minute |
//! | `orc:{budget}:window` | hash | tokens by bucket and workspace, and reservations, for a minute |
//! | `orc:{budget}:asked` | sorted set | active workspaces, by the end of their activity |
//! | `orc:{budget}:held:MODEL` | string | exists while a model throttles |
//! | `orc:{metrics:N}:METRIC` | hash | a metric's counts by label values, and for a histogram by bucket or `sum`; N is 0 to 15, by instance |
//! | `orc:{metrics:N}:batch:INSTANCE` | string | the number of an instance's last batch of counts, for a day, so that each is added once |
//! | `orc:{QUEUE}:ready` | list | ids of waiting messages, the oldest on the right |
//! | `orc:{QUEUE}:delayed` | sorted set | ids of delayed messages, by the time when they become visible |
//! | `orc:{QUEUE}:flight` | sorted set | ids of delivered messages, by the time of their redelivery |
//! | `orc:{QUEUE}:messages`, `orc:{QUEUE}:receives` | hashes | text and number of deliveries, by id |
//!
//! The keys of the queue and of the metrics do not expire, except `batch:INSTANCE`. All others do: set an eviction policy to
//! `volatile-*`, if any. No key is found by scanning. A pending consent is sealed. Other values contain only what the ledger
//! and a [`engine::JobMessage`] hold unencrypted: no address, mail, prompt or token.

mod budget;
mod cache;
mod connection;
mod metrics;
mod queue;
mod script;

use std::{fmt::Display, time::Duration};

pub use budget::RedisBudget;
pub use cache::RedisCache;
pub use connection::{InvalidRedisUrl, RedisConnection};
pub use metrics::RedisMetrics;
pub use queue::RedisQueue;

/// A key whose slot is that of its owner.
fn key(of: impl Display, part: &str) -> String {
    format!("orc:{{{of}}}:{part}")
}

/// At most 2^48, so that a sum with a time is exact in Lua.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(1 << 48)
}
