//! `orchestrator mcp`: the Model Context Protocol over standard input and output, for clients that start a program. Each
//! line goes to `POST /mcp` of the server at `ORCHESTRATOR_URL`, which knows the tools.

use std::{
    error::Error,
    io::{self, BufRead as _, Write as _},
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use adapters::api::{Api, ApiError};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};

/// How many messages may wait for the server at once.
const AT_ONCE: usize = 16;
/// Where a message names its revision, if it does.
const VERSION: &str = "/params/_meta/io.modelcontextprotocol~1protocolVersion";

/// Passes messages on until standard input ends.
pub async fn run(api: Api) -> Result<ExitCode, Box<dyn Error>> {
    let proxy = Arc::new(Proxy { api, negotiated: Mutex::default() });
    let (sender, mut lines) = mpsc::channel(AT_ONCE);
    // Reading blocks, so it has a thread of its own; it ends with the program.
    thread::spawn(move || {
        io::stdin().lock().lines().map_while(Result::ok).try_for_each(|line| sender.blocking_send(line))
    });
    let mut tasks = JoinSet::new();
    while let Some(line) = lines.recv().await {
        if tasks.len() == AT_ONCE {
            tasks.join_next().await;
        }
        if !line.trim().is_empty() {
            let proxy = Arc::clone(&proxy);
            tasks.spawn(async move { proxy.pass_on(&line).await });
        }
    }
    while tasks.join_next().await.is_some() {}
    Ok(ExitCode::SUCCESS)
}

struct Proxy {
    api: Api,
    /// The revision that the handshake came to, which every later message names in a header.
    negotiated: Mutex<Option<String>>,
}

impl Proxy {
    /// Sends a message, and writes what the server answers to it.
    async fn pass_on(&self, line: &str) {
        let answer = match serde_json::from_str::<Value>(line) {
            Ok(message) => self.ask(&message).await,
            Err(_) => Some(error(&Value::Null, -32700, "a line has to be one JSON-RPC message")),
        };
        if let Some(answer) = answer {
            let mut out = io::stdout().lock();
            // A client that is gone ends standard input, too.
            let _ = writeln!(out, "{answer}").and_then(|()| out.flush());
        }
    }

    /// The answer to a message; none to a notification.
    async fn ask(&self, message: &Value) -> Option<Value> {
        let mut headers = Vec::new();
        let method = message["method"].as_str().unwrap_or_default();
        if let Some(version) = message.pointer(VERSION).and_then(Value::as_str) {
            // A message without a handshake has its method and its tool in headers as well.
            headers.push(("mcp-protocol-version", version.to_owned()));
            headers.push(("mcp-method", method.to_owned()));
            headers.extend(message["params"]["name"].as_str().map(|name| ("mcp-name", name.to_owned())));
        } else if method != "initialize" {
            let negotiated = self.negotiated.lock().unwrap_or_else(PoisonError::into_inner).clone();
            headers.extend(negotiated.map(|version| ("mcp-protocol-version", version)));
        }
        let answer = self.api.post_with(&["mcp"], message, &headers).await;
        let id = match message {
            Value::Object(fields) => fields.get("id")?,
            _ => &Value::Null,
        };
        match answer {
            Ok(answer) => {
                if let Some(version) = answer["result"]["protocolVersion"].as_str() {
                    *self.negotiated.lock().unwrap_or_else(PoisonError::into_inner) = Some(version.to_owned());
                }
                Some(answer)
            }
            Err(refused @ ApiError::Problem(_)) => Some(error(id, -32600, &refused.to_string())),
            Err(failed) => Some(error(id, -32603, &failed.to_string())),
        }
    }
}

fn error(id: &Value, code: i32, says: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": says } })
}
