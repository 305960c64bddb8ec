//! Starts the program and talks to it.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

/// The running program; killed when this is dropped.
pub struct Server {
    /// Where it listens, without a slash at the end.
    pub url: String,
    process: Child,
    http: reqwest::Client,
}

/// What a request was answered with.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Server {
    /// Starts the program on a free port with its data in `folder` and nothing in its environment
    /// but `variables`.
    pub fn start(folder: &Path, variables: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_orchestrator"))
            .env_clear()
            .env("PORT", "0")
            .env("RUST_LOG", "warn")
            .env("ORCHESTRATOR_DATA", folder)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = process.stdout.take().expect("standard output is piped");
        let mut lines = BufReader::new(stdout).lines();
        let url = loop {
            let line = lines.next().expect("the program says where it listens").expect("its output is text");
            if let Some(url) = line.strip_prefix("AI Orchestrator is listening on ") {
                break url.to_owned();
            }
        };
        // Without a reader, a full pipe would stop the program.
        std::thread::spawn(move || lines.for_each(drop));
        let options = adapters::http::ClientOptions {
            connect: Duration::from_secs(5),
            total: Duration::from_mins(1),
            keep_alive: true,
        };
        let http = adapters::http::client(options).expect("the client can be built");
        Self { url, process, http }
    }

    /// A request of any kind to a path of the server.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        reply(self.request("POST", path).json(body)).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        reply(self.request("GET", path)).await
    }

    /// The job when it has ended.
    pub async fn ended(&self, job_id: &str) -> Value {
        for _ in 0..4 {
            let job = self.get(&format!("/ai/jobs/{job_id}?wait=20")).await.body;
            if job["status"] == "completed" || job["status"] == "error" {
                return job;
            }
        }
        panic!("job {job_id} does not end");
    }

    /// Executes one action and gives back its job's id.
    pub async fn execute(&self, action: Value) -> String {
        let reply = self.post("/ai/execute", &json!({ "actions": [action], "actor_id": "ana@example.com" })).await;
        assert_eq!(reply.status, 202, "{}", reply.body);
        reply.body["job_ids"][0].as_str().expect("a job id").to_owned()
    }

    /// Stops the program at once, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().expect("the program runs");
        self.process.wait().expect("the program ends");
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Returns when the program has ended by itself; says whether it ended well.
    pub fn wait(mut self) -> bool {
        self.process.wait().expect("the program ends").success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a request and reads its answer; a body that is not JSON becomes a string.
pub async fn reply(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.expect("the server answers");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.expect("the answer is text");
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Reply { status, headers, body }
}

/// A gmail.send action under an idempotency key.
pub fn gmail(key: &str, subject: &str) -> Value {
    json!({
        "provider": "google",
        "action": "gmail.send",
        "params": { "to": "john@example.com", "subject": subject, "text": format!("job:{key}") },
        "client_request_id": key,
    })
}
