//! Asks an orchestrator over HTTP, for the command line.

use std::{fmt, time::Duration};

use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::http::{ClientOptions, LazyClient};

/// Longer than the server takes for a plan or a poll that waits.
const OPTIONS: ClientOptions =
    ClientOptions { connect: Duration::from_secs(5), total: Duration::from_secs(40), keep_alive: true };

/// An orchestrator at an address, with the key to it.
#[derive(Debug)]
pub struct Api {
    url: String,
    key: Option<SecretString>,
    http: LazyClient,
}

/// There is no answer, or one that says no.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nobody answers there.
    #[error("{url} does not answer ({why}); is it running, and is ORCHESTRATOR_URL its address?")]
    Unreachable {
        /// The orchestrator's address.
        url: String,
        /// What went wrong.
        why: String,
    },
    /// A problem as of RFC 9457.
    #[error("{}", Problem(.0))]
    Problem(Value),
    /// What answers there is no orchestrator.
    #[error("{url} answers with status {status} and no JSON; is ORCHESTRATOR_URL the address of an orchestrator?")]
    Foreign {
        /// The address that was asked.
        url: String,
        /// The status of its answer.
        status: u16,
    },
}

impl ApiError {
    /// Whether the same request may do better in a moment.
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
        let text = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
        let Self(problem) = self;
        write!(f, "{} ({})", text(&problem["title"]), text(&problem["code"]))?;
        let detail = text(&problem["detail"]);
        if !detail.is_empty() {
            write!(f, ": {detail}")?;
        }
        for error in problem["errors"].as_array().into_iter().flatten() {
            write!(f, "\n  {}: {}", text(&error["pointer"]), text(&error["detail"]))?;
        }
        if let Some(url) = problem["connect_url"].as_str() {
            write!(f, "\n  connect: {url}")?;
        }
        if let Some(wait) = problem["retry_after_ms"].as_u64() {
            write!(f, "\n  again in {} s", wait.div_ceil(1000))?;
        }
        write!(f, "\n  correlation id {}", text(&problem["correlation_id"]))
    }
}

impl Api {
    /// The orchestrator at `url`, without a slash at its end.
    pub fn new(url: String, key: Option<SecretString>) -> Self {
        Self { url, key, http: LazyClient::new(OPTIONS) }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Reads a path, which begins with a slash; `query` is encoded here.
    pub async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, ApiError> {
        self.ask(Method::GET, path, query, None).await
    }

    /// Posts a JSON body to a path.
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
        let mut url: reqwest::Url = self.url.parse().map_err(|_| unreachable("it is no address".to_owned()))?;
        match url.path_segments_mut() {
            // Segment by segment, so that no argument reaches another route.
            Ok(mut segments) => segments.pop_if_empty().extend(path),
            Err(()) => return Err(unreachable("it is no address".to_owned())),
        };
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let http = self.http.get().map_err(|error| unreachable(error.to_string()))?;
        let mut request = http.request(method, url);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| unreachable(why(&error)))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| unreachable(why(&error)))?;
        read(status, &text).ok_or_else(|| ApiError::Foreign { url: self.url.clone(), status: status.as_u16() })?
    }
}

/// None where the answer is not one of an orchestrator.
fn read(status: StatusCode, text: &str) -> Option<Result<Value, ApiError>> {
    let value: Value = serde_json::from_str(text).ok()?;
    if status.is_success() {
        return Some(Ok(value));
    }
    value["code"].is_string().then_some(Err(ApiError::Problem(value)))
}

fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        "it took too long".to_owned()
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "the connection broke".to_owned()
    }
}
