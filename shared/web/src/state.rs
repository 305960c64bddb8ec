//! The state that every handler shares.

use std::{sync::Arc, time::Duration};

use engine::Engine;

use crate::authenticator::Authenticator;

/// What every handler may use.
#[derive(Clone)]
pub struct Web {
    /// The use cases.
    pub engine: Arc<Engine>,
    /// Identifies the caller of a request.
    pub authenticator: Arc<Authenticator>,
    /// The public address of this API, without a trailing slash.
    pub public_url: Arc<str>,
    /// Serve the page under `/dev`.
    pub dev_ui: bool,
    /// The longest that a poll waits for a job's end, whatever it asks for.
    pub longest_wait: Duration,
    /// Origins whose pages may call this API with a key.
    pub origins: Arc<[String]>,
    /// A gateway before this server accepts only its own names as `Host`.
    pub behind_gateway: bool,
    /// The issuer whose access tokens are credentials, if there is one.
    pub issuer: Option<Arc<str>>,
}

impl Web {
    /// Clients reach this API over TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }
}
