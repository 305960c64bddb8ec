//! Cache, token budget, queue and metrics on Redis 7 or Valkey, one server or a cluster.
//!
//! Every command and script touches keys of one slot only, as their hash tag (the part in braces)
//! says, so a cluster serves them like a single server:
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `orc:{JOB}:claim` | string | the payload hash that claimed the idempotency key, 15 minutes |
//! | `orc:{JOB}:job` | hash | `revision`, `status` and `body`, the job as JSON |
//! | `orc:{W#WORKSPACE}:rate`, `orc:{W#WORKSPACE}:rate:K#KEY` | hash | requests of a key and of a workspace, of this minute and the one before |
//! | `orc:{budget}:window` | hash | tokens by bucket and workspace, and what is reserved, a minute |
//! | `orc:{budget}:asked` | sorted set | workspaces that ask, by the time until when that counts |
//! | `orc:{budget}:held` | string | is there while the model holds everyone back |
//! | `orc:{metrics}:METRIC` | hash | a metric's counts by its labels' values, and a histogram's bucket or `sum` |
//! | `orc:{metrics}:flush:ID` | string | is there for some seconds after a flush, so that it is done once |
//! | `orc:{QUEUE}:ready` | list | ids of messages that wait, the oldest at the right |
//! | `orc:{QUEUE}:delayed` | sorted set | ids of messages that are not to be seen yet, by the time when they are |
//! | `orc:{QUEUE}:flight` | sorted set | ids of messages that were delivered, by the time when they come again |
//! | `orc:{QUEUE}:messages`, `orc:{QUEUE}:receives` | hashes | text and count of deliveries, by id |
//!
//! The queue's and the metrics' hashes do not expire, all others do: a server that evicts should evict `volatile-*` only.
//! No key is found by scanning. What is in them is what the ledger and a [`engine::JobMessage`] hold in the
//! clear; addresses, mails, prompts and tokens are not among it.

mod budget;
mod cache;
mod connection;
mod metrics;
mod queue;
mod script;

use std::time::Duration;

pub use budget::RedisBudget;
pub use cache::RedisCache;
pub use connection::{InvalidRedisUrl, RedisConnection};
pub use metrics::RedisMetrics;
pub use queue::RedisQueue;

/// Few enough that Lua's numbers hold them when they are added to a time.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).min(1 << 48)
}
