use std::{
    net::SocketAddr,
    process::Command,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use crate::program::{Program, Start};

/// AWS on loopback: DynamoDB, SQS and more, by [MiniStack](https://pypi.org/project/ministack). It
/// begins empty, takes any credentials, and ends with this value.
///
/// The program is `ministack`, or what the environment variable `MINISTACK` names. Without it tests fail.
#[derive(Debug)]
pub struct Ministack {
    address: SocketAddr,
    _program: Program,
}

impl Ministack {
    /// Starts one of its own, on a free port, and waits until it answers.
    pub fn start() -> Self {
        let start = Start {
            name: "MiniStack",
            install: "Install it (pip install -r scripts/tools/python.txt), and set MINISTACK to the program's \
                      path where PATH has it not.",
            ready: ("127.0.0.1", "/_ministack/health"),
        };
        let (program, address) = start.run(|address, folder| {
            // Which program to test against is the tests' own matter, no setting of the project.
            let mut command = Command::new(std::env::var_os("MINISTACK").unwrap_or_else(|| "ministack".into()));
            command
                .env("BIND_HOST", address.ip().to_string())
                .env("GATEWAY_PORT", address.port().to_string())
                .env("LOG_LEVEL", "WARNING")
                .env("TMPDIR", folder.path());
            command
        });
        Self { address, _program: program }
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
}
