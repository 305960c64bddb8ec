//! The client of our own HTTP API, for the command line. It is an adapter because only this crate may use reqwest.

use std::{fmt, time::Duration};

use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::http::{self, ClientOptions, Failure, LazyClient, MAX_ANSWER};

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
    #[error("{}", Problem(.0))]
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
        match self {
            Self::Unreachable { .. } => true,
            Self::Problem(problem) => problem["retriable"] == true,
            Self::Foreign { .. } => false,
        }
    }
}

struct Problem<'a>(&'a Value);

impl fmt::Display for Problem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(problem) = self;
        let text = |name: &str| problem[name].as_str().unwrap_or_default();
        write!(f, "{} ({})", text("title"), text("code"))?;
        if !text("detail").is_empty() {
            write!(f, ": {}", text("detail"))?;
        }
        for error in problem["errors"].as_array().into_iter().flatten() {
            let text = |name: &str| error[name].as_str().unwrap_or_default();
            write!(f, "\n  {}: {}", text("pointer"), text("detail"))?;
        }
        if let Some(url) = problem["connect_url"].as_str() {
            write!(f, "\n  connect: {url}")?;
        }
        if let Some(wait) = problem["retry_after_ms"].as_u64() {
            write!(f, "\n  try again in {} s", wait.div_ceil(1000))?;
        }
        write!(f, "\n  correlation id {}", text("correlation_id"))
    }
}

impl Api {
    /// The orchestrator at `url`, without a trailing slash.
    pub fn new(url: String, key: Option<SecretString>) -> Self {
        Self { url, key, http: LazyClient::new(OPTIONS) }
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

    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, ApiError> {
        let unreachable = |why: String| ApiError::Unreachable { url: self.url.clone(), why };
        let lost = |failure: Failure| unreachable(failure.to_string());
        let mut url: reqwest::Url = self.url.parse().map_err(|_| unreachable("it is not a URL".to_owned()))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            // Segment by segment, so that no argument reaches another route.
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let client = self.http.get().map_err(|error| unreachable(error.to_string()))?;
        let mut request = client.request(method, url);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        // A page of jobs is the longest answer.
        let answer = http::send(request, 16 * MAX_ANSWER).await.map_err(lost)?;
        let body = answer.body.map_err(lost)?;
        let foreign = || ApiError::Foreign { url: self.url.clone(), status: answer.status.as_u16() };
        read(answer.status, &body).ok_or_else(foreign)?
    }
}

/// None if an orchestrator does not answer so.
fn read(status: StatusCode, body: &[u8]) -> Option<Result<Value, ApiError>> {
    let value: Value = serde_json::from_slice(body).ok()?;
    if status.is_success() {
        return Some(Ok(value));
    }
    value["code"].is_string().then_some(Err(ApiError::Problem(value)))
}
