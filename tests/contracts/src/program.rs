//! A server that is somebody else's program: started on a free port of loopback, and ended with its value.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long it may take to start, on a machine with other things to do.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// A program that runs, in a folder of its own.
#[derive(Debug)]
pub(crate) struct Program {
    process: Child,
    _folder: TempDir,
}

/// How to start one.
pub(crate) struct Start<'a> {
    /// What people call it.
    pub name: &'a str,
    /// What to do where it is not there.
    pub install: &'a str,
    /// A path that it answers with 200 once it is ready, under this name of loopback.
    pub ready: (&'a str, &'a str),
}

impl Start<'_> {
    /// Starts it and waits until it answers; gives it with its address. `command` says how, with this address and folder.
    pub(crate) fn run(&self, command: impl Fn(SocketAddr, &TempDir) -> Command) -> (Program, SocketAddr) {
        // Somebody else may take the port before the server does: then it ends, and another port will do.
        let started = (0..3).find_map(|_| self.try_once(&command));
        started.unwrap_or_else(|| panic!("{} starts on none of three free ports", self.name))
    }

    fn try_once(&self, command: &impl Fn(SocketAddr, &TempDir) -> Command) -> Option<(Program, SocketAddr)> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let address = address.expect("loopback has a free port");
        let folder = tempfile::tempdir().expect("a folder can be made");
        let log = folder.path().join("log");
        let output = File::create(&log).expect("a file can be made in a new folder");
        let error_output = output.try_clone().expect("an open file can be shared");
        let started = command(address, &folder)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(error_output)
            .spawn();
        let process = match started {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("{} is not there. {}", self.name, self.install)
            }
            Err(error) => panic!("{} cannot be started: {error}", self.name),
        };
        let mut program = Program { process, _folder: folder };
        let deadline = Instant::now() + READY_WITHIN;
        let (host, path) = self.ready;
        loop {
            if program.process.try_wait().expect("a child can be asked for").is_some() {
                eprintln!("{} ended: {}", self.name, fs::read_to_string(&log).unwrap_or_default());
                return None;
            }
            if answers((host, address.port()), path).unwrap_or(false) {
                return Some((program, address));
            }
            assert!(Instant::now() < deadline, "{} does not answer within {READY_WITHIN:?}", self.name);
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Whether there is a 200 at this path.
fn answers(address: impl ToSocketAddrs, path: &str) -> std::io::Result<bool> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    connection.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut status = [0; 12];
    connection.read_exact(&mut status)?;
    Ok(status == *b"HTTP/1.1 200")
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended already if either fails.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
