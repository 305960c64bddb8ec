//! The SDK's requests go through [`crate::http`], not through a second client with its own pool and the system's
//! root certificates, which are slow to load.

use std::time::Duration;

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
};

use reqwest::header::{ACCEPT_ENCODING, HeaderValue};

use crate::http::{ClientOptions, Failure, LazyClient};

/// The SDK has its own timeouts, up to 28 s for a long poll. A connection gets 1 s, so that an unreachable host is
/// tried again in time.
const OPTIONS: ClientOptions =
    ClientOptions { connect: Duration::from_secs(1), total: Duration::from_secs(30), keep_alive: true };

/// The SDK's HTTP client.
pub fn http_client() -> SharedHttpClient {
    let http = Http(LazyClient::new(OPTIONS));
    http_client_fn(move |_, _| SharedHttpConnector::new(http.clone()))
}

#[derive(Debug, Clone)]
struct Http(LazyClient);

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = prepared(request).map_err(ConnectorError::user)?;
            let response = client.get().execute(request).await.map_err(failed)?;
            let (status, headers) = (response.status(), response.headers().clone());
            let body = response.bytes().await.map_err(failed)?;
            let mut answer = HttpResponse::new(status.into(), body.into());
            for (name, value) in &headers {
                let appended = answer.headers_mut().try_append(name.clone(), value.clone());
                appended.map_err(|error| ConnectorError::other(error.into(), None))?;
            }
            Ok(answer)
        })
    }
}

/// The request as reqwest's. Its body is always in memory for the services used here.
fn prepared(request: HttpRequest) -> Result<reqwest::Request, BoxError> {
    let body = request.body().bytes().ok_or("the body is a stream")?.to_vec();
    let mut prepared = reqwest::Request::try_from(request.map(|_| "").try_into_http1x()?)?;
    *prepared.body_mut() = Some(body.into());
    // The SDK reads bodies as they are, and checks them so.
    prepared.headers_mut().entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
    Ok(prepared)
}

/// The SDK retries by this kind: everything but an invalid request may be tried again.
fn failed(error: reqwest::Error) -> ConnectorError {
    match Failure::from(&error) {
        Failure::Invalid => ConnectorError::user(error.into()),
        Failure::NoConnection => ConnectorError::io(error.into()).never_connected(),
        Failure::TimedOut => ConnectorError::timeout(error.into()),
        Failure::Broken | Failure::TooLong => ConnectorError::io(error.into()),
    }
}
