//! What stands between a client and a server of a test and writes down what is asked.

use std::{
    io::{BufRead, BufReader, Error, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;

/// In front of DynamoDB and SQS: writes the calls down, and loses or makes up answers.
#[derive(Debug)]
pub struct AwsProxy {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

/// What to do with a call.
#[derive(Debug)]
pub enum Reaction {
    /// Carry it out.
    Forward,
    /// Carry it out, and end the connection before the answer.
    Lose,
    /// Answer it with this status and body instead.
    Answer(u16, Value),
}

type React = dyn Fn(&str, &Value) -> Reaction + Send + Sync;

impl AwsProxy {
    /// One in front of `server`. `react` is told of each call, by its name and body, on a thread of its connection.
    pub fn start(server: SocketAddr, react: impl Fn(&str, &Value) -> Reaction + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, react): (_, Arc<React>) = (Arc::clone(&seen), Arc::new(react));
        let address = listen(move |client| {
            let (log, react) = (Arc::clone(&log), Arc::clone(&react));
            // A connection that breaks off is its client's matter.
            thread::spawn(move || serve(&client, server, &log, &*react));
        });
        Self { address, seen }
    }

    /// Its endpoint, as for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The names of the calls since this was asked last.
    pub fn calls(&self) -> Vec<String> {
        take(&self.seen)
    }
}

/// In front of a Redis server: writes the round trips down.
#[derive(Debug)]
pub struct RedisProxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<RoundTrip>>>,
    /// How many connections there were, and of how many the network has forgotten.
    connections: Arc<[AtomicUsize; 2]>,
}

/// The commands that a client sent before it had an answer, each by its name and first key.
pub type RoundTrip = Vec<String>;

impl RedisProxy {
    /// One in front of the server on this port of 127.0.0.1.
    pub fn start(port: u16) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let (log, count) = (Arc::clone(&seen), Arc::clone(&connections));
        let address = listen(move |client| {
            let (log, count) = (Arc::clone(&log), Arc::clone(&count));
            let number = count[0].fetch_add(1, Ordering::SeqCst);
            thread::spawn(move || pass_on(&client, port, &log, &|| number < count[1].load(Ordering::SeqCst)));
        });
        Self { address, seen, connections }
    }

    /// Its URL, as for `REDIS_URL`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// From now on nothing passes on the connections that exist, though they stay open, as after a network forgot them.
    pub fn forget(&self) {
        self.connections[1].store(self.connections[0].load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// The round trips since this was asked last. Those that are under way at the same time on one
    /// connection cannot be told apart: what is to be counted has to be alone.
    pub fn round_trips(&self) -> Vec<RoundTrip> {
        take(&self.seen)
    }
}

fn take<T>(seen: &Mutex<Vec<T>>) -> Vec<T> {
    std::mem::take(&mut seen.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Listens on loopback, as long as the process lasts.
fn listen(serve: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || listener.incoming().flatten().for_each(serve));
    address
}

fn serve(mut client: &TcpStream, server: SocketAddr, seen: &Mutex<Vec<String>>, react: &React) -> std::io::Result<()> {
    let mut reader = BufReader::new(client);
    loop {
        let (head, body) = read_message(&mut reader)?;
        let target = head.lines().find_map(|line| line.strip_prefix("x-amz-target: ")).unwrap_or_default();
        let call = target.rsplit('.').next().unwrap_or_default();
        seen.lock().unwrap_or_else(PoisonError::into_inner).push(call.to_owned());
        let reaction = react(call, &serde_json::from_slice(&body)?);
        if let Reaction::Answer(status, body) = reaction {
            let (kind, body) = ("application/x-amz-json-1.0", body.to_string());
            let length = body.len();
            // In one piece, which TCP does not hold back.
            let answer =
                format!("HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}");
            client.write_all(answer.as_bytes())?;
            continue;
        }
        let mut upstream = TcpStream::connect(server)?;
        upstream.write_all(&[head.as_bytes(), &body].concat())?;
        let (head, body) = read_message(&mut BufReader::new(upstream))?;
        if matches!(reaction, Reaction::Lose) {
            return Ok(());
        }
        client.write_all(&[head.as_bytes(), &body].concat())?;
    }
}

/// The head, names in small letters, and the body.
fn read_message(reader: &mut impl BufRead) -> std::io::Result<(String, Vec<u8>)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if let Some((name, value)) = line.split_once(": ") {
            let name = name.to_ascii_lowercase();
            if name == "content-length" {
                length = value.trim().parse().map_err(|_| ErrorKind::InvalidData)?;
            }
            line = format!("{name}: {value}");
        }
        head.push_str(&line);
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}

fn pass_on(
    client: &TcpStream,
    port: u16,
    seen: &Mutex<Vec<RoundTrip>>,
    is_forgotten: &(dyn Fn() -> bool + Sync),
) -> std::io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let waits = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let answered = forward(&server, client, is_forgotten, |_| waits.store(false, Ordering::SeqCst));
            // The one side's end is the other's.
            answered.and(client.shutdown(std::net::Shutdown::Both))
        });
        let mut rest = Vec::new();
        let asked = forward(client, &server, is_forgotten, |bytes| {
            rest.extend_from_slice(bytes);
            let commands = commands(&mut rest);
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let first = !waits.swap(true, Ordering::SeqCst);
            match seen.last_mut().filter(|_| !first) {
                Some(trip) => trip.extend(commands),
                None => seen.push(commands),
            }
        });
        asked.and(server.shutdown(std::net::Shutdown::Both))
    })
}

/// Passes on what one side says to the other, after telling of it, unless the connection is forgotten.
fn forward(
    mut from: &TcpStream,
    mut to: &TcpStream,
    is_forgotten: &(dyn Fn() -> bool + Sync),
    mut tell: impl FnMut(&[u8]),
) -> std::io::Result<()> {
    let mut bytes = vec![0; 1 << 20];
    while let length @ 1.. = from.read(&mut bytes)? {
        if is_forgotten() {
            continue;
        }
        tell(&bytes[..length]);
        to.write_all(&bytes[..length])?;
    }
    Ok(())
}

/// Takes the whole commands from the beginning of `bytes`, each as its name and first key.
fn commands(bytes: &mut Vec<u8>) -> Vec<String> {
    let mut commands = Vec::new();
    let mut rest = bytes.as_slice();
    let mut done = 0;
    while let Ok(words) = read_command(&mut rest) {
        done = bytes.len() - rest.len();
        let name = words.first().map_or("", String::as_str);
        // A script's keys come after it and their number.
        let key = if name.starts_with("EVAL") { 3 } else { 1 };
        commands.push(words.get(key).map_or_else(|| name.to_owned(), |key| format!("{name} {key}")));
    }
    bytes.drain(..done);
    commands
}

/// A command as Redis's protocol writes it: `*<words>`, then `$<length>` and the bytes of each.
fn read_command(bytes: &mut &[u8]) -> std::io::Result<Vec<String>> {
    let count = read_length(bytes, '*')?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let mut word = vec![0; read_length(bytes, '$')? + 2];
        bytes.read_exact(&mut word)?;
        word.truncate(word.len() - 2);
        words.push(String::from_utf8_lossy(&word).into_owned());
    }
    Ok(words)
}

fn read_length(bytes: &mut &[u8], mark: char) -> std::io::Result<usize> {
    let mut line = String::new();
    bytes.read_line(&mut line)?;
    let length = line.strip_suffix("\r\n").and_then(|line| line.strip_prefix(mark)?.parse().ok());
    length.ok_or_else(|| Error::from(ErrorKind::UnexpectedEof))
}
