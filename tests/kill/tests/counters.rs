//! Many processes flush their counts to one real Redis at once, and are killed between flushes.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    thread,
};

use adapters::{
    redis::{RedisConnection, RedisMetrics},
    system::SystemIds,
};
use contracts::{metric_sums, servers::RedisServer};
use telemetry::names;

const PROCESSES: usize = 8;
/// How often each process is killed and restarted.
const LIVES: usize = 5;
const FLUSHES: usize = 25;
const PLANS: usize = 100;

struct Counter {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Counter {
    fn start(redis: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_counter"));
        let mut process = command.arg(redis).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let input = process.stdin.take().expect("it is piped");
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, input, output }
    }

    fn count(&mut self, plans: usize) {
        writeln!(self.input, "{plans}").expect("it reads");
        let mut answer = String::new();
        self.output.read_line(&mut answer).expect("it answers");
        assert_eq!(answer, "flushed\n");
    }

    /// As `kill -9` does.
    fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }
}

#[tokio::test]
async fn sums_are_exact_after_100_000_increments_of_eight_processes_that_are_killed() {
    let server = RedisServer::start(false);
    let url = server.url();
    thread::scope(|scope| {
        for _ in 0..PROCESSES {
            scope.spawn(|| {
                for _ in 0..LIVES {
                    let mut counter = Counter::start(&url);
                    (0..FLUSHES).for_each(|_| counter.count(PLANS));
                    counter.kill();
                }
            });
        }
    });
    let store = RedisMetrics::new(Arc::new(RedisConnection::new(&url).unwrap()), "metrics", &SystemIds);
    let metrics = [names::PLANNER_REQUESTS.name, names::PLANNER_DURATION.name, names::FLUSHES.name];
    let read = metric_sums(&store, &metrics).await;
    let flushes = (PROCESSES * LIVES * FLUSHES) as u64;
    let plans = flushes * PLANS as u64;
    assert_eq!(plans, 100_000);
    let field = |name: &str, count| (name.to_owned(), count);
    assert_eq!(read[0], BTreeMap::from([field("ok", plans)]));
    assert_eq!(read[1], BTreeMap::from([field("ok|0.005", plans), field("ok|sum", 3_000 * plans)]), "microseconds");
    assert_eq!(read[2], BTreeMap::from([field("ok", flushes)]), "none was refused or lost");
}
