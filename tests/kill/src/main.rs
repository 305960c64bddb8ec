//! Kill anywhere: real processes of the product die, hang and lose their Redis at every step of a
//! job and at random, mail providers lose answers, and no mail goes out twice, no job is lost.
//!
//! `scripts/kill-anywhere` builds what is needed and runs it. It needs MiniStack and redis-server,
//! and listens on loopback only.

mod chance;
mod client;
mod flushed;
mod identical;
mod killed;
mod process;
mod stage;
mod stopped;
mod verdict;
mod world;

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode, sync::Arc, time::Instant};

use clap::Parser;
use contracts::Ministack;
use engine::ports::Ids;
use kill::{API, Point, WORKER, all};
use tokio::task::JoinSet;

use crate::{
    killed::Round,
    stage::Came,
    verdict::{HEAD, Row},
    world::{QueueKind, Scope, Shared, programs},
};

/// Kills real processes at every step of a job and counts the mails.
#[derive(Parser)]
struct Arguments {
    /// A minute or so: every point once (what happens unless --long).
    #[arg(long, conflicts_with = "long")]
    short: bool,
    /// Some minutes: every point in every kind of round, the shipped program, at least 1,000 jobs.
    #[arg(long)]
    long: bool,
    /// What chance is made of; random unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// At least so many jobs in a round.
    #[arg(long)]
    jobs: Option<usize>,
    /// Only rounds whose name begins so: kill, product, flush, stop, identical.
    #[arg(long)]
    only: Option<String>,
    /// A folder for the processes' logs; it must exist.
    #[arg(long)]
    logs: Option<PathBuf>,
}

/// Every kind of deployment.
const KINDS: [(QueueKind, Scope); 4] = [
    (QueueKind::Sqs, Scope::Send),
    (QueueKind::Redis, Scope::Draft),
    (QueueKind::Sqs, Scope::Draft),
    (QueueKind::Redis, Scope::Send),
];

#[tokio::main(flavor = "multi_thread", worker_threads = 8)]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let began = Instant::now();
    let seed = arguments.seed.unwrap_or_else(|| {
        let random = adapters::system::SystemIds.uuid().as_u128() & u128::from(u32::MAX);
        u64::try_from(random).expect("32 bits fit")
    });
    println!("seed {seed}\n");
    let ministack = tokio::task::block_in_place(Ministack::start);
    let shared = Arc::new(Shared { ministack, programs: programs(), logs: arguments.logs.clone() });
    let run = Run { shared, seed, only: arguments.only.clone(), jobs: arguments.jobs };
    let (rows, lines, mut violations) = if arguments.long { run.long().await } else { run.short().await };

    println!("{HEAD}");
    for row in &rows {
        println!("{row}");
    }
    let sum = |of: fn(&Row) -> usize| rows.iter().map(of).sum::<usize>();
    println!(
        "\n{} jobs: {} completed, {} in error, {} unknown; {} mails and events delivered, {} twice, {} jobs lost.",
        sum(|row| row.jobs),
        sum(|row| row.completed),
        sum(|row| row.error),
        sum(|row| row.unknown),
        sum(|row| row.delivered),
        sum(|row| row.doubles),
        sum(|row| row.lost),
    );
    let mut codes = std::collections::BTreeMap::new();
    for (code, count) in rows.iter().flat_map(|row| &row.codes) {
        *codes.entry(code).or_insert(0) += count;
    }
    let codes: Vec<String> = codes.into_iter().map(|(code, count)| format!("{code} {count}")).collect();
    println!("Errors: {}.", if codes.is_empty() { "none".to_owned() } else { codes.join(", ") });
    for line in &lines {
        println!("{line}");
    }
    println!("took {:.0} s", began.elapsed().as_secs_f64());
    for row in &rows {
        violations.extend(row.violations.iter().map(|what| format!("{}: {what}", row.name)));
    }
    if rows.is_empty() && lines.len() < 2 {
        violations.push("there is no such round".to_owned());
    }
    if violations.is_empty() {
        return ExitCode::SUCCESS;
    }
    for violation in &violations {
        eprintln!("VIOLATION {violation}");
    }
    eprintln!("kill-anywhere: {} violations with seed {seed}", violations.len());
    ExitCode::FAILURE
}

struct Run {
    shared: Arc<Shared>,
    seed: u64,
    only: Option<String>,
    jobs: Option<usize>,
}

/// Rows, further lines, and what must not be.
type Result = (Vec<Row>, Vec<String>, Vec<String>);

impl Run {
    /// Every point once, spread over the kinds of deployments, which all run at once.
    async fn short(&self) -> Result {
        let mut rounds = JoinSet::new();
        let mut kills = KINDS.map(|(queue, scope)| self.round("kill", queue, scope, 0, 30));
        for (place, round) in kills.iter_mut().enumerate() {
            (round.worker, round.api) = (Vec::new(), Vec::new());
            round.seed += place as u64;
        }
        for (place, point) in all(WORKER).into_iter().enumerate() {
            let fitting = (0..4).map(|step| (place + step) % 4).find(|kind| is_reached(&point, KINDS[*kind].1));
            kills[fitting.expect("some kind of deployment reaches each")].worker.push(point);
        }
        for (place, point) in all(API).into_iter().enumerate() {
            kills[place % 4].api.push(point);
        }
        let stops = [(QueueKind::Sqs, Scope::Draft), (QueueKind::Redis, Scope::Send)];
        let stops = stops.map(|(queue, scope)| self.stop_round(queue, scope, 0));
        let flushes = [(QueueKind::Sqs, Scope::Send), (QueueKind::Redis, Scope::Draft)];
        let flushes = flushes.map(|(queue, scope)| self.flush_round(queue, scope, 0));
        for round in kills.into_iter().filter(|round| self.is_wanted(round)) {
            rounds.spawn(killed::run(Arc::clone(&self.shared), round));
        }
        for round in flushes.into_iter().filter(|round| self.is_wanted(round)) {
            rounds.spawn(flushed::run(Arc::clone(&self.shared), round));
        }
        let mut came = rounds.join_all().await;
        let mut rounds = JoinSet::new();
        for round in stops.into_iter().filter(|round| self.is_wanted(round)) {
            rounds.spawn(stopped::run(Arc::clone(&self.shared), round));
        }
        came.extend(rounds.join_all().await);
        self.finish(came, 20).await
    }

    /// Every point that a kind of deployment reaches, in each, again and again.
    async fn long(&self) -> Result {
        let mut came = Vec::new();
        for again in 0..4 {
            let mut rounds = JoinSet::new();
            for (place, (queue, scope)) in KINDS.into_iter().enumerate() {
                let mut round = self.round("kill", queue, scope, again, 70);
                round.mixed = again >= 2;
                round.seed += 4 * again + place as u64;
                // A job is not to die so often that it counts as what makes workers crash: a quarter at a time.
                let quarter = |points: Vec<Point>| -> Vec<Point> {
                    let of = |(place, _): &(usize, Point)| place % 4 == usize::try_from(again).expect("below 4");
                    points.into_iter().enumerate().filter(of).map(|(_, point)| point).collect()
                };
                (round.worker, round.api) = (quarter(round.worker), quarter(round.api));
                if self.is_wanted(&round) {
                    rounds.spawn(killed::run(Arc::clone(&self.shared), round));
                }
            }
            came.extend(rounds.join_all().await);
        }
        for (queue, scope) in KINDS {
            let mut rounds = JoinSet::new();
            let (stop, flush) = (self.stop_round(queue, scope, 0), self.flush_round(queue, scope, 0));
            if self.is_wanted(&stop) {
                rounds.spawn(stopped::run(Arc::clone(&self.shared), stop));
            }
            if self.is_wanted(&flush) {
                rounds.spawn(flushed::run(Arc::clone(&self.shared), flush));
            }
            came.extend(rounds.join_all().await);
        }
        let mut rounds = JoinSet::new();
        for (queue, scope) in KINDS {
            let round = Round { mixed: true, ..self.round("product", queue, scope, 0, 60) };
            if self.is_wanted(&round) {
                rounds.spawn(killed::run_product(Arc::clone(&self.shared), round));
            }
        }
        came.extend(rounds.join_all().await);
        self.finish(came, 200).await
    }

    async fn finish(&self, came: Vec<Came>, identical: usize) -> Result {
        let (mut lines, mut violations) = (Vec::new(), Vec::new());
        if self.only.as_deref().is_none_or(|only| "identical".starts_with(only)) {
            let name = format!("identical-{}", self.seed);
            let (line, broken) = identical::run(Arc::clone(&self.shared), name, identical).await;
            lines.push(line);
            violations.extend(broken.into_iter().map(|what| format!("identical: {what}")));
        }
        let mut reached = BTreeSet::new();
        let mut rows = Vec::new();
        for (row, points) in came {
            rows.push(row);
            reached.extend(points);
        }
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        let points = [("work", all(WORKER)), ("serve", all(API))];
        let points =
            points.into_iter().flat_map(|(role, points)| points.into_iter().map(move |p| format!("{role} {p}")));
        let points: BTreeSet<String> = points.collect();
        lines.insert(
            0,
            format!("Processes died at {} of {} points.", points.intersection(&reached).count(), points.len()),
        );
        if self.only.is_none() {
            violations.extend(points.difference(&reached).map(|point| format!("nobody died at {point}")));
        }
        (rows, lines, violations)
    }

    fn round(&self, name: &str, queue: QueueKind, scope: Scope, again: u64, jobs: usize) -> Round {
        let kind = match (queue, scope) {
            (QueueKind::Sqs, Scope::Send) => "sqs-send",
            (QueueKind::Sqs, Scope::Draft) => "sqs-draft",
            (QueueKind::Redis, Scope::Send) => "redis-send",
            (QueueKind::Redis, Scope::Draft) => "redis-draft",
        };
        let worker = all(WORKER).into_iter().filter(|point| is_reached(point, scope)).collect();
        Round {
            name: format!("{name}-{kind}-{}", again + 1),
            queue,
            scope,
            seed: self.seed,
            jobs: self.jobs.unwrap_or(jobs),
            mixed: false,
            worker,
            api: all(API),
        }
    }

    /// A worker stops only at steps with a job in its hands that every job takes.
    fn stop_round(&self, queue: QueueKind, scope: Scope, again: u64) -> Round {
        let mut round = self.round("stop", queue, scope, again, 20);
        let on_the_way = |point: &Point| {
            let rare =
                ["ledger.save.failed", "ledger.save.unknown", "ledger.save.queued", "queue.send", "call.compare"];
            let idle = ["ledger.overdue_jobs", "ledger.erase_expired"];
            let call = point.call.as_str();
            !rare.contains(&call) && !idle.contains(&call) && point.to_string() != "queue.receive:before"
        };
        round.worker.retain(on_the_way);
        round
    }

    /// Without faults of the providers no job fails.
    fn flush_round(&self, queue: QueueKind, scope: Scope, again: u64) -> Round {
        let mut round = self.round("flush", queue, scope, again, 30);
        let ends_well = |point: &Point| !["ledger.save.failed", "ledger.save.unknown"].contains(&point.call.as_str());
        round.worker.retain(ends_well);
        round
    }

    fn is_wanted(&self, round: &Round) -> bool {
        self.only.as_deref().is_none_or(|only| round.name.starts_with(only))
    }
}

/// Whether jobs of such accounts come to the point.
fn is_reached(point: &Point, scope: Scope) -> bool {
    match point.call.as_str() {
        "call.prepare" | "ledger.save.prepared" => scope == Scope::Draft,
        "ledger.save.unknown" => scope == Scope::Send,
        _ => true,
    }
}
