//! The client of our own HTTP API, for the command line. It is an adapter because only this crate may use reqwest.

use std::time::Duration;

use reqwest::{Method, StatusCode};
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
    #[error("{url} does not answer ({why}); is it running, and is ORCHESTRATOR_URL or --url its address?")]
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
    #[error(
        "{url} answers with status {status} and no JSON; is ORCHESTRATOR_URL or --url the address of an orchestrator?"
    )]
    Foreign {
        /// The orchestrator's address.
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
    let place = |error: &Value| format!("{}: {}", text(error, "pointer"), text(error, "detail"));
    let detail = text(problem, "detail");
    // The detail of a single place is said once, with its place.
    let (detail, errors) = match problem["errors"].as_array().map_or(&[][..], Vec::as_slice) {
        [error] if detail.ends_with(&text(error, "detail")) => {
            (place(error).trim_start_matches(": ").to_owned(), &[][..])
        }
        errors => (detail, errors),
    };
    let detail = if detail.is_empty() { detail } else { format!(": {detail}") };
    let mut lines = vec![format!("{} ({}){detail}", text(problem, "title"), text(problem, "code"))];
    lines.extend(errors.iter().map(place));
    lines.extend((problem["code"] == "unauthenticated").then(|| "set ORCHESTRATOR_KEY, or give --key".to_owned()));
    lines.extend(problem["connect_url"].as_str().map(|url| format!("connect: {url}")));
    lines.extend(problem["retry_after_ms"].as_u64().map(|wait| format!("try again in {} s", wait.div_ceil(1000))));
    lines.push(format!("correlation id {}", text(problem, "correlation_id")));
    lines.join("\n  ")
}

impl Api {
    /// The orchestrator at `url`, without a trailing slash. No proxy stands before one on this machine.
    pub fn new(url: String, key: Option<SecretString>, network: Network) -> Self {
        let network = if http::is_loopback(&url) { network.direct() } else { network };
        Self { http: network.client(OPTIONS), url, key }
    }

    /// The orchestrator's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Reads the path of these segments, with this query.
    pub async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, ApiError> {
        self.ask(Method::GET, path, query, None, &[]).await
    }

    /// Posts a JSON body to the path of these segments.
    pub async fn post(&self, path: &[&str], body: &Value) -> Result<Value, ApiError> {
        self.post_with(path, body, &[]).await
    }

    /// The same with these headers. Null for an answer without a body.
    pub async fn post_with(
        &self,
        path: &[&str],
        body: &Value,
        headers: &[(&'static str, String)],
    ) -> Result<Value, ApiError> {
        self.ask(Method::POST, path, &[], Some(body), headers).await
    }

    /// Deletes what the path of these segments names.
    pub async fn delete(&self, path: &[&str]) -> Result<Value, ApiError> {
        self.ask(Method::DELETE, path, &[], None, &[]).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
        headers: &[(&'static str, String)],
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
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        // A page of jobs is the longest answer.
        let answer = http::send(request, 16 * MAX_ANSWER).await.map_err(lost)?;
        let foreign = ApiError::Foreign { url: self.url.clone(), status: answer.status.as_u16() };
        let body = answer.body.map_err(lost)?;
        if matches!(answer.status, StatusCode::NO_CONTENT | StatusCode::ACCEPTED) && body.is_empty() {
            return Ok(Value::Null);
        }
        match serde_json::from_slice::<Value>(&body) {
            // An error of the protocol is a good answer, whatever its status.
            Ok(value) if answer.status.is_success() || value["jsonrpc"].is_string() => Ok(value),
            Ok(problem) if problem["code"].is_string() => Err(ApiError::Problem(problem)),
            _ => Err(foreign),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_says_each_thing_once_and_what_helps() {
        let place = |pointer: &str, detail: &str| json!({ "pointer": pointer, "detail": detail });
        for (detail, errors, code, told) in [
            ("/status: is not one", vec![place("/status", "is not one")], "c", "T (c): /status: is not one"),
            ("there is no key x", vec![place("/id", "there is no key x")], "c", "T (c): /id: there is no key x"),
            ("must be an object", vec![place("", "must be an object")], "c", "T (c): must be an object"),
            (
                "the params are not valid",
                vec![place("/a", "x"), place("/b", "y")],
                "c",
                "T (c): the params are not valid\n  /a: x\n  /b: y",
            ),
            ("two are wrong", vec![place("/a", "x")], "c", "T (c): two are wrong\n  /a: x"),
            ("", vec![], "unauthenticated", "T (unauthenticated)\n  set ORCHESTRATOR_KEY, or give --key"),
        ] {
            let problem =
                json!({ "title": "T", "code": code, "detail": detail, "errors": errors, "correlation_id": "i" });
            assert_eq!(described(&problem), format!("{told}\n  correlation id i"));
        }
    }
}
