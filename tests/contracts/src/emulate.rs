use std::{
    fs::File,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// How long it may take to start, on a machine with other things to do.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// A provider's OAuth endpoints on loopback, by [emulate](https://www.npmjs.com/package/emulate): clients with
/// secrets and redirect URIs, PKCE, codes that are good once, refresh, revocation. It ends with this value.
///
/// The program is `emulate`. Without it tests fail.
#[derive(Debug)]
pub struct Emulate {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Emulate {
    /// Starts one of its services, `google` or `microsoft`, with these users and clients, and waits until it answers.
    pub fn start(service: &str, seed: &Value) -> Self {
        // Somebody else may take the port before the server does: then it ends, and another port will do.
        (0..3).find_map(|_| Self::try_start(service, seed)).expect("emulate starts on one of three free ports")
    }

    /// Where it is, under the name by which it calls itself.
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    fn try_start(service: &str, seed: &Value) -> Option<Self> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
        let port = free.expect("loopback has a free port").port();
        let folder = tempfile::tempdir().expect("a folder can be made");
        // JSON is YAML, too.
        let file = folder.path().join("seed.yaml");
        std::fs::write(&file, seed.to_string()).expect("a file can be written in a new folder");
        let log = folder.path().join("log");
        let output = || File::options().create(true).append(true).open(&log).expect("a file can be made");
        let started = Command::new("emulate")
            .args(["start", "--service", service, "--port", &port.to_string(), "--seed"])
            .arg(&file)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output())
            .spawn();
        let process = match started {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => panic!(
                "emulate is not there. Install it (npm install --prefix FOLDER emulate@0.11.2) and put \
                 FOLDER/node_modules/.bin into PATH, as scripts/test does."
            ),
            Err(error) => panic!("emulate cannot be started: {error}"),
        };
        let mut server = Self { process, port, _folder: folder };
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            if server.process.try_wait().expect("a child can be asked for").is_some() {
                eprintln!("emulate ended: {}", std::fs::read_to_string(&log).unwrap_or_default());
                return None;
            }
            if server.is_ready() {
                return Some(server);
            }
            assert!(Instant::now() < deadline, "emulate does not answer within {READY_WITHIN:?}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_ready(&self) -> bool {
        let ask = || {
            let mut connection = TcpStream::connect(("localhost", self.port))?;
            connection.set_read_timeout(Some(Duration::from_secs(5)))?;
            let request =
                "GET /.well-known/openid-configuration HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            connection.write_all(request.as_bytes())?;
            let mut status = [0; 12];
            connection.read_exact(&mut status)?;
            std::io::Result::Ok(status == *b"HTTP/1.1 200")
        };
        ask().unwrap_or(false)
    }
}

impl Drop for Emulate {
    fn drop(&mut self) {
        // It has ended already if either fails.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
