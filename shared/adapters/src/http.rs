//! The one place that builds HTTP clients.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// How long to wait, and whether to keep connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientOptions {
    /// For the connection with its TLS handshake. Shorter than `total`, so that what never got
    /// through is told apart from what was never answered.
    pub connect: Duration,
    /// For the whole of a request, until the last byte of the answer.
    pub total: Duration,
    /// Whether a connection waits for the next request.
    pub keep_alive: bool,
}

impl ClientOptions {
    /// For mail providers. Every request has a connection of its own: one that the other end
    /// closed while it was idle would make a send's outcome unknown for nothing.
    pub const PROVIDER: Self =
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(15), keep_alive: false };

    /// For the model. A connection that died meanwhile costs one of the planner's two tries.
    pub const MODEL: Self = Self { connect: Duration::from_secs(5), total: Duration::from_secs(25), keep_alive: true };
}

/// Why a client cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the HTTP client cannot be built: {0}")]
pub struct HttpError(String);

/// Builds a client: TLS by ring with Mozilla's roots, whatever is installed in the process; no
/// redirects, no proxies, no retries.
pub fn client(options: ClientOptions) -> Result<reqwest::Client, HttpError> {
    // Parsed when they were published, not here.
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // The provider is named here, not installed for the process: nothing to install twice.
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| HttpError(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(options.connect)
        .timeout(options.total)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .user_agent(concat!("ai-orchestrator/", env!("CARGO_PKG_VERSION")));
    let builder = if options.keep_alive { builder } else { builder.pool_max_idle_per_host(0) };
    builder.build().map_err(|error| HttpError(error.to_string()))
}

/// Makes ring the process's TLS for libraries that take no client of ours. May be called again.
pub fn install_tls() {
    // An error says that one is installed already.
    let _ = ring::default_provider().install_default();
}

/// A client that is built at its first use, so that a start costs nothing.
#[derive(Clone)]
pub struct LazyClient(Arc<Inner>);

struct Inner {
    options: ClientOptions,
    client: OnceLock<Result<reqwest::Client, HttpError>>,
}

impl LazyClient {
    /// A client to be built with these options.
    pub fn new(options: ClientOptions) -> Self {
        Self(Arc::new(Inner { options, client: OnceLock::new() }))
    }

    /// The client.
    pub fn get(&self) -> Result<&reqwest::Client, HttpError> {
        self.0.client.get_or_init(|| client(self.0.options)).as_ref().map_err(Clone::clone)
    }
}

impl fmt::Debug for LazyClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LazyClient").field(&self.0.options).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_built_with_and_without_a_provider_of_the_process() {
        assert!(client(ClientOptions::PROVIDER).is_ok());
        // Ignored: another test of this process may have been first.
        let _ = ring::default_provider().install_default();
        assert!(client(ClientOptions { keep_alive: true, ..ClientOptions::PROVIDER }).is_ok());
        let lazy = LazyClient::new(ClientOptions::PROVIDER);
        assert!(lazy.get().is_ok() && lazy.get().is_ok());
    }
}
