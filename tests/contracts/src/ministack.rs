use std::{
    fs::File,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long it may take to start, on a machine with other things to do.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// AWS on loopback: DynamoDB, SQS and more, by [MiniStack](https://pypi.org/project/ministack). It
/// begins empty, takes any credentials, and ends with this value.
///
/// The program is `ministack`, or what the environment variable `MINISTACK` names. Without it tests fail.
#[derive(Debug)]
pub struct Ministack {
    process: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Ministack {
    /// Starts one of its own, on a free port, and waits until it answers.
    pub fn start() -> Self {
        // Somebody else may take the port before the server does: then it ends, and another port will do.
        (0..3).find_map(|_| Self::try_start()).expect("MiniStack starts on one of three free ports")
    }

    /// The one that the tests of this process share as long as any of them has it.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Ministack>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Self::start());
            *shared = Arc::downgrade(&started);
            started
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its endpoint, as for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn try_start() -> Option<Self> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let address = address.expect("loopback has a free port");
        let folder = tempfile::tempdir().expect("a folder can be made");
        let log = folder.path().join("log");
        let output = File::create(&log).expect("a file can be made in a new folder");
        // Which program to test against is the tests' own matter, no setting of the project.
        let program = std::env::var_os("MINISTACK").unwrap_or_else(|| "ministack".into());
        let started = Command::new(&program)
            .env("BIND_HOST", address.ip().to_string())
            .env("GATEWAY_PORT", address.port().to_string())
            .env("LOG_LEVEL", "WARNING")
            .env("TMPDIR", folder.path())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn();
        let process = match started {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => panic!(
                "MiniStack is not there: {}. Install it (pip install ministack==1.5.33 botocore==1.43.106) and set \
                 MINISTACK to the program's path.",
                program.display()
            ),
            Err(error) => panic!("MiniStack cannot be started: {error}"),
        };
        let mut server = Self { process, address, _folder: folder };
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if server.process.try_wait().expect("a child can be asked for").is_some() {
                eprintln!("MiniStack ended: {}", std::fs::read_to_string(&log).unwrap_or_default());
                return None;
            }
            if server.is_ready() {
                return Some(server);
            }
            assert!(Instant::now() < deadline, "MiniStack does not answer within {READY_WITHIN:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_ready(&self) -> bool {
        let ask = || {
            let mut connection = TcpStream::connect(self.address)?;
            connection.set_read_timeout(Some(Duration::from_secs(5)))?;
            connection.write_all(b"GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut status = [0; 12];
            connection.read_exact(&mut status)?;
            std::io::Result::Ok(status == *b"HTTP/1.1 200")
        };
        ask().unwrap_or(false)
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        // It has ended already if either fails.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
