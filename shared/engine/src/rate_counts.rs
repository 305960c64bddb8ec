//! Counts of requests, in this process.

use std::{collections::HashMap, time::Duration};

use domain::KeyId;
use jiff::{SignedDuration, Timestamp};

use crate::{
    ports::{Decision, RATE_LIMIT_WINDOW, REVOKED_FOR, RateLimit},
    recent::Recent,
};

/// The requests of keys and workspaces in the current minute and the one before, as `count_request.lua` counts them
/// in Redis.
pub struct RateCounts {
    counts: HashMap<String, Count>,
    /// The minute of the last cleanup.
    swept: i64,
    revoked: Recent<KeyId, ()>,
}

impl Default for RateCounts {
    fn default() -> Self {
        let revoked = Recent::good_for(SignedDuration::try_from(REVOKED_FOR).unwrap_or(SignedDuration::MAX));
        Self { counts: HashMap::new(), swept: 0, revoked }
    }
}

struct Count {
    minute: i64,
    now: u32,
    before: u32,
}

impl RateCounts {
    /// Refuses requests of this key from now on.
    pub fn revoke(&mut self, key: &KeyId, now: Timestamp) {
        self.revoked.remember(key.clone(), (), now);
    }

    /// Counts a request that has a limit.
    pub fn count(&mut self, rate_limit: Option<&RateLimit>, now: Timestamp) -> Decision {
        let Some(rate_limit) = rate_limit else { return Decision::Allowed };
        if self.revoked.recall(&rate_limit.key, now).is_some() {
            return Decision::Revoked;
        }
        let now = now.as_millisecond();
        let minute = now.div_euclid(WINDOW);
        if self.swept != minute {
            self.counts.retain(|_, count| (minute - count.minute).abs() <= 1);
            self.swept = minute;
        }
        let limits = [
            (format!("K#{}", rate_limit.key), rate_limit.per_key),
            (format!("W#{}", rate_limit.workspace), rate_limit.per_workspace),
        ];
        let [key, workspace] = limits.each_ref().map(|(who, limit)| self.look(who, *limit, now));
        let decision = key.and(workspace);
        if decision == Decision::Allowed {
            for (who, _) in &limits {
                self.counts.entry(who.clone()).and_modify(|count| count.now += 1);
            }
        }
        decision
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn look(&mut self, who: &str, limit: u32, now: i64) -> Decision {
        let minute = now.div_euclid(WINDOW);
        let count = self.counts.entry(who.to_owned()).or_insert(Count { minute, now: 0, before: 0 });
        if count.minute != minute {
            let before = if count.minute == minute - 1 { count.now } else { 0 };
            *count = Count { minute, now: 0, before };
        }
        let (window, elapsed) = (WINDOW as f64, now.rem_euclid(WINDOW) as f64);
        let (of_now, before, most) = (f64::from(count.now), f64::from(count.before), f64::from(limit));
        if before * (window - elapsed) / window + of_now + 1.0 <= most {
            return Decision::Allowed;
        }
        // Until enough requests have left the window: of the minute before, or, when this one is full, of this one.
        let wait = if of_now < most {
            window - window * (most - of_now - 1.0) / before - elapsed
        } else {
            window - elapsed + (window - window * (most - 1.0) / of_now).max(0.0)
        };
        Decision::Refused { limit, retry_after: Duration::from_secs_f64(wait.ceil().max(1.0) / 1000.0) }
    }
}

/// Milliseconds of the window.
#[expect(clippy::cast_possible_truncation, reason = "a minute")]
const WINDOW: i64 = RATE_LIMIT_WINDOW.as_millis() as i64;
