use std::process::Command;

use serde_json::Value;

use crate::program::{Program, Start};

/// A provider's OAuth endpoints on loopback, by [emulate](https://www.npmjs.com/package/emulate): clients with
/// secrets and redirect URIs, PKCE, codes that are good once, refresh, revocation. It ends with this value.
///
/// The program is `emulate`. Without it tests fail.
#[derive(Debug)]
pub struct Emulate {
    port: u16,
    _program: Program,
}

impl Emulate {
    /// Starts one of its services, `google` or `microsoft`, with these users and clients, and waits until it answers.
    pub fn start(service: &str, seed: &Value) -> Self {
        let start = Start {
            name: "emulate",
            install: "Install it (npm install --prefix FOLDER emulate@0.11.2) and put FOLDER/node_modules/.bin into \
                      PATH, as scripts/test does.",
            ready: ("localhost", "/.well-known/openid-configuration"),
        };
        let (program, address) = start.run(|address, folder| {
            // JSON is YAML, too.
            let file = folder.path().join("seed.yaml");
            std::fs::write(&file, seed.to_string()).expect("a file can be written in a new folder");
            let mut command = Command::new("emulate");
            let port = address.port().to_string();
            command.args(["start", "--service", service, "--port", &port, "--seed"]).arg(&file);
            command
        });
        Self { port: address.port(), _program: program }
    }

    /// Where it is, under the name by which it calls itself.
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }
}
