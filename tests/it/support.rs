//! Starts the program and talks to it.

use std::{
    hash::{BuildHasher, RandomState},
    io::{BufRead, BufReader, Read},
    ops::Deref,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use fakes::{Fakes, Provider, Token};
use serde_json::{Value, json};

pub const GMAIL_SEND: &str = "https://www.googleapis.com/auth/gmail.send";
pub const GMAIL_COMPOSE: &str = "https://www.googleapis.com/auth/gmail.compose";

/// The running program; killed when this is dropped. It is its own [`Client`].
pub struct Server {
    client: Client,
    process: Child,
    log: Arc<Mutex<String>>,
    output: Arc<Mutex<String>>,
    reader: Option<thread::JoinHandle<()>>,
}

/// Talks to a server; clones outlive it.
#[derive(Clone)]
pub struct Client {
    /// Where it listens, without a slash at the end.
    pub url: String,
    http: reqwest::Client,
    /// The API key to ask with.
    key: Option<String>,
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
        Self::run(command(folder, variables))
    }

    /// Starts a command that becomes the program.
    pub fn run(mut command: Command) -> Self {
        let mut process = command.spawn().expect("the program starts");
        let (log, reader) = collect(process.stderr.take().expect("standard error is piped"));
        let stdout = process.stdout.take().expect("standard output is piped");
        let mut lines = BufReader::new(stdout).lines();
        let url = loop {
            let Some(line) = lines.next() else {
                let _ = process.wait();
                let _ = reader.join();
                panic!("the program did not start: {}", log.lock().unwrap());
            };
            if let Some(url) = line.expect("its output is text").strip_prefix("AI Orchestrator is listening on ") {
                break url.to_owned();
            }
        };
        let output = Arc::new(Mutex::new(String::new()));
        // Without a reader, a full pipe would stop the program.
        let text = Arc::clone(&output);
        thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| {
                *text.lock().unwrap_or_else(PoisonError::into_inner) += &(line + "\n");
            });
        });
        let options = adapters::http::ClientOptions {
            connect: Duration::from_secs(5),
            total: Duration::from_mins(1),
            keep_alive: true,
        };
        let http = adapters::http::client(options);
        Self { client: Client { url, http, key: None }, process, log, output, reader: Some(reader) }
    }

    /// Starts the program with a Google account whose token has `scope`, at `fakes`.
    pub fn start_live(folder: &Path, fakes: &Fakes, scope: &str, more: &[(&str, &str)]) -> Self {
        fakes.add_token(Token::new(Provider::Google, "t-google", &[scope]));
        let gmail_url = fakes.gmail_url();
        let mut variables = vec![
            ("GMAIL_BASE_URL", gmail_url.as_str()),
            ("GOOGLE_ACCESS_TOKEN", "t-google"),
            ("GOOGLE_ACCESS_TOKEN_SCOPES", scope),
        ];
        variables.extend(more);
        Self::start(folder, &variables)
    }

    /// How much memory it holds, in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        1024 * kib.expect("its status has VmRSS")
    }

    /// Talks to this server, and outlives it.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Asks with this API key from now on.
    pub fn use_key(&mut self, key: &str) {
        self.client = self.client.with_key(key);
    }

    /// Stops the program at once, as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().expect("the program runs");
        self.process.wait().expect("the program ends");
    }

    /// Asks the program to stop.
    pub fn terminate(&self) {
        let asked = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        assert!(asked.expect("kill is there").success());
    }

    /// Returns when the program has ended by itself; says whether it ended well. The fakes go on meanwhile.
    pub async fn ends_well(&mut self) -> bool {
        let mut ended = None;
        until("the program does not end", || {
            ended = self.process.try_wait().expect("the program can be asked");
            ended.is_some()
        })
        .await;
        ended.is_some_and(|status| status.success())
    }

    /// What it has written to standard output since it listens.
    pub fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops the program and gives back all that it logged.
    pub fn into_log(mut self) -> String {
        self.kill();
        self.reader.take().expect("it is taken here alone").join().expect("the reader does not panic");
        self.log()
    }
}

impl Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if thread::panicking() {
            eprintln!("the program's log:\n{}", self.log());
        }
    }
}

/// Runs the program where it is to refuse to start; gives back what it says.
pub fn refused(folder: &Path, variables: &[(&str, &str)]) -> Output {
    command(folder, variables).output().expect("the program starts")
}

/// The program with nothing in its environment but `variables`, not started yet.
pub fn command(folder: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
    command
        .env_clear()
        .env("PORT", "0")
        .env("RUST_LOG", "warn")
        .env("ORCHESTRATOR_DATA", folder)
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a command of the program that ends by itself, and gives back what it prints.
pub fn run(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let output = command(folder, variables).args(arguments).output().expect("the program runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it prints text").trim().to_owned()
}

fn collect(mut stream: impl Read + Send + 'static) -> (Arc<Mutex<String>>, thread::JoinHandle<()>) {
    let text = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&text);
    let reader = thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut chunk) {
            shared.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&chunk[..read]));
        }
    });
    (text, reader)
}

impl Client {
    /// A request of any kind to a path of the server.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let request = self.http.request(method, format!("{}{path}", self.url));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// A request of any kind to another server.
    pub fn request_url(&self, method: &str, url: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().expect("a method"), url)
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        reply(self.request("POST", path).json(body)).await
    }

    /// The same with an API key in every request.
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    /// The same by another address, with a connection for each request.
    pub fn through(&self, url: &str) -> Self {
        let http = adapters::http::client(adapters::http::ClientOptions::PROVIDER);
        Self { url: url.to_owned(), http, key: self.key.clone() }
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

    /// The job once it is as a test wants it.
    pub async fn job_when(&self, job_id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/ai/jobs/{job_id}");
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let job = self.get(&path).await.body;
            if wanted(&job) {
                return job;
            }
            assert!(Instant::now() < deadline, "the job is not {what}: {job}");
            pause().await;
        }
    }

    /// Executes one action and gives back its job's id.
    pub async fn execute(&self, action: Value) -> String {
        let reply = self.post("/ai/execute", &json!({ "actions": [action], "actor_id": "ana@example.com" })).await;
        assert_eq!(reply.status, 202, "{}", reply.body);
        reply.body["job_ids"][0].as_str().expect("a job id").to_owned()
    }

    /// How many jobs and mails in the outbox there are, up to 100 of each.
    pub async fn counts(&self) -> (usize, usize) {
        let count = |reply: Reply| reply.body["data"].as_array().map(Vec::len).expect("a list");
        (count(self.get("/ai/jobs?limit=100").await), count(self.get("/dev/outbox").await))
    }
}

impl Reply {
    /// The problem's code; null where it is none.
    pub fn code(&self) -> &Value {
        &self.body["code"]
    }

    /// The places that a problem points to.
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        errors.iter().filter_map(|error| error["pointer"].as_str()).collect()
    }

    /// A header as text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Sends a request and reads its answer; a body that is not JSON becomes a string.
pub async fn reply(request: reqwest::RequestBuilder) -> Reply {
    try_reply(request).await.expect("the server answers")
}

/// The same, where the server may be gone.
pub async fn try_reply(request: reqwest::RequestBuilder) -> Option<Reply> {
    let response = request.send().await.ok()?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.ok()?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Some(Reply { status, headers, body })
}

/// Waits for something that no request tells of, such as what a fake has seen.
pub async fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !happened() {
        assert!(Instant::now() < deadline, "{what}");
        pause().await;
    }
}

/// Between two looks at another process.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// Chance that can be had again: `IT_SEED` repeats a run whose seed was printed.
pub struct Chance(u64);

impl Chance {
    pub fn new(test: &str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "a switch of the test, not of the program")]
        let given = std::env::var("IT_SEED").ok().map(|seed| seed.parse().expect("IT_SEED is a number"));
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(test));
        println!("{test}: IT_SEED={seed}");
        Self(seed)
    }

    /// A number below `end` (SplitMix64).
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % end as u64).expect("less than a usize")
    }
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
