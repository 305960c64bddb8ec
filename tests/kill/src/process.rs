//! Processes that are started to be killed.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// A running program; killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts a program with nothing in its environment but `variables`.
    pub fn start(program: &Path, arguments: &[String], variables: &[(String, String)], log: Option<File>) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.map_or_else(Stdio::null, Stdio::from))
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        let said = Arc::new(Mutex::new(Vec::new()));
        let stdout = child.stdout.take().expect("standard output is piped");
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Self { child, said }
    }

    /// The lines that it printed which begin with `word`, without it.
    pub fn said(&self, word: &str) -> Vec<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().filter_map(|line| line.strip_prefix(word)).map(|rest| rest.trim().to_owned()).collect()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked for").is_some()
    }

    /// Whether it is stopped, as by SIGSTOP.
    pub fn is_stopped(&self) -> bool {
        // The state follows the name, which is in parentheses.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    }

    /// Sends it a signal, unless it has ended.
    pub fn signal(&mut self, signal: Signal) {
        if !self.has_ended() {
            // Not reaped yet, so its id is still its own.
            let _ = kill_process(Pid::from_child(&self.child), signal);
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and says whether it did in time; else it is killed.
    pub async fn terminate(&mut self, within: Duration) -> bool {
        self.signal(Signal::TERM);
        let ended = until(within, || self.has_ended()).await;
        self.kill();
        ended
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Looks again and again; says whether it was so in time.
pub async fn until(within: Duration, mut look: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + within;
    while !look() {
        if Instant::now() > deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}
