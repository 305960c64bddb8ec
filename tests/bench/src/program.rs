//! The running orchestrator.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// A server of its own data folder, killed when this is dropped.
pub struct Program {
    process: Child,
    /// Where it listens.
    pub url: String,
}

impl Program {
    /// Starts it with nothing in its environment but these variables.
    pub fn start(path: &Path, data: &Path, variables: &[(&str, &str)]) -> Self {
        let mut process = command(path, data, variables).spawn().expect("the program starts");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let url = loop {
            let line = lines.next().expect("the program tells where it listens").expect("text");
            if let Some(url) = line.strip_prefix("AI Orchestrator is listening on ") {
                break url.to_owned();
            }
        };
        // Without a reader, a full pipe would stop the program.
        thread::spawn(move || lines.for_each(drop));
        Self { process, url }
    }

    /// The CPU time of all its threads while something goes on.
    pub async fn cpu_of<T>(&self, what: impl Future<Output = T>) -> (T, Duration) {
        let before = self.cpu();
        let told = what.await;
        (told, self.cpu().saturating_sub(before))
    }

    fn cpu(&self) -> Duration {
        let line = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("it runs");
        // The name before it may hold anything; utime and stime are proc_pid_stat(5)'s fields 14 and 15.
        let (_, fields) = line.rsplit_once(')').expect("Linux tells");
        let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("a number"));
        // There are a hundred in a second.
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// Its memory that is in use, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A command of the program that ends by itself; gives back what it prints.
pub fn run(path: &Path, data: &Path, arguments: &[&str]) -> String {
    let output = command(path, data, &[]).args(arguments).output().expect("the program runs");
    assert!(output.status.success(), "{arguments:?} failed");
    String::from_utf8(output.stdout).expect("it prints text").trim().to_owned()
}

fn command(path: &Path, data: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(path);
    command
        .env_clear()
        .env("PORT", "0")
        .env("ORCHESTRATOR_DATA", data)
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        // Its log lines are written, as anywhere, and nobody reads them.
        .stderr(Stdio::null());
    command
}
