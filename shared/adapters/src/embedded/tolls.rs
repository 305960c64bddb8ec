use std::{collections::HashMap, time::Duration};

use engine::ports::{Passage, TOLL_WINDOW, Toll};
use jiff::Timestamp;

/// The requests of keys and workspaces, in the minute of the clock and the one before; the same as
/// `count_request.lua` keeps in Redis.
#[derive(Default)]
pub(super) struct Tolls {
    counts: HashMap<String, Count>,
    /// The minute in which what is over was forgotten last.
    swept: i64,
}

struct Count {
    minute: i64,
    now: u32,
    before: u32,
}

impl Tolls {
    pub fn count(&mut self, toll: Option<&Toll>, now: Timestamp) -> Passage {
        let Some(toll) = toll else { return Passage::Free };
        let now = now.as_millisecond();
        let minute = now.div_euclid(WINDOW);
        if self.swept != minute {
            self.counts.retain(|_, count| (minute - count.minute).abs() <= 1);
            self.swept = minute;
        }
        let limits = [(format!("K#{}", toll.key), toll.per_key), (format!("W#{}", toll.workspace), toll.per_workspace)];
        let refused = limits.iter().map(|(who, limit)| self.look(who, *limit, now)).reduce(Passage::and);
        if refused == Some(Passage::Free) {
            for (who, _) in &limits {
                self.counts.entry(who.clone()).and_modify(|count| count.now += 1);
            }
        }
        refused.unwrap_or(Passage::Free)
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small numbers"
    )]
    fn look(&mut self, who: &str, limit: u32, now: i64) -> Passage {
        let minute = now.div_euclid(WINDOW);
        let count = self.counts.entry(who.to_owned()).or_insert(Count { minute, now: 0, before: 0 });
        if count.minute != minute {
            let before = if count.minute == minute - 1 { count.now } else { 0 };
            *count = Count { minute, now: 0, before };
        }
        let (window, elapsed) = (WINDOW as f64, now.rem_euclid(WINDOW) as f64);
        let (of_now, before, most) = (f64::from(count.now), f64::from(count.before), f64::from(limit));
        if before * (window - elapsed) / window + of_now + 1.0 <= most {
            return Passage::Free;
        }
        // Until what fades out leaves room: of the minute before, or, when this one is full, of this one.
        let wait = if of_now < most {
            window - window * (most - of_now - 1.0) / before - elapsed
        } else {
            window - elapsed + (window - window * (most - 1.0) / of_now).max(0.0)
        };
        Passage::Refused { limit, retry_after: Duration::from_millis(wait.ceil().max(1.0) as u64) }
    }
}

/// Milliseconds of the window.
#[expect(clippy::cast_possible_truncation, reason = "a minute")]
const WINDOW: i64 = TOLL_WINDOW.as_millis() as i64;
