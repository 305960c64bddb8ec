use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use engine::ports::{BUDGET_BUCKETS, Budget, CacheError, Reservation, Reserved};
use redis::{Cmd, FromRedisValue, Value, from_redis_value};
use uuid::Uuid;

use super::{connection::RedisConnection, milliseconds, script::Script};

/// The budget of all instances, by the server's time. Each operation is one script that may be repeated: a
/// reservation is known by its id, a settling takes it away, a hold is only ever made longer.
pub struct RedisBudget {
    connection: Arc<RedisConnection>,
    /// The window, who asked, the hold.
    keys: [String; 3],
    window: Duration,
    reserve: Script,
    settle: Script,
    hold: Script,
    /// The server's time of the last grant to this process.
    granted_at: AtomicI64,
}

impl RedisBudget {
    /// The budget of this name (letters, digits, `-` and `_`), whose limit is for any `window`, 20 ms at least.
    pub fn new(connection: Arc<RedisConnection>, name: &str, window: Duration) -> Self {
        Self {
            connection,
            keys: ["window", "asked", "held"].map(|part| format!("orc:{{{name}}}:{part}")),
            window,
            reserve: Script::new(include_str!("lua/reserve_tokens.lua")),
            settle: Script::new(include_str!("lua/settle_tokens.lua")),
            hold: Script::new(include_str!("lua/hold_tokens.lua")),
            granted_at: AtomicI64::new(i64::MIN),
        }
    }

    async fn call<T: FromRedisValue>(&self, script: &Script, call: Cmd) -> Result<T, CacheError> {
        let answer = script.query(&self.connection, [call]).await?.pop().unwrap_or(Value::Nil);
        from_redis_value(answer).map_err(|_| CacheError::permanent("the answer cannot be read"))
    }
}

#[async_trait]
impl Budget for RedisBudget {
    async fn reserve(&self, reservation: &Reservation) -> Result<Reserved, CacheError> {
        let Reservation { id, workspace, tokens, limit } = reservation;
        let length = milliseconds(self.window / BUDGET_BUCKETS).max(1);
        let mut call = self.reserve.call(&self.keys);
        call.arg(id.to_string()).arg(workspace.as_str()).arg(tokens).arg(limit).arg(length).arg(BUDGET_BUCKETS);
        let (outcome, wait, left, now, known): (u8, u64, u64, i64, bool) = self.call(&self.reserve, call).await?;
        let wait = Duration::from_millis(wait);
        Ok(match outcome {
            0 => {
                let before = self.granted_at.swap(now, Ordering::Relaxed);
                let recently = u128::from(now.abs_diff(before)) < self.window.as_millis();
                Reserved::Granted { window_was_lost: recently && !known }
            }
            1 => Reserved::Exhausted { retry_after: wait, left },
            _ => Reserved::Held(wait),
        })
    }

    async fn settle(&self, id: Uuid, used: u64) -> Result<(), CacheError> {
        let [window, ..] = &self.keys;
        let mut call = self.settle.call(&[window]);
        // Few enough that Lua's numbers hold them, whatever a model says.
        call.arg(id.to_string()).arg(used.min(1 << 40));
        self.call::<u8>(&self.settle, call).await?;
        Ok(())
    }

    async fn hold(&self, duration: Duration) -> Result<(), CacheError> {
        let [.., held] = &self.keys;
        if duration.as_millis() > 0 {
            let mut call = self.hold.call(&[held]);
            call.arg(milliseconds(duration));
            self.call::<u8>(&self.hold, call).await?;
        }
        Ok(())
    }
}
