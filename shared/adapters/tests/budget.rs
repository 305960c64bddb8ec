//! The budget in Redis, hammered by eight real processes: each is this program again, with other arguments. What
//! they were granted is added up by brute force.

use std::{
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use adapters::{
    redis::{RedisBudget, RedisConnection},
    system::{SystemClock, SystemIds},
};
use contracts::servers::RedisServer;
use engine::ports::{Budget, Clock, Ids, Reservation, Reserved};
use uuid::Uuid;

const LIMIT: u64 = 1000;
const WINDOW: Duration = Duration::from_secs(2);
const WINDOWS: u32 = 4;
const PROCESSES: u64 = 8;
/// What the quiet one asks for at once, and how often.
const SMALL: u64 = 50;
const PAUSE: Duration = Duration::from_millis(50);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["hammer", url, workspace, lane] => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(hammer(url, workspace, lane.parse().expect("a number")));
        }
        arguments if arguments.contains(&"--list") => {}
        _ => eight_processes(),
    }
}

/// A grant, in microseconds of this machine's clock: not before the one, not after the other.
#[derive(Debug, Clone, Copy)]
struct Grant {
    before: i64,
    after: i64,
    tokens: u64,
    /// When it was first settled, and for how much.
    settled: Option<(i64, u64)>,
}

impl Grant {
    /// What it counts within the window of its own that begins with it, at the very least.
    fn counts(&self, window: i64) -> u64 {
        match self.settled {
            Some((at, used)) if at <= self.before + window => used,
            _ => self.tokens,
        }
    }
}

fn eight_processes() {
    let server = RedisServer::start(false);
    let program = std::env::current_exe().expect("this program");
    let processes: Vec<_> = (0..PROCESSES)
        .map(|lane| {
            let workspace = if lane == 0 { "quiet" } else { "greedy" };
            let arguments = ["hammer", &server.url(), workspace, &lane.to_string()];
            let started = Command::new(&program).args(arguments).stdout(Stdio::piped()).spawn();
            (workspace, started.expect("the program starts again"))
        })
        .collect();
    let (mut all, mut quiet): (Vec<Grant>, u64) = (Vec::new(), 0);
    for (workspace, process) in processes {
        let output = process.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{workspace} did not end well");
        let grants: Vec<Grant> = String::from_utf8(output.stdout).expect("text").lines().map(read).collect();
        assert!(!grants.is_empty(), "a process of {workspace} was granted nothing");
        quiet += if workspace == "quiet" { grants.iter().map(|grant| grant.tokens).sum() } else { 0 };
        all.extend(grants);
    }
    let window = i64::try_from(WINDOW.as_micros()).expect("seconds");
    let most = all
        .iter()
        .map(|first| {
            let within = all.iter().filter(|g| g.before >= first.before && g.after <= first.before + window);
            within.map(|grant| grant.counts(window)).sum::<u64>()
        })
        .max();
    let most = most.expect("something was granted");
    let granted: u64 = all.iter().map(|grant| grant.tokens).sum();
    println!("{} grants of {granted} tokens to {PROCESSES} processes in {WINDOWS} windows", all.len());
    println!("at most {most} of {LIMIT} in any window; {quiet} to the quiet one");
    assert!(most <= LIMIT, "{most} tokens in a window");
    assert!(most > LIMIT * 8 / 10, "and it is made use of: {most}");
    // Its share is half of the limit in each window, once the greedy ones have made room for it.
    assert!(quiet >= LIMIT / 4 * u64::from(WINDOWS), "the quiet one is starved: {quiet}");
}

/// Asks as fast as it can, or now and then, and settles in time, late, twice, or never.
async fn hammer(url: &str, workspace: &str, lane: u64) {
    let connection = Arc::new(RedisConnection::new(url).expect("a URL"));
    let budget = RedisBudget::new(connection, "hammered", WINDOW);
    let quiet = workspace == "quiet";
    let workspace: domain::WorkspaceId = workspace.parse().expect("a workspace");
    let mut chance = Chance(lane);
    let now = || SystemClock.now().as_microsecond();
    let end = now() + i64::try_from((WINDOW * WINDOWS).as_micros()).expect("seconds");
    let mut grants: Vec<Grant> = Vec::new();
    // What is to be settled: when, which, its id.
    let mut due: Vec<(i64, usize, Uuid)> = Vec::new();
    while now() < end {
        let tokens = if quiet { SMALL } else { 1 + chance.below(100) };
        let id = SystemIds.uuid();
        let before = now();
        let (workspace, model) = (workspace.clone(), "a-model".to_owned());
        let answer = budget.reserve(&Reservation { id, workspace, model, tokens, limit: LIMIT }).await;
        let after = now();
        match answer.expect("Redis answers") {
            Reserved::Granted { .. } => {
                // One in four is never settled; of the rest, some come when their window is over, some twice.
                if chance.below(4) > 0 {
                    for _ in 0..=chance.below(2) {
                        let delay = if chance.below(2) == 0 { chance.below(3_000_000) } else { 0 };
                        due.push((after + i64::try_from(delay).expect("seconds"), grants.len(), id));
                    }
                }
                grants.push(Grant { before, after, tokens, settled: None });
                if quiet {
                    tokio::time::sleep(PAUSE).await;
                }
            }
            Reserved::Exhausted { retry_after, .. } => {
                tokio::time::sleep(retry_after.min(Duration::from_millis(10))).await;
            }
            Reserved::Held(_) => unreachable!("nobody holds"),
        }
        budget.settle(SystemIds.uuid(), 0).await.expect("one that nobody knows");
        let (ripe, later): (Vec<_>, Vec<_>) = due.drain(..).partition(|(at, ..)| *at <= now());
        due = later;
        for (_, grant, id) in ripe {
            let used = chance.below(grants[grant].tokens + 1);
            let at = now();
            budget.settle(id, used).await.expect("Redis answers");
            grants[grant].settled.get_or_insert((at, used));
        }
    }
    for Grant { before, after, tokens, settled } in grants {
        let (at, used) = settled.unwrap_or((i64::MAX, 0));
        println!("{before} {after} {tokens} {at} {used}");
    }
}

fn read(line: &str) -> Grant {
    let numbers: Vec<i64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
    let [before, after, tokens, at, used] = numbers[..] else { panic!("{line}") };
    let [tokens, used] = [tokens, used].map(i64::unsigned_abs);
    Grant { before, after, tokens, settled: (at != i64::MAX).then_some((at, used)) }
}

/// The same numbers for the same seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
