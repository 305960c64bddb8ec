use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::WorkspaceId;
use engine::ports::{BUDGET_BUCKETS, Budget, Clock, Reservation, Reserved};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::support::{at_once, workspace};

/// The limit that the suites give.
const LIMIT: u64 = 100;
const MODEL: &str = "a-model";

/// What every [`Budget`] does within one window of a minute. It has to be a fresh one: a budget is everyone's.
pub async fn budget(budget: Arc<dyn Budget>, seed: Uuid) {
    let mut asker = Asker { budget, seed, made: 0 };
    let (greedy, quiet) = (workspace("greedy", seed), workspace("quiet", seed));

    let first = asker.granted(&greedy, 60).await;
    asker.budget.reserve(&reservation(first, &greedy, 60)).await.expect("the same again");
    let second = asker.granted(&greedy, 40).await;
    let (wait, left) = asker.exhausted(&greedy, 1).await;
    assert_eq!(left, 0, "the same again took nothing, and one alone may have all");
    let window = Duration::from_mins(1);
    assert!(!wait.is_zero() && wait <= window + window / BUDGET_BUCKETS, "it is free a window later: {wait:?}");

    asker.settle(Uuid::from_u128(7), 0).await;
    asker.exhausted(&greedy, 1).await;
    asker.settle(first, 10).await;
    asker.settle(first, 0).await;
    let (_, left) = asker.exhausted(&greedy, 51).await;
    assert_eq!(left, 50, "a settling counts, and counts once; one of nothing gives nothing");
    let third = asker.granted(&greedy, 50).await;
    asker.settle(third, 10).await;

    // The share of one of two is 50, which the first has overstepped while it was alone.
    let fourth = asker.granted(&quiet, 30).await;
    assert_eq!(asker.exhausted(&greedy, 1).await.1, 0, "now there is another");
    asker.settle(fourth, 10).await;
    asker.exhausted(&greedy, 1).await;
    let fifth = asker.granted(&quiet, 25).await;
    // What was used above the reservation is used all the same.
    asker.settle(fifth, 35).await;
    assert_eq!(asker.exhausted(&quiet, 1).await.1, 0, "nobody gets more than all");

    // Of many at once, no more are granted than there is: one of three has a share of 33.
    let crowd = workspace("crowd", seed);
    asker.settle(second, 0).await;
    asker.exhausted(&crowd, 96).await;
    let crowded = (0..64).map(|n| {
        let id = Uuid::from_u64_pair(seed.as_u64_pair().1, n);
        let (budget, reservation) = (asker.budget.clone(), reservation(id, &crowd, 1));
        async move { budget.reserve(&reservation).await.expect("an answer") }
    });
    let answers = at_once(crowded).await;
    let granted = answers.iter().filter(|answer| matches!(answer, Reserved::Granted { .. })).count();
    assert_eq!(granted, 33);
}

/// What a [`Budget`] with this window does over time, by `clock`, which may be the server's own. `pass` lets time
/// pass for the budget: it moves its clock, or really waits.
pub async fn budget_over_time<F: Future<Output = ()> + Send>(
    budget: Arc<dyn Budget>,
    clock: Arc<dyn Clock>,
    window: Duration,
    seed: Uuid,
    pass: impl Fn(Duration) -> F + Clone + Send + Sync + 'static,
) {
    let (greedy, quiet) = (workspace("greedy", seed), workspace("quiet", seed));
    let mut asker = Asker { budget, seed, made: 0 };
    let bucket = window / BUDGET_BUCKETS;

    let late = asker.granted(&greedy, LIMIT).await;
    let (wait, _) = asker.exhausted(&quiet, 40).await;
    assert!(wait <= window + bucket, "{wait:?}");
    pass(wait + bucket).await;
    // The greedy one comes first, and gets its share; a settling of what is over gives nothing.
    let mut taken = 0;
    while let Reserved::Granted { .. } = asker.ask(&greedy, 10).await.1 {
        taken += 10;
    }
    assert_eq!(taken, LIMIT / 2, "no more than leaves the other a share");
    asker.settle(late, 0).await;
    asker.granted(&quiet, 40).await;
    asker.granted(&quiet, 10).await;
    asker.exhausted(&quiet, 1).await;
    asker.exhausted(&greedy, 1).await;

    pass(window + bucket * 2).await;
    asker.budget.hold(MODEL, window).await.expect("a hold");
    asker.budget.hold(MODEL, window / 4).await.expect("a shorter hold");
    let (_, held) = asker.ask(&quiet, 1).await;
    assert!(matches!(held, Reserved::Held(left) if left > window / 4 && left <= window), "{held:?}");
    let other = Reservation { model: "another".to_owned(), ..reservation(Uuid::from_u128(8), &quiet, 1) };
    let other = asker.budget.reserve(&other).await.expect("an answer");
    assert!(matches!(other, Reserved::Granted { .. }), "a hold is of one model: {other:?}");
    pass(window + bucket).await;
    asker.granted(&quiet, 1).await;

    pass(window + bucket * 2).await;
    hammer(&asker.budget, &clock, window, seed, pass).await;
}

/// Eight tasks ask and settle as chance will have it; no window of time holds more than the limit.
async fn hammer<F: Future<Output = ()> + Send>(
    budget: &Arc<dyn Budget>,
    clock: &Arc<dyn Clock>,
    window: Duration,
    seed: Uuid,
    pass: impl Fn(Duration) -> F + Clone + Send + Sync + 'static,
) {
    let until = clock.now() + SignedDuration::try_from(window * 3).expect("a few minutes at most");
    let log: Arc<Mutex<Vec<Grant>>> = Arc::default();
    at_once((0..8).map(|task| {
        let (budget, clock, log, pass) = (budget.clone(), clock.clone(), log.clone(), pass.clone());
        let mut chance = Chance(seed.as_u64_pair().1 ^ task);
        let workspace = workspace(&format!("w{}", task % 3), seed);
        async move {
            while clock.now() < until {
                let tokens = 1 + chance.below(30);
                let id = Uuid::from_u64_pair(task + 1, chance.next());
                let before = clock.now();
                let answer = budget.reserve(&reservation(id, &workspace, tokens)).await.expect("an answer");
                let after = clock.now();
                if let Reserved::Granted { .. } = answer {
                    let used = chance.below(tokens + 1);
                    let settled = chance.below(4) > 0;
                    if settled {
                        pass(window.mul_f64(0.002) * u32::try_from(chance.below(20)).expect("few")).await;
                        for _ in 0..=chance.below(2) {
                            budget.settle(id, used).await.expect("a settling");
                        }
                    }
                    let tokens = if settled { used } else { tokens };
                    log.lock().expect("nobody panicked").push(Grant { before, after, tokens });
                }
                pass(window.mul_f64(0.002) * u32::try_from(chance.below(10)).expect("few")).await;
            }
        }
    }))
    .await;
    let mut grants = log.lock().expect("nobody panicked");
    grants.sort_by_key(|grant| grant.before);
    let window = SignedDuration::try_from(window).expect("a minute at most");
    for first in grants.iter() {
        let within = grants.iter().filter(|g| g.before >= first.before && g.after <= first.before + window);
        let sum: u64 = within.map(|grant| grant.tokens).sum();
        assert!(sum <= LIMIT, "{sum} tokens in the window from {}", first.before);
    }
    let all: u64 = grants.iter().map(|grant| grant.tokens).sum();
    assert!(all > LIMIT * 3 / 2, "the budget comes back as time passes: {all} tokens in three windows");
}

/// What was granted, no earlier and no later than these; what it came to in the end.
struct Grant {
    before: Timestamp,
    after: Timestamp,
    tokens: u64,
}

fn reservation(id: Uuid, workspace: &WorkspaceId, tokens: u64) -> Reservation {
    Reservation { id, workspace: workspace.clone(), model: MODEL.to_owned(), tokens, limit: LIMIT }
}

struct Asker {
    budget: Arc<dyn Budget>,
    seed: Uuid,
    made: u64,
}

impl Asker {
    async fn ask(&mut self, workspace: &WorkspaceId, tokens: u64) -> (Uuid, Reserved) {
        self.made += 1;
        let id = Uuid::from_u64_pair(self.seed.as_u64_pair().0, self.made);
        (id, self.budget.reserve(&reservation(id, workspace, tokens)).await.expect("an answer"))
    }

    async fn granted(&mut self, workspace: &WorkspaceId, tokens: u64) -> Uuid {
        let (id, answer) = self.ask(workspace, tokens).await;
        assert!(matches!(answer, Reserved::Granted { .. }), "{tokens} tokens for {workspace}: {answer:?}");
        id
    }

    async fn exhausted(&mut self, workspace: &WorkspaceId, tokens: u64) -> (Duration, u64) {
        match self.ask(workspace, tokens).await.1 {
            Reserved::Exhausted { retry_after, left } => (retry_after, left),
            answer => panic!("{tokens} tokens for {workspace}: {answer:?}"),
        }
    }

    async fn settle(&self, id: Uuid, used: u64) {
        self.budget.settle(id, used).await.expect("a settling");
    }
}

/// The same numbers for the same seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
