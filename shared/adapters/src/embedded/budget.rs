//! The token budget in memory.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use domain::WorkspaceId;
use engine::ports::{BUDGET_BUCKETS, Budget, CacheError, Clock, Reservation, Reserved};
use uuid::Uuid;

/// The budget of one process. Its memory is bounded by the window.
pub struct MemoryBudget {
    clock: Arc<dyn Clock>,
    /// Milliseconds of a bucket.
    length: i64,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    /// Tokens of each bucket and workspace.
    used: BTreeMap<(i64, WorkspaceId), u64>,
    /// Reservations that are not settled.
    reserved: HashMap<Uuid, (i64, WorkspaceId, u64)>,
    /// Active workspaces, and the end of their activity.
    asked: HashMap<WorkspaceId, i64>,
    /// Models on hold, and the end of it.
    held: HashMap<String, i64>,
}

/// How many buckets count besides the current one.
const BUCKETS: i64 = BUDGET_BUCKETS as i64;

impl MemoryBudget {
    /// An unused budget. The limit holds in any `window`, of at least 20 ms.
    pub fn new(clock: Arc<dyn Clock>, window: Duration) -> Self {
        let length = milliseconds(window / BUDGET_BUCKETS).max(1);
        Self { clock, length, window: Mutex::default() }
    }

    /// The longest time that a grant counts.
    fn span(&self) -> i64 {
        self.length * (BUCKETS + 1)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Window, i64) -> T) -> T {
        // No change can panic halfway.
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now().as_millisecond();
        let current = now.div_euclid(self.length);
        // A clock that was set back leaves buckets in the future. They count for at most a window.
        window.used.retain(|(bucket, _), _| (bucket - current).abs() <= BUCKETS);
        window.reserved.retain(|_, (bucket, ..)| (*bucket - current).abs() <= BUCKETS);
        window.held.retain(|_, until| *until > now);
        window.asked.retain(|_, until| *until > now && *until - now <= self.span() * 2);
        change(&mut window, now)
    }

    fn take(&self, window: &mut Window, now: i64, asked: &Reservation) -> Reserved {
        let granted = Reserved::Granted { window_was_lost: false };
        if window.reserved.contains_key(&asked.id) {
            return granted;
        }
        if let Some(until) = window.held.get(&asked.model) {
            return Reserved::Held(Duration::from_millis((until - now).unsigned_abs()));
        }
        window.asked.insert(asked.workspace.clone(), now + self.span());
        let share = asked.limit / window.asked.len() as u64;
        let mut total: u64 = window.used.values().sum();
        let mut own: u64 = window.used.iter().filter(|((_, who), _)| *who == asked.workspace).map(|(_, n)| n).sum();
        let left = asked.limit.saturating_sub(total).min(share.saturating_sub(own));
        let fits = |total: u64, own: u64| {
            total.saturating_add(asked.tokens) <= asked.limit && (own == 0 || own.saturating_add(asked.tokens) <= share)
        };
        if fits(total, own) {
            let bucket = now.div_euclid(self.length);
            *window.used.entry((bucket, asked.workspace.clone())).or_default() += asked.tokens;
            window.reserved.insert(asked.id, (bucket, asked.workspace.clone(), asked.tokens));
            return granted;
        }
        let mut free = now + self.span();
        for ((bucket, who), tokens) in &window.used {
            total -= tokens;
            own -= if *who == asked.workspace { *tokens } else { 0 };
            if fits(total, own) {
                free = (bucket + BUCKETS + 1) * self.length;
                break;
            }
        }
        // It must still count when it tries again.
        window.asked.insert(asked.workspace.clone(), free + self.span());
        Reserved::Exhausted { retry_after: Duration::from_millis((free - now).unsigned_abs()), left }
    }
}

#[async_trait]
impl Budget for MemoryBudget {
    async fn reserve(&self, reservation: &Reservation) -> Result<Reserved, CacheError> {
        Ok(self.with(|window, now| self.take(window, now, reservation)))
    }

    async fn settle(&self, id: Uuid, used: u64) -> Result<(), CacheError> {
        self.with(|window, _| {
            if let Some((bucket, workspace, tokens)) = window.reserved.remove(&id)
                && let Some(sum) = window.used.get_mut(&(bucket, workspace))
            {
                // Capped, so that sums cannot overflow, whatever a model reports.
                *sum = *sum - tokens + used.min(1 << 40);
            }
        });
        Ok(())
    }

    async fn hold(&self, model: &str, duration: Duration) -> Result<(), CacheError> {
        let held = milliseconds(duration);
        self.with(|window, now| {
            let until = window.held.entry(model.to_owned()).or_default();
            *until = now.saturating_add(held).max(*until);
        });
        Ok(())
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use contracts::ManualClock;
    use proptest::prelude::*;

    use super::*;

    fn asks(n: u128, tokens: u64) -> Reservation {
        let (id, workspace) = (Uuid::from_u128(n), "local".parse().unwrap());
        Reservation { id, workspace, model: "a-model".to_owned(), tokens, limit: 100 }
    }

    #[tokio::test]
    async fn a_grant_late_in_a_bucket_counts_for_a_whole_window() {
        let clock = ManualClock::new();
        let budget = MemoryBudget::new(clock.clone(), Duration::from_mins(1));
        clock.advance(Duration::from_millis(2999));
        assert!(matches!(budget.reserve(&asks(1, 100)).await, Ok(Reserved::Granted { .. })));
        clock.advance(Duration::from_mins(1));
        let exhausted = Reserved::Exhausted { retry_after: Duration::from_millis(1), left: 0 };
        assert_eq!(budget.reserve(&asks(2, 1)).await.unwrap(), exhausted);
        clock.advance(Duration::from_millis(1));
        assert!(matches!(budget.reserve(&asks(3, 100)).await, Ok(Reserved::Granted { .. })));
    }

    #[tokio::test]
    async fn memory_does_not_grow_with_reservations() {
        let clock = ManualClock::new();
        let budget = MemoryBudget::new(clock.clone(), Duration::from_mins(1));
        for n in 0..10_000 {
            let mut one = asks(n, 1);
            one.workspace = format!("w-{n}").parse().unwrap();
            budget.reserve(&one).await.unwrap();
            clock.advance(Duration::from_secs(1));
        }
        let window = budget.window.lock().unwrap();
        assert!(window.used.len() <= 63 && window.reserved.len() <= 63 && window.asked.len() <= 63);
    }

    /// A request after a pause, settled after these times for these percentages, or never.
    #[derive(Debug, Clone)]
    struct Asks {
        after: u64,
        who: usize,
        tokens: u64,
        settles: Vec<(u64, u64)>,
    }

    fn somebody_asks() -> impl Strategy<Value = Asks> {
        let settles = prop::collection::vec((0..150_000_u64, 0..=100_u64), 0..3);
        (0..9_000_u64, 0..3_usize, 1..=60_u64, settles).prop_map(|(after, who, tokens, settles)| Asks {
            after,
            who,
            tokens,
            settles,
        })
    }

    /// A reservation that was granted: when, for how much, and when it was first settled, for how much.
    #[derive(Debug)]
    struct Granted {
        at: u64,
        tokens: u64,
        settled: Option<(u64, u64)>,
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn settling_never_creates_budget(all in prop::collection::vec(somebody_asks(), 1..60)) {
            const WINDOW: u64 = 60_000;
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let clock = ManualClock::new();
            let budget = MemoryBudget::new(clock.clone(), Duration::from_millis(WINDOW));
            // All events by time: a request, or a settlement of it.
            let mut events: Vec<(u64, usize, Option<u64>)> = Vec::new();
            let mut at = 0;
            for (n, asks) in all.iter().enumerate() {
                at += asks.after;
                events.push((at, n, None));
                events.extend(asks.settles.iter().map(|(after, part)| (at + after, n, Some(asks.tokens * part / 100))));
            }
            events.sort_by_key(|(at, ..)| *at);
            let mut granted: BTreeMap<usize, Granted> = BTreeMap::new();
            let mut now = 0;
            for (at, n, settles) in events {
                clock.advance(Duration::from_millis(at - now));
                now = at;
                let id = Uuid::from_u128(n as u128);
                if let Some(used) = settles {
                    runtime.block_on(budget.settle(id, used)).unwrap();
                    if let Some(granted) = granted.get_mut(&n) {
                        granted.settled.get_or_insert((at, used));
                    }
                    continue;
                }
                let Asks { who, tokens, .. } = all[n];
                let workspace = ["a", "b", "c"][who].parse().unwrap();
                let answer = runtime.block_on(budget.reserve(&Reservation { id, workspace, ..asks(0, tokens) })).unwrap();
                if let Reserved::Granted { .. } = answer {
                    granted.insert(n, Granted { at, tokens, settled: None });
                    let within = granted.values().filter(|granted| granted.at + WINDOW > at);
                    let sum: u64 = within.map(|g| g.settled.map_or(g.tokens, |(_, used)| used)).sum();
                    prop_assert!(sum <= 100, "{sum} tokens within the window that ends at {at}");
                }
            }
        }
    }
}
