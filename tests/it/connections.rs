//! What callers can hold of the server: connections, time and memory.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use fakes::{Fakes, Fault};
use serde_json::json;

use crate::support::{GMAIL_SEND, Server, command, gmail};

const MIB: u64 = 1024 * 1024;
/// Heads of requests that do not go on.
const HEADS: [&str; 6] = [
    "",
    "GET /heal",
    "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    "POST /ai/plan2 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Le",
    "\r\n\r\n",
    "GET / HTTP/1.1\r\nX: ",
];

fn connect(server: &str) -> TcpStream {
    let stream = TcpStream::connect(server).expect("the server accepts");
    stream.set_read_timeout(Some(Duration::from_secs(45))).unwrap();
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    stream
}

/// A connection on which this is sent, as far as the server takes it.
fn begin(server: &str, text: &[u8]) -> TcpStream {
    let mut stream = connect(server);
    let _ = stream.write_all(text);
    stream
}

/// How long a new connection waits for `/healthz`.
fn health(server: &str) -> Duration {
    let began = Instant::now();
    let mut stream = begin(server, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the server answers");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
    began.elapsed()
}

/// A large body that lacks its last byte.
fn stalled(server: &str) -> TcpStream {
    let head = "POST /ai/plan2 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1048576\r\n\r\n";
    begin(server, &[head.as_bytes(), &vec![b' '; 1_048_575]].concat())
}

/// When the server has ended a connection.
fn ends_after(mut stream: TcpStream) -> Duration {
    let began = Instant::now();
    // A connection that is reset has ended, too.
    let _ = stream.read_to_end(&mut Vec::new());
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn half_open_connections_and_stalled_bodies_keep_nobody_out_and_nothing_from_stopping() {
    let (fakes, folder) = (Fakes::start().await.unwrap(), tempfile::tempdir().unwrap());
    let mut server = Server::start_live(folder.path(), &fakes, GMAIL_SEND, &[]);
    fakes.script(Fault::TooManyRequests { retry_after_s: Some(600) }.on("gmail.messages.send"));
    let waits = server.execute(gmail("waits", "Hello")).await;
    server.job_when(&waits, "waiting", |job| job["waiting_for"] == "rate-limit").await;
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let before = server.memory();

    let there = address.clone();
    let held = tokio::task::spawn_blocking(move || {
        let mut held = Vec::new();
        for n in 0..1_000 {
            held.push(begin(&there, HEADS[n % HEADS.len()].as_bytes()));
            if n % 100 == 99 {
                assert!(health(&there) < Duration::from_secs(1), "{n} connections");
            }
        }
        let bodies: Vec<_> = (0..100)
            .map(|_| {
                let there = there.clone();
                thread::spawn(move || stalled(&there))
            })
            .collect();
        for body in bodies {
            assert!(health(&there) < Duration::from_secs(1), "beside stalled bodies");
            held.push(body.join().unwrap());
        }
        for _ in 0..20 {
            assert!(health(&there) < Duration::from_secs(1), "beside stalled bodies");
        }
        held
    });
    let held = held.await.unwrap();
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 64 * MIB, "{} MiB more", grown / MIB);
    let plan = server.post("/ai/plan2", &json!({ "prompt": "Send email to john@example.com saying hi" })).await;
    assert_eq!(plan.status, 200, "a small body goes by: {}", plan.body);
    let large = json!({ "prompt": "Send email to john@example.com saying hi", "context": "x".repeat(30_000) });
    let plan = server.post("/ai/plan2", &large).await;
    assert_eq!(plan.status, 200, "a large one gets the room of one that stalls: {}", plan.body);

    // What is in progress at the signal still ends.
    let poll = format!("GET /ai/jobs/{waits}?wait=2 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    let mut poll = begin(&address, poll.as_bytes());
    // The connection after it is served, so the poll is, too.
    health(&address);
    let asked = Instant::now();
    server.terminate();
    let polled = tokio::task::spawn_blocking(move || {
        let mut answer = String::new();
        poll.read_to_string(&mut answer).map(|_| answer)
    });
    let polled = polled.await.unwrap().unwrap();
    assert!(polled.starts_with("HTTP/1.1 200") && polled.ends_with('}'), "{polled}");
    assert!(server.ends_well().await);
    assert!(asked.elapsed() < Duration::from_secs(5), "it took {:?}", asked.elapsed());
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_head_has_ten_seconds_and_a_body_thirty() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let ends = tokio::task::spawn_blocking(move || {
        let heads = HEADS.map(|head| begin(&address, head.as_bytes()));
        let second = begin(&address, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /healthz HT");
        let small = begin(
            &address,
            b"POST /ai/plan2 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
        );
        let heads = heads.into_iter().chain([second]);
        let waiting: Vec<_> = heads
            .map(|head| (head, 10))
            .chain([(small, 30), (stalled(&address), 30)])
            .map(|(stream, seconds)| (seconds, thread::spawn(move || ends_after(stream))))
            .collect();
        waiting.into_iter().map(|(seconds, ends)| (seconds, ends.join().unwrap())).collect::<Vec<_>>()
    });
    for (seconds, took) in ends.await.unwrap() {
        let most = Duration::from_secs(seconds + 4);
        assert!(took < most && took > Duration::from_secs(seconds - 3), "{took:?} instead of {seconds} s");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_process_that_may_open_few_files_has_few_connections_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let program = command(folder.path(), &[]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 128 && exec \"$0\""]).arg(program.get_program()).env_clear();
    limited.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let server = Server::run(limited);
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let held = tokio::task::spawn_blocking(move || {
        let mut held = Vec::new();
        for n in 0..400 {
            held.push(begin(&address, HEADS[n % HEADS.len()].as_bytes()));
            if n % 20 == 19 {
                assert!(health(&address) < Duration::from_secs(1), "{n} connections");
            }
        }
        held
    });
    let held = held.await.unwrap();
    // It still opens the files and connections that it needs itself.
    let job = server.execute(gmail("a", "Hello")).await;
    assert_eq!(server.ended(&job).await["status"], "completed");
    assert!(!server.log().contains("was not accepted"), "{}", server.log());
    drop(held);
}
