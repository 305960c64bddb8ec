//! Load on the running program, each figure beside a yardstick of the same run. `scripts/bench` builds what is
//! needed and runs it; it needs redis-server, and listens on loopback only.

#![expect(clippy::cast_precision_loss, reason = "counts that are figures for people")]

mod bare;
mod client;
mod load;
mod memory;
mod program;
mod rate;
mod requests;
mod soak;
mod stage;
mod table;

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use tokio::task::LocalSet;

/// Measures the running program.
#[derive(Parser)]
struct Arguments {
    /// The program `orchestrator`, of the build that is to be measured.
    #[arg(long)]
    program: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Requests, polls, jobs and plans, each beside its yardstick.
    Load {
        /// How often everything is measured.
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// For how many seconds each.
        #[arg(long, default_value_t = 3.0)]
        seconds: f64,
        /// How many ask at once; with many, commits are shared, as they are when it is busy.
        #[arg(long, default_value_t = 256)]
        clients: usize,
        /// This part alone.
        #[arg(long)]
        only: Option<load::Part>,
    },
    /// The memory of one process after so many jobs.
    Memory {
        /// How many.
        #[arg(long, default_value_t = 100_000)]
        jobs: usize,
    },
    /// Mixed load at half of what the program can take. Prints a line of CSV every ten seconds, and ends in an error
    /// when anything went wrong.
    Soak {
        /// For how long.
        #[arg(long, default_value_t = 30.0)]
        minutes: f64,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments = Arguments::parse();
    let program = arguments.program;
    let all = async move {
        match arguments.what {
            What::Load { runs, seconds, clients, only } => {
                load::Bench { program, time: Duration::from_secs_f64(seconds), clients, only }.run(runs).await;
            }
            What::Memory { jobs } => memory::run(&program, jobs).await,
            What::Soak { minutes } => soak::run(&program, Duration::from_secs_f64(minutes * 60.0)).await,
        }
    };
    LocalSet::new().run_until(all).await;
}
