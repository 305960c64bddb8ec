//! Which schedules are run: every one with up to two twists, and random ones with more.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use crate::{
    schedule::{Run, Twists, outcome, run},
    world::{Kind, MISHAPS, Point, Sabotage, Setup, Twist},
};

/// So many twists are combined in every way.
const MAX_DEPTH: u32 = 2;

/// So many random schedules of each kind.
const RANDOM: u64 = 2_500;
/// So many more in a long run.
const LONG: u64 = 10;

/// So many twists are a storm.
const STORM: u32 = 25;

/// So much of a trace is shown.
const LINES: usize = 400;

/// A search over the schedules of one setup.
pub struct Search {
    tally: Tally,
    sabotage: Sabotage,
}

/// What a search has seen.
pub struct Tally {
    pub setup: Setup,
    pub schedules: u64,
    steps: u64,
    pub twists: BTreeMap<Twist, u64>,
    pub outcomes: BTreeMap<&'static str, u64>,
    /// What happened to whom where, each once.
    pub seen: BTreeSet<(Twist, Kind, Point)>,
    pub violation: Option<(Sabotage, Twists, String)>,
}

/// Random numbers (SplitMix64), the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

impl Search {
    pub fn new(setup: Setup, sabotage: Sabotage) -> Self {
        let tally = Tally {
            setup,
            schedules: 0,
            steps: 0,
            twists: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            seen: BTreeSet::new(),
            violation: None,
        };
        Self { tally, sabotage }
    }

    /// Every schedule with up to two twists, then random ones with more. Of jobs that wait, a short run takes random ones
    /// alone, and fewer.
    pub fn everything(mut self, long: bool) -> Tally {
        let waits = self.tally.setup.held() || self.tally.setup.send_at().is_some();
        // At this distance Graph differs from Gmail in the evidence alone, and a silent change from another in its answer.
        let is_like_another =
            self.tally.setup == Setup::GraphDrafts || (self.tally.setup == Setup::SilentChanges && !long);
        if !is_like_another && (long || !waits) {
            self.explore();
        }
        let random = match (long, waits) {
            (true, _) => LONG * RANDOM,
            (false, true) => RANDOM / 2,
            (false, false) => RANDOM,
        };
        for seed in 0..random {
            self.random(seed, MISHAPS);
            self.random(random + seed, STORM);
        }
        self.tally
    }

    /// Every schedule with up to two twists, those with fewer first.
    pub fn pairs(mut self) -> Tally {
        self.explore();
        self.tally
    }

    fn explore(&mut self) {
        let mut level: Vec<Twists> = vec![Vec::new()];
        for depth in 0..=MAX_DEPTH {
            let mut next = Vec::new();
            for twists in level {
                let run = replay(self.tally.setup, self.sabotage, &twists);
                self.tally.add(&run, self.sabotage);
                if self.tally.violation.is_some() {
                    return;
                }
                if depth == MAX_DEPTH {
                    continue;
                }
                let from = twists.last().map_or(0, |(step, _)| step + 1);
                for (step, set) in (0..).zip(&run.open).skip(from as usize) {
                    for twist in Twist::ALL.into_iter().filter(|twist| set & twist.bit() != 0) {
                        next.push(twists.iter().copied().chain([(step, twist)]).collect());
                    }
                }
            }
            level = next;
        }
    }

    /// So many twists at most, at random steps.
    fn random(&mut self, seed: u64, mut left: u32) {
        if self.tally.violation.is_some() {
            return;
        }
        let mut random = Random(seed);
        let mut choose = |_, _, set| {
            if left == 0 || random.below(10) > 0 {
                return None;
            }
            left -= 1;
            let possible: Vec<Twist> = Twist::ALL.into_iter().filter(|twist| set & twist.bit() != 0).collect();
            let place = random.below(possible.len() as u64);
            possible.get(usize::try_from(place).expect("few twists")).copied()
        };
        let run = run(self.tally.setup, self.sabotage, false, &mut choose);
        self.tally.add(&run, self.sabotage);
    }
}

/// Runs the schedule of these twists.
pub fn replay(setup: Setup, sabotage: Sabotage, twists: &Twists) -> Run {
    run(setup, sabotage, false, &mut chooser(twists))
}

fn chooser(twists: &Twists) -> impl FnMut(u32, (Kind, Point), u32) -> Option<Twist> {
    let mut left = twists.clone().into_iter().peekable();
    move |number, _, _| left.next_if(|(step, _)| *step == number).map(|(_, twist)| twist)
}

/// Runs the schedule in which workers meet a twist at a point, the first `times`.
pub fn at(setup: Setup, point: Point, twist: Twist, mut times: u32) -> Run {
    run(setup, Sabotage::None, false, &mut |_, stand, _| {
        let meets = stand == (Kind::Worker, point) && times > 0;
        times -= u32::from(meets);
        meets.then_some(twist)
    })
}

/// What went wrong, with what is needed to see it again.
pub fn tell(setup: Setup, sabotage: Sabotage, twists: &Twists, why: &str) -> String {
    let again = run(setup, sabotage, true, &mut chooser(twists));
    let mut text = format!("{why}\nreplay(Setup::{setup:?}, Sabotage::{sabotage:?}, &vec!{twists:?})\n");
    for line in again.trace.into_iter().take(LINES) {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(text, "{:?}", again.job);
    text
}

impl Tally {
    fn add(&mut self, run: &Run, sabotage: Sabotage) {
        self.schedules += 1;
        self.steps += run.open.len() as u64;
        *self.outcomes.entry(outcome(run)).or_default() += 1;
        for &(twist, kind, at) in &run.happened {
            *self.twists.entry(twist).or_default() += 1;
            self.seen.insert((twist, kind, at));
        }
        if let Some(why) = &run.violation
            && self.violation.is_none()
        {
            self.violation = Some((sabotage, run.twists.clone(), why.clone()));
        }
    }

    /// What was explored, one line a setup.
    pub fn table(tallies: &[Self]) -> String {
        let mut text = format!(
            "{:<12}{:>10}{:>10}{:>9}{:>8}{:>8}{:>9}{:>8}{:>8}{:>10}{:>9}{:>7}{:>8}\n",
            "setup",
            "schedules",
            "steps",
            "crash at",
            "crash",
            "freeze",
            "overlap",
            "fault",
            "other",
            "completed",
            "presumed",
            "failed",
            "unknown"
        );
        for tally in tallies {
            let twist = |twist| tally.twists.get(&twist).copied().unwrap_or_default();
            let outcome = |name| tally.outcomes.get(name).copied().unwrap_or_default();
            let named = [Twist::Crash, Twist::Freeze, Twist::Overlap, Twist::Fault].map(twist);
            let other = tally.twists.values().sum::<u64>() - named.iter().sum::<u64>();
            let _ = writeln!(
                text,
                "{:<12}{:>10}{:>10}{:>9}{:>8}{:>8}{:>9}{:>8}{:>8}{:>10}{:>9}{:>7}{:>8}",
                format!("{:?}", tally.setup),
                tally.schedules,
                tally.steps,
                tally.seen.iter().filter(|(twist, ..)| *twist == Twist::Crash).count(),
                named[0],
                named[1],
                named[2],
                named[3],
                other,
                outcome("completed"),
                outcome("presumed"),
                outcome("failed"),
                outcome("unknown"),
            );
        }
        text
    }
}
