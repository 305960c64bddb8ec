//! The token budget in Redis.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use engine::ports::{BUDGET_BUCKETS, Budget, CacheError, Reservation, Reserved};
use redis::{Cmd, FromRedisValue};
use uuid::Uuid;

use super::{connection::RedisConnection, milliseconds, script::Script};

/// The budget of all instances, by the server's time. Each operation is one script that may be repeated: a
/// reservation is known by its id, settling removes it, and a hold is only ever extended.
pub struct RedisBudget {
    connection: Arc<RedisConnection>,
    /// The keys of the window, the active workspaces and the hold.
    keys: [String; 3],
    window: Duration,
    reserve: Script,
    settle: Script,
    hold: Script,
    /// The server's time at the last grant to this process.
    granted_at: AtomicI64,
}

impl RedisBudget {
    /// The budget with this name (letters, digits, `-` and `_`). The limit holds in any `window`, of at least 20 ms.
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
        script.query_one(&self.connection, call).await.map_err(CacheError::from)
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
        // Capped, so that sums are exact in Lua, whatever a model reports.
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
