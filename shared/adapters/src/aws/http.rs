//! The SDK's requests by the process's one HTTP library, instead of a second client with its own pool and the
//! system's root certificates, which are read and parsed one by one.

use std::time::Duration;

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
            SharedHttpConnector,
        },
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
        runtime_components::RuntimeComponents,
    },
};

use crate::http::{ClientOptions, LazyClient};

/// The SDK has its own limits, and a long poll may take 28 s of them; a connection gets 1 s, so that what cannot be
/// reached is tried again in time.
const OPTIONS: ClientOptions =
    ClientOptions { connect: Duration::from_secs(1), total: Duration::from_secs(30), keep_alive: true };

/// Connects as the mail providers' clients do: TLS by ring, with Mozilla's roots.
pub fn http_client() -> SharedHttpClient {
    SharedHttpClient::new(Http(LazyClient::new(OPTIONS)))
}

#[derive(Debug, Clone)]
struct Http(LazyClient);

impl HttpClient for Http {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let client = client.get().map_err(|error| ConnectorError::user(error.into()))?;
            let request = prepared(request).map_err(ConnectorError::user)?;
            let response = client.execute(request).await.map_err(failed)?;
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

/// The request with its body, which the services used here always have in memory.
fn prepared(request: HttpRequest) -> Result<reqwest::Request, BoxError> {
    let body = request.body().bytes().ok_or("the body is a stream")?.to_vec();
    let mut prepared = reqwest::Request::try_from(request.map(|_| "").try_into_http1x()?)?;
    *prepared.body_mut() = Some(body.into());
    Ok(prepared)
}

/// What the SDK's retries go by: what had no answer may be tried again.
fn failed(error: reqwest::Error) -> ConnectorError {
    let (connecting, unusable) = (error.is_connect(), error.is_builder());
    let error = match error.is_timeout() {
        true => ConnectorError::timeout(error.into()),
        false if unusable => ConnectorError::user(error.into()),
        false => ConnectorError::io(error.into()),
    };
    if connecting { error.never_connected() } else { error }
}
