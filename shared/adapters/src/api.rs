//! The client of our own HTTP API, for the command line. It is an adapter because only this crate may use reqwest.

use std::{net::IpAddr, time::Duration};

use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::http::{self, ClientOptions, Failure, LazyClient, MAX_ANSWER, Network};

/// Longer than the server takes for a plan or a long poll.
const OPTIONS: ClientOptions =
    ClientOptions { connect: Duration::from_secs(5), total: Duration::from_secs(40), keep_alive: true };

/// An orchestrator's address, and the key to it.
#[derive(Debug)]
pub struct Api {
    url: String,
    key: Option<SecretString>,
    http: LazyClient,
}

/// The request failed or was refused.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// There is no answer.
    #[error("{url} does not answer ({why}); is it running, and is ORCHESTRATOR_URL its address?")]
    Unreachable {
        /// The orchestrator's address.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// A problem in the format of RFC 9457.
    #[error("{}", described(.0))]
    Problem(Value),
    /// The server that answers is no orchestrator.
    #[error("{url} answers with status {status} and no JSON; is ORCHESTRATOR_URL the address of an orchestrator?")]
    Foreign {
        /// The requested address.
        url: String,
        /// The status of its answer.
        status: u16,
    },
}

impl ApiError {
    /// Whether the same request may succeed later.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
            || matches!(self, Self::Problem(problem) if problem["retriable"] == true)
    }
}

/// A problem as text, with everything that helps.
fn described(problem: &Value) -> String {
    let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let detail = problem["detail"].as_str().filter(|detail| !detail.is_empty());
    let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
    let mut lines = vec![format!("{} ({}){detail}", text(problem, "title"), text(problem, "code"))];
    let errors = problem["errors"].as_array().into_iter().flatten();
    lines.extend(errors.map(|error| format!("{}: {}", text(error, "pointer"), text(error, "detail"))));
    lines.extend(problem["connect_url"].as_str().map(|url| format!("connect: {url}")));
    lines.extend(problem["retry_after_ms"].as_u64().map(|wait| format!("try again in {} s", wait.div_ceil(1000))));
    lines.push(format!("correlation id {}", text(problem, "correlation_id")));
    lines.join("\n  ")
}

fn is_loopback(url: &str) -> bool {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Api {
    /// The orchestrator at `url`, without a trailing slash. No proxy stands before one on this machine.
    pub fn new(url: String, key: Option<SecretString>, network: Network) -> Self {
        let network = if is_loopback(&url) { network.direct() } else { network };
        Self { http: network.client(OPTIONS), url, key }
    }

    /// The orchestrator's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Reads the path of these segments, with this query.
    pub async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, ApiError> {
        self.ask(Method::GET, path, query, None).await
    }

    /// Posts a JSON body to the path of these segments.
    pub async fn post(&self, path: &[&str], body: &Value) -> Result<Value, ApiError> {
        self.ask(Method::POST, path, &[], Some(body)).await
    }

    /// Deletes what the path of these segments names.
    pub async fn delete(&self, path: &[&str]) -> Result<Value, ApiError> {
        self.ask(Method::DELETE, path, &[], None).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let unreachable = |why: String| ApiError::Unreachable { url: self.url.clone(), why };
        let lost = |failure: Failure| unreachable(failure.to_string());
        let url = self.url.parse().map_err(|_| unreachable("it is not a URL".to_owned()))?;
        let mut url = http::below(url, path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.get().request(method, url);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        // A page of jobs is the longest answer.
        let answer = http::send(request, 16 * MAX_ANSWER).await.map_err(lost)?;
        let foreign = ApiError::Foreign { url: self.url.clone(), status: answer.status.as_u16() };
        let body = answer.body.map_err(lost)?;
        if answer.status == StatusCode::NO_CONTENT && body.is_empty() {
            return Ok(Value::Null);
        }
        match serde_json::from_slice::<Value>(&body) {
            Ok(value) if answer.status.is_success() => Ok(value),
            Ok(problem) if problem["code"].is_string() => Err(ApiError::Problem(problem)),
            _ => Err(foreign),
        }
    }
}
