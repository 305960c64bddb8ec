//! A client that costs as little as can be, so that the server is what is measured.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, StatusCode,
    body::Bytes,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// The server ends a connection that asks nothing for ten seconds, perhaps at the moment of the next request.
const GOOD_FOR: Duration = Duration::from_secs(8);

/// One connection that is kept alive.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    used: Instant,
    host: String,
    key: Option<String>,
}

impl Client {
    /// Connects to a base URL, `http://` and a loopback address; asks with this API key, if there is one.
    pub async fn connect(url: &str, key: Option<&str>) -> Self {
        let host = url.strip_prefix("http://").expect("a base URL on loopback").to_owned();
        let address: SocketAddr = host.parse().expect("an address with a port");
        let stream = TcpStream::connect(address).await.expect("the server listens");
        stream.set_nodelay(true).expect("a socket");
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a connection");
        tokio::spawn(connection);
        Self { sender, used: Instant::now(), host, key: key.map(ToOwned::to_owned) }
    }

    /// Asks, and reads the whole answer.
    pub async fn ask(&mut self, method: Method, path: &str, body: Bytes) -> (StatusCode, Bytes) {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, &self.host);
        if !body.is_empty() {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::ACCEPT, "application/json, text/event-stream");
        }
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let request = request.body(Full::new(body)).expect("a request");
        if self.used.elapsed() > GOOD_FOR {
            let url = format!("http://{}", self.host);
            *self = Self::connect(&url, self.key.as_deref()).await;
        }
        let response = self.sender.send_request(request).await.expect("an answer");
        self.used = Instant::now();
        let status = response.status();
        (status, response.into_body().collect().await.expect("a whole answer").to_bytes())
    }

    /// What is at a path, which must be there.
    pub async fn get(&mut self, path: &str) -> Bytes {
        let (status, body) = self.ask(Method::GET, path, Bytes::new()).await;
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&body));
        body
    }

    /// The answer to a JSON body, which must be taken.
    pub async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Bytes {
        let (status, body) = self.ask(Method::POST, path, body.into()).await;
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&body));
        body
    }

    /// The same, read as JSON.
    pub async fn post_json(&mut self, path: &str, body: &Value) -> Value {
        serde_json::from_slice(&self.post(path, body.to_string()).await).expect("JSON")
    }
}
