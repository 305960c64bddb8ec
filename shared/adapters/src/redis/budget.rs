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
use uuid::Uuid;

use super::{connection::RedisConnection, key, milliseconds, script::Script};

static RESERVE: Script = Script::new(include_str!("lua/reserve_tokens.lua"));
static SETTLE: Script = Script::new(include_str!("lua/settle_tokens.lua"));
static HOLD: Script = Script::new(include_str!("lua/hold_tokens.lua"));

/// The budget of all instances, by the server's time. Each operation is one script that may be repeated: a
/// reservation is known by its id, settling removes it, and a hold is only ever extended.
pub struct RedisBudget {
    connection: Arc<RedisConnection>,
    /// The keys of the window and the active workspaces, and the first part of a hold's.
    keys: [String; 3],
    window: Duration,
    /// The server's time at the last grant to this process.
    granted_at: AtomicI64,
}

impl RedisBudget {
    /// The budget with this name (letters, digits, `-` and `_`). The limit holds in any `window`, of at least 20 ms.
    pub fn new(connection: Arc<RedisConnection>, name: &str, window: Duration) -> Self {
        Self {
            connection,
            keys: ["window", "asked", "held"].map(|part| key(name, part)),
            window,
            granted_at: AtomicI64::new(i64::MIN),
        }
    }

    fn held(&self, model: &str) -> String {
        format!("{}:{model}", self.keys[2])
    }
}

#[async_trait]
impl Budget for RedisBudget {
    async fn reserve(&self, reservation: &Reservation) -> Result<Reserved, CacheError> {
        let Reservation { id, workspace, model, tokens, limit } = reservation;
        let [window, asked, _] = &self.keys;
        let length = milliseconds(self.window / BUDGET_BUCKETS).max(1);
        let arguments = (id.to_string(), workspace.as_str(), tokens, limit, length, BUDGET_BUCKETS);
        let (outcome, wait, left, now, known): (u8, u64, u64, i64, bool) =
            self.connection.query_one(RESERVE.call(&[window, asked, &self.held(model)], arguments)).await?;
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
        // Capped, so that sums are exact in Lua, whatever a model reports.
        let call = SETTLE.call(&[window], (id.to_string(), used.min(1 << 40)));
        Ok(self.connection.query_one(call).await?)
    }

    async fn hold(&self, model: &str, duration: Duration) -> Result<(), CacheError> {
        if duration.as_millis() > 0 {
            self.connection.query_one::<()>(HOLD.call(&[&self.held(model)], milliseconds(duration))).await?;
        }
        Ok(())
    }
}
