//! Outbound HTTP, for everything that calls another server: how clients are built, how much of an answer is read,
//! what a failure means for the request, and when to come again.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use jiff::Timestamp;
use reqwest::{
    NoProxy, Proxy, RequestBuilder, Response, StatusCode, Url,
    dns::Resolve,
    header::{DATE, HeaderMap, RETRY_AFTER},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde_json::Value;

/// The longest answer that providers and models need.
pub(crate) const MAX_ANSWER: usize = 1024 * 1024;

/// The longest wait that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

/// Timeouts, and whether connections are reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientOptions {
    /// Limit of the connection with its TLS handshake. Shorter than `total`, so that a request that
    /// never got through is told apart from one that was never answered.
    pub connect: Duration,
    /// Limit of the whole request, until the last byte of the answer.
    pub total: Duration,
    /// Whether a connection stays open for the next request.
    pub keep_alive: bool,
}

impl ClientOptions {
    /// For mail providers. Every request opens its own connection: if the server closed an idle one,
    /// the outcome of a send would be unknown for no reason.
    pub const PROVIDER: Self =
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(15), keep_alive: false };

    /// For the model. A dead idle connection costs one of the planner's two tries.
    pub const MODEL: Self = Self { connect: Duration::from_secs(5), total: Duration::from_secs(25), keep_alive: true };
}

/// The way to other servers: through which proxies, and by which roots beside Mozilla's.
#[derive(Clone)]
pub struct Network {
    proxies: Vec<Proxy>,
    proxy_hosts: Vec<String>,
    roots: Arc<RootCertStore>,
    /// The roots beside Mozilla's, in PEM.
    more_roots: Vec<u8>,
}

/// The text names no proxy that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be the address of an HTTP proxy, such as http://proxy.example.com:3128")]
pub struct InvalidProxy;

/// The file has no certificate that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("holds no certificate in PEM")]
pub struct NoCertificate;

impl Default for Network {
    /// Without proxies, by Mozilla's roots alone.
    fn default() -> Self {
        // Static data: nothing is read or parsed at start.
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Self { proxies: Vec::new(), proxy_hosts: Vec::new(), roots: Arc::new(roots), more_roots: Vec::new() }
    }
}

impl Network {
    /// Adds a proxy for requests to `https` or to `http` addresses. Its address may hold credentials, and lack `http://`.
    /// `exceptions` are as in curl's `NO_PROXY`: hosts with their subdomains, IP addresses and networks, or `*`.
    pub fn add_proxy(&mut self, https: bool, address: &str, exceptions: &str) -> Result<(), InvalidProxy> {
        let address = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let url = Url::parse(&address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or(InvalidProxy)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let proxy = if https { Proxy::https(url) } else { Proxy::http(url) }.map_err(|_| InvalidProxy)?;
        // reqwest would take the star for names only.
        if !exceptions.split(',').any(|exception| exception.trim() == "*") {
            self.proxies.push(proxy.no_proxy(NoProxy::from_string(exceptions)));
            self.proxy_hosts.push(host);
        }
        Ok(())
    }

    /// Adds the certificates of a file in PEM to the roots.
    pub fn add_roots(&mut self, pem: &[u8]) -> Result<(), NoCertificate> {
        let certificates =
            CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(|_| NoCertificate)?;
        let (added, _) = Arc::make_mut(&mut self.roots).add_parsable_certificates(certificates);
        self.more_roots.extend_from_slice(pem);
        if added == 0 { Err(NoCertificate) } else { Ok(()) }
    }

    /// The certificates beside Mozilla's, in PEM, for libraries that do not take a client.
    pub fn more_roots(&self) -> &[u8] {
        &self.more_roots
    }

    /// The same way without proxies.
    #[must_use]
    pub fn direct(self) -> Self {
        Self { proxies: Vec::new(), proxy_hosts: Vec::new(), ..self }
    }

    /// The hosts of the proxies.
    pub(crate) fn proxy_hosts(&self) -> &[String] {
        &self.proxy_hosts
    }

    /// A client that is built at its first use.
    pub fn client(&self, options: ClientOptions) -> LazyClient {
        let network = self.clone();
        LazyClient(Arc::new(LazyLock::new(Box::new(move || finished(builder(options, network))))))
    }

    /// The same, which looks names up this way.
    pub(crate) fn client_with(&self, options: ClientOptions, resolver: Arc<dyn Resolve>) -> LazyClient {
        let network = self.clone();
        let build = move || finished(builder(options, network).dns_resolver(resolver));
        LazyClient(Arc::new(LazyLock::new(Box::new(build))))
    }
}

/// Proxies may hold credentials.
impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("proxies", &self.proxies.len())
            .field("roots", &self.roots.len())
            .finish_non_exhaustive()
    }
}

/// Whether a URL stays on this machine or in a private network, as far as its host tells: a name of one label or below
/// `localhost`, `local` or `internal`, or a loopback, private or link-local address.
pub fn is_private(url: &str) -> bool {
    let host = host(url);
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(ip)) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => match host.trim_end_matches('.').to_ascii_lowercase().rsplit_once('.') {
            Some((_, last)) => ["localhost", "local", "internal"].contains(&last),
            // A number is another spelling of an address.
            None => host.starts_with(|first: char| first.is_ascii_alphabetic()),
        },
    }
}

/// Whether a URL stays on this machine: a loopback address, or `localhost`.
pub fn is_loopback(url: &str) -> bool {
    let host = host(url);
    host.parse::<IpAddr>().map_or(host == "localhost", |address| address.to_canonical().is_loopback())
}

/// The host of a URL, an IPv6 address without its brackets; empty if there is none.
fn host(url: &str) -> String {
    let url = Url::parse(url).ok();
    url.as_ref().and_then(Url::host_str).unwrap_or_default().trim_matches(['[', ']']).to_owned()
}

/// Builds a client that goes straight to other servers.
pub fn client(options: ClientOptions) -> reqwest::Client {
    finished(builder(options, Network::default()))
}

fn finished(builder: reqwest::ClientBuilder) -> reqwest::Client {
    builder.build().expect("none of this depends on the machine")
}

/// A client to be: TLS by ring, whatever is installed in the process; no redirects, no retries.
fn builder(options: ClientOptions, network: Network) -> reqwest::ClientBuilder {
    // Passed in instead of installed for the process, so a second client cannot conflict with it.
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the ciphers of every version")
        .with_root_certificates(network.roots)
        .with_no_client_auth();
    // The first call keeps reqwest from reading the environment by itself.
    let builder =
        network.proxies.into_iter().fold(reqwest::Client::builder().no_proxy(), reqwest::ClientBuilder::proxy);
    builder
        .tls_backend_preconfigured(tls)
        .connect_timeout(options.connect)
        .timeout(options.total)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .user_agent(concat!("ai-orchestrator/", env!("CARGO_PKG_VERSION")))
        .pool_max_idle_per_host(if options.keep_alive { usize::MAX } else { 0 })
}

/// Makes ring the process's TLS provider, unless there is one, for libraries that do not take a client.
pub fn install_tls() {
    // It fails only if a provider is already installed.
    let _ = ring::default_provider().install_default();
}

/// A client that is built at its first use, to keep the start fast.
#[derive(Debug, Clone)]
pub struct LazyClient(Arc<LazyLock<reqwest::Client, Box<dyn FnOnce() -> reqwest::Client + Send>>>);

impl LazyClient {
    /// A client with these options that goes straight to other servers.
    pub fn new(options: ClientOptions) -> Self {
        Network::default().client(options)
    }

    /// The client; builds it at the first call.
    pub fn get(&self) -> &reqwest::Client {
        &self.0
    }
}

/// Why a request has no answer. The messages are ours: reqwest's own contain the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The URL or a header is invalid: certainly not sent.
    #[error("the request is invalid")]
    Invalid,
    /// No connection, or no TLS handshake, in time: certainly not sent.
    #[error("no connection")]
    NoConnection,
    /// No answer in time: it may have been sent.
    #[error("no answer in time")]
    TimedOut,
    /// The connection broke, perhaps within the answer: it may have been sent.
    #[error("the connection broke")]
    Broken,
    /// The answer is longer than the limit: it was sent.
    #[error("the answer is too long")]
    TooLong,
}

impl From<&reqwest::Error> for Failure {
    fn from(error: &reqwest::Error) -> Self {
        // A timeout of the connection is first of all no connection.
        if error.is_connect() {
            Self::NoConnection
        } else if error.is_builder() {
            Self::Invalid
        } else if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Broken
        }
    }
}

/// An answer of any status.
pub(crate) struct Answer {
    pub status: StatusCode,
    pub retry_after: Option<Duration>,
    /// The server's own time.
    pub date: Option<Timestamp>,
    pub body: Result<Vec<u8>, Failure>,
}

impl Answer {
    /// The body as JSON, or null if it cannot be read as JSON.
    pub fn json(&self) -> Value {
        self.body.as_ref().ok().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default()
    }

    /// The same of an answer with this status, else null.
    pub fn json_of(&self, status: StatusCode) -> Value {
        if self.status == status { self.json() } else { Value::Null }
    }
}

/// A URL below another one. Each segment is escaped as a whole, so that none reaches another path.
pub(crate) fn below(mut base: Url, segments: &[&str]) -> Url {
    if let Ok(mut path) = base.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    base
}

/// Sends a request and reads the answer, at most `max` bytes of body.
pub(crate) async fn send(request: RequestBuilder, max: usize) -> Result<Answer, Failure> {
    let response = request.send().await.map_err(|error| Failure::from(&error))?;
    let (status, headers) = (response.status(), response.headers());
    let (retry_after, date) = (retry_after(headers), date(headers, DATE.as_str()));
    Ok(Answer { status, retry_after, date, body: read(response, max).await })
}

/// The whole body, decoded, if it is at most `max` bytes long.
pub(crate) async fn read(mut response: Response, max: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Failure::from(&error))? {
        if body.len() + chunk.len() > max {
            return Err(Failure::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// How long a server asks to wait, a day at most: OpenAI's `retry-after-ms`, else `Retry-After` (RFC 9110,
/// section 10.2.3) in seconds, with or without a fraction, or as a date. A date counts from the answer's own
/// `Date`, so neither clock has to be right.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| {
        let digits = text(name).filter(|text| text.bytes().all(|b| b.is_ascii_digit() || b == b'.'))?;
        digits.parse::<f64>().ok()
    };
    if let Some(seconds) =
        number("retry-after-ms").map(|millis| millis / 1000.0).or_else(|| number(RETRY_AFTER.as_str()))
    {
        return Duration::try_from_secs_f64(seconds.min(MAX_RETRY_AFTER.as_secs_f64())).ok();
    }
    Some(wait_until(date(headers, RETRY_AFTER.as_str())?, date(headers, DATE.as_str())?))
}

/// The same where it stands in the server's prose, as "Retry after 2027-01-01T00:00:00.000Z" or "retry after 30
/// seconds".
pub(crate) fn retry_after_in(prose: &str, date: Option<Timestamp>) -> Option<Duration> {
    let lower = prose.to_ascii_lowercase();
    let (_, rest) = ["retry after ", "try again after ", "try again in ", "retry in "]
        .iter()
        .find_map(|words| lower.split_once(words))?;
    let mut words =
        rest.split_ascii_whitespace().map(|word| word.trim_end_matches(['.', ',', ';', ')', ']', '"', '\'']));
    let first = words.next()?;
    if let Ok(until) = first.to_ascii_uppercase().parse() {
        return Some(wait_until(until, date?));
    }
    let number: f64 = first.trim_end_matches('s').parse().ok().filter(|number: &f64| number.is_finite())?;
    let unit = match words.next().unwrap_or("s") {
        word if word.starts_with("min") => 60.0,
        word if word.starts_with("hour") => 3600.0,
        word if word.starts_with("ms") || word.starts_with("milli") => 0.001,
        _ => 1.0,
    };
    Duration::try_from_secs_f64((number * unit).min(MAX_RETRY_AFTER.as_secs_f64())).ok()
}

fn wait_until(until: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_until(until)).unwrap_or_default().min(MAX_RETRY_AFTER)
}

fn date(headers: &HeaderMap, name: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(headers.get(name)?.to_str().ok()?.trim()).ok().map(|date| date.timestamp())
}

/// Whether a text of a server is a code, which may be logged, rather than prose, which may contain personal data.
pub(crate) fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn a_private_host_is_told_by_its_name_or_address() {
        for host in [
            "localhost",
            "LOCALHOST.",
            "app.localhost",
            "printer.local",
            "host.docker.internal",
            "redis",
            "redis-1",
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.1.1",
            "[::1]",
            "[fd00::1]",
            "[fe80::1]",
            "[::ffff:10.0.0.1]",
            "user:word@redis:6379",
        ] {
            assert!(is_private(&format!("http://{host}/v1")), "http {host}");
            assert!(is_private(&format!("redis://{host}/0")), "redis {host}");
        }
        for host in [
            "example.com",
            "localhost.example.com",
            "local.example.com",
            "evil-localhost.com",
            "localhost@example.com",
            "redis:word@example.com",
            "example.internal.com",
            "8.8.8.8",
            "172.32.0.1",
            "172.15.0.1",
            "192.169.0.1",
            "100.64.0.1",
            "0.0.0.0",
            "134744072",
            "0x08080808",
            "[2001:db8::1]",
            "[::ffff:8.8.8.8]",
            "[fec0::1]",
        ] {
            assert!(!is_private(&format!("http://{host}/v1")), "http {host}");
            assert!(!is_private(&format!("redis://{host}/0")), "redis {host}");
        }
        assert!(!is_private("no url"));
    }

    #[test]
    fn clients_are_built_with_and_without_a_provider_of_the_process() {
        client(ClientOptions::PROVIDER);
        install_tls();
        client(ClientOptions { keep_alive: true, ..ClientOptions::PROVIDER });
    }

    #[test]
    fn retry_after_is_a_number_or_a_date_and_at_most_a_day() {
        let date = ("date", "Sun, 06 Nov 2016 08:49:37 GMT");
        for (given, millis) in [
            (vec![], None),
            (vec![("retry-after", "7")], Some(7_000)),
            (vec![("retry-after", " 0.25 ")], Some(250)),
            (vec![("retry-after", "7"), ("retry-after-ms", "1500")], Some(1_500)),
            (vec![("retry-after", "18446744073709551615")], Some(86_400_000)),
            (vec![("retry-after-ms", "18446744073709551615")], Some(86_400_000)),
            (vec![("retry-after", "-1")], None),
            (vec![("retry-after", "1e9")], None),
            (vec![("retry-after", "inf")], None),
            (vec![("retry-after", ".")], None),
            (vec![("retry-after", "soon")], None),
            (vec![("retry-after", "Sun, 06 Nov 2016 08:50:37 GMT"), date], Some(60_000)),
            (vec![("retry-after", "Sun, 06 Nov 2016 08:48:37 GMT"), date], Some(0)),
            (vec![("retry-after", "Mon, 06 Nov 2017 08:48:37 GMT"), date], Some(86_400_000)),
            (vec![("retry-after", "Sun, 06 Nov 2016 08:50:37 GMT")], None),
        ] {
            let headers: HeaderMap =
                given.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
            assert_eq!(retry_after(&headers), millis.map(Duration::from_millis), "{given:?}");
        }
    }

    #[test]
    fn a_wait_may_stand_in_prose() {
        let date = "2026-11-20T10:00:00Z".parse().ok();
        for (prose, seconds) in [
            ("User-rate limit exceeded.  Retry after 2026-11-20T10:01:00.000Z", Some(60.0)),
            ("User-rate limit exceeded. Retry after 2026-11-20T10:00:05.500Z (Mail sending)", Some(5.5)),
            ("retry after 2027-01-01T00:00:00Z.", Some(86_400.0)),
            ("Retry after 2026-11-20T09:00:00Z", Some(0.0)),
            ("Retry after 30 seconds.", Some(30.0)),
            ("Please try again in 2 minutes", Some(120.0)),
            ("Too busy, retry in 1.5s", Some(1.5)),
            ("Try again after 999999999999 hours", Some(86_400.0)),
            ("Retry after lunch", None),
            ("Retry after -5 seconds", None),
            ("Retry after", None),
            ("Retry after inf", None),
            ("User-rate limit exceeded", None),
            ("", None),
        ] {
            assert_eq!(retry_after_in(prose, date), seconds.map(Duration::from_secs_f64), "{prose}");
        }
        assert_eq!(retry_after_in("Retry after 2026-11-20T10:01:00Z", None), None, "by whose clock?");
    }

    #[test]
    fn prose_is_not_a_code() {
        assert!(is_code("ErrorInvalidRecipients") && is_code("ACCESS_TOKEN_SCOPE_INSUFFICIENT"));
        assert!(!is_code("Invalid To header: ana@example.com") && !is_code("") && !is_code(&"x".repeat(65)));
        assert!(!is_code("tell Ana"));
    }
}
