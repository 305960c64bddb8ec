//! What the parts of a request cost, each alone, and beside it the least that it could cost: what a bare library or a
//! bare command of Redis takes for the same bytes, in the same run.
//!
//! ```text
//! cargo bench -p orchestrator --bench micro                        # time (needs redis-server)
//! cargo bench -p orchestrator --bench micro -- --callgrind [PART]  # instructions (needs valgrind)
//! ```

mod parts;
mod servers;

use std::{env, hint::black_box, process::Command, time::Duration};

use criterion::Criterion;

/// Something that is done over and over, after it was made ready.
type Work = Box<dyn FnMut()>;

/// A part of a request, and what it is compared with.
struct Part {
    name: &'static str,
    ours: fn() -> Work,
    /// What the yardstick is.
    than: &'static str,
    yardstick: fn() -> Work,
}

fn main() {
    // The last is cargo's own.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--callgrind"] => callgrind(""),
        ["--callgrind", part] => callgrind(part),
        ["--times", times, work] => repeat(work, times.parse().expect("a number")),
        _ => time(),
    }
}

fn time() {
    // Short, since the whole is run several times.
    let criterion = Criterion::default().sample_size(20).nresamples(5000).without_plots();
    let criterion = criterion.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(500));
    let mut criterion = criterion.configure_from_args();
    for part in parts::PARTS {
        for (name, ready) in works(part) {
            let mut work = ready();
            criterion.bench_function(&name, |bencher| bencher.iter(&mut work));
        }
    }
    servers::time(&mut criterion);
    criterion.final_summary();
}

/// The part itself, then its yardstick.
fn works(part: &Part) -> [(String, fn() -> Work); 2] {
    [(part.name.to_owned(), part.ours), (format!("{}: {}", part.name, part.than), part.yardstick)]
}

fn repeat(wanted: &str, times: u64) {
    let found = parts::PARTS.iter().flat_map(works).find(|(name, _)| name == wanted);
    let mut work = found.expect("there is such a part").1();
    for _ in 0..times {
        black_box(&mut work)();
    }
}

/// Prints the instructions of one time of each part: the same on every run and every machine, whatever else it does.
fn callgrind(wanted: &str) {
    for (name, _) in parts::PARTS.iter().flat_map(works).filter(|(name, _)| name.starts_with(wanted)) {
        // What it takes to start and get ready is in both.
        let each = (instructions(&name, 110) - instructions(&name, 10)) / 100;
        println!("{name}: {each} instructions");
    }
}

fn instructions(name: &str, times: u64) -> u64 {
    let this = env::current_exe().expect("this program has a path");
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(this);
    let output = valgrind.args(["--times", &times.to_string(), name]).output();
    let output = output.expect("this needs the program valgrind in PATH (Debian: apt-get install valgrind)");
    let says = String::from_utf8_lossy(&output.stderr);
    let collected = says.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected.unwrap_or_else(|| panic!("valgrind did not count: {says}"))
}
