use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::Ipv4Addr,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderName, StatusCode},
    response::IntoResponse,
    routing::{get, post},
};
use engine::ports::Clock;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::{Mutex as AsyncMutex, mpsc, oneshot},
};

/// How long an invocation may take, and an answer be waited for.
const TIME: Duration = Duration::from_secs(50);

/// The trace header of every invocation.
const TRACE: &str = "Root=1-58406520-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1";

/// What an invocation came to: the function's answer, or its error.
pub type Answer = Result<Value, Value>;

/// The program as one of the functions, with a Lambda Runtime API of its own on loopback. It ends with this value.
pub struct Function {
    process: Child,
    log: Arc<Mutex<String>>,
    events: mpsc::UnboundedSender<(String, Value)>,
    waiting: Waiting,
    count: usize,
}

type Waiting = Arc<Mutex<BTreeMap<String, oneshot::Sender<Answer>>>>;

struct Api {
    events: AsyncMutex<mpsc::UnboundedReceiver<(String, Value)>>,
    waiting: Waiting,
}

impl Function {
    /// Starts the function with this handler and these variables, and no others.
    pub async fn start(handler: &str, variables: &[(&str, String)]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (events, receiver) = mpsc::unbounded_channel();
        let waiting = Waiting::default();
        let api = Arc::new(Api { events: AsyncMutex::new(receiver), waiting: Arc::clone(&waiting) });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{end}", post(ended))
            .with_state(api);
        tokio::spawn(async { axum::serve(listener, router).await });
        let mut command = command(handler, variables);
        command.env("AWS_LAMBDA_RUNTIME_API", address.to_string()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, text) = (BufReader::new(process.stderr.take().unwrap()).lines(), Arc::clone(&log));
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| *text.lock().unwrap() += &(line + "\n")));
        Self { process, log, events, waiting, count: 0 }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Gives it an event, and waits for what it makes of it.
    pub async fn invoke(&mut self, event: Value) -> Answer {
        self.count += 1;
        let id = format!("request-{}", self.count);
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().unwrap().insert(id.clone(), answer);
        self.events.send((id, event)).unwrap();
        let answer = tokio::time::timeout(TIME, answered).await;
        let state = |_| panic!("no answer; the process: {:?}: {}", self.process.try_wait(), self.log());
        answer.unwrap_or_else(state).unwrap()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // It has ended already if either fails.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs the program until it ends by itself.
pub fn run(handler: &str, variables: &[(&str, String)]) -> Output {
    command(handler, variables).env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1").stderr(Stdio::piped()).output().unwrap()
}

fn command(handler: &str, variables: &[(&str, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bootstrap"));
    command
        .env_clear()
        .env("_HANDLER", handler)
        .env("AWS_LAMBDA_FUNCTION_NAME", handler)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .envs(variables.iter().map(|(name, value)| (*name, value.as_str())))
        .stdin(Stdio::null());
    command
}

async fn next(State(api): State<Arc<Api>>) -> impl IntoResponse {
    let (id, event) = api.events.lock().await.recv().await.expect("the test goes on");
    let now = adapters::system::SystemClock.now().as_millisecond();
    let headers = [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", (now + i64::try_from(TIME.as_millis()).unwrap()).to_string()),
        ("lambda-runtime-trace-id", TRACE.to_owned()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:it".to_owned()),
    ];
    (headers.map(|(name, value)| (HeaderName::from_static(name), value)), event.to_string())
}

async fn ended(State(api): State<Arc<Api>>, Path((id, end)): Path<(String, String)>, body: String) -> StatusCode {
    let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
    if let Some(waits) = api.waiting.lock().unwrap().remove(&id) {
        let _ = waits.send(if end == "response" { Ok(body) } else { Err(body) });
    }
    StatusCode::ACCEPTED
}
