//! The connection that all adapters of a process share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use engine::ports::Clock;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, try_join_all},
};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, ErrorKind, FromRedisValue, IntoConnectionInfo,
    Pipeline, RedisError, RedisResult, ServerErrorKind, TlsCertificates, Value, aio::MultiplexedConnection,
    cluster::ClusterClientBuilder, cluster_async::ClusterConnection, from_redis_value, io::tcp::TcpSettings,
};
use reqwest::Url;
use secrecy::ExposeSecret;
use tokio::time::timeout;

use super::script::{Call, with_source};
use crate::{http, secret::Secret, system::SystemClock};

/// Limit of a connection with its TLS handshake and login.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Limit of one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Limit of a query with its second try.
const QUERY_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection that was idle for longer is replaced. A network forgets idle connections, some after minutes, and not
/// each says so: what is sent then has no answer.
const MAX_IDLE_S: i64 = 60;

/// A connection to Redis or Valkey, shared by all adapters of a process.
///
/// The first command connects. A connection that fails is dropped, and the command is tried once more on a new one:
/// a socket may have died unnoticed while the process was frozen or idle.
pub struct RedisConnection {
    /// Read for each new connection, so that a rotation takes effect.
    url: Secret,
    way: Way,
    /// The wall clock, which goes on while the process is frozen.
    clock: Arc<dyn Clock>,
    /// When it was last used, in seconds since 1970.
    used_at: AtomicI64,
    /// The connection, or the attempt to connect that all queries wait for.
    current: Mutex<Option<Attempt>>,
}

/// How the server may be reached.
#[derive(Debug, Clone, Default)]
struct Way {
    /// Whether the way may lead out of this network without TLS.
    plaintext: bool,
    /// Certificates in PEM that count beside Mozilla's.
    roots: Vec<u8>,
}

type Attempt = Shared<BoxFuture<'static, RedisResult<Live>>>;

#[derive(Clone)]
enum Live {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// An invalid URL of a Redis server. The message contains nothing of the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRedisUrl(&'static str);

/// Why a command has no answer. The message contains nothing of the command or the URL.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// No connection, or it broke.
    #[error("Redis cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("Redis did not answer in time")]
    TimedOut,
    /// The answer has another shape.
    #[error("the answer of Redis cannot be read")]
    Unreadable,
    /// The key belongs to another node.
    #[error("Redis is a cluster: add ?cluster=true to REDIS_URL")]
    IsCluster,
    /// The answer is an error of this kind and code.
    #[error("Redis refused: {1}")]
    Refused(ErrorKind, String),
}

impl RedisConnection {
    /// A connection, not opened yet, to a server: `redis://` or `rediss://` (TLS), then
    /// `[[USER]:PASSWORD@]HOST[:PORT][/DATABASE][?cluster=true]`. With `cluster=true`, HOST is any node of a cluster.
    /// TLS uses Mozilla's roots and the process's default rustls provider, which is ring unless another one is installed.
    pub fn new(url: &str) -> Result<Self, InvalidRedisUrl> {
        server(url)?;
        Ok(Self::with_secret(Secret::Given(url.into()), Arc::new(SystemClock)))
    }

    /// The same with a stored URL. If it is invalid, or leads out of this network without TLS, every command fails.
    pub fn with_secret(url: Secret, clock: Arc<dyn Clock>) -> Self {
        Self { url, way: Way::default(), clock, used_at: AtomicI64::default(), current: Mutex::default() }
    }

    /// Whether it may lead out of this network without TLS.
    #[must_use]
    pub fn allow_plaintext(mut self, allowed: bool) -> Self {
        self.way.plaintext = allowed;
        self
    }

    /// Also trusts servers whose certificate these roots have signed, in PEM.
    #[must_use]
    pub fn with_roots(mut self, pem: Vec<u8>) -> Self {
        self.way.roots = pem;
        self
    }

    /// Sends one command, as [`RedisConnection::query`] does.
    pub(super) async fn query_one<T: FromRedisValue>(&self, call: Call) -> Result<T, Fault> {
        let (answer,) = self.query([call]).await?;
        Ok(answer)
    }

    /// Sends all commands at once, in one round trip to a single server, and returns their answers in order. One
    /// error fails them all. **They may be executed twice**, so each must be safe to repeat.
    pub(super) async fn query<T: FromRedisValue>(&self, calls: impl IntoIterator<Item = Call>) -> Result<T, Fault> {
        let (mut commands, mut sources) = (Pipeline::new(), Vec::new());
        for Call { command, source } in calls {
            commands.add_command(command);
            sources.push(source);
        }
        let answers = match self.send(&commands).await {
            // The server gets all of them a second time.
            Err(Fault::Refused(ErrorKind::Server(ServerErrorKind::NoScript), _)) => {
                let mut evaluated = Pipeline::new();
                for (command, source) in commands.cmd_iter().zip(sources) {
                    evaluated.add_command(with_source(command, source));
                }
                self.send(&evaluated).await
            }
            answers => answers,
        };
        from_redis_value(Value::Array(answers?)).map_err(|_| Fault::Unreadable)
    }

    async fn send(&self, commands: &Pipeline) -> Result<Vec<Value>, Fault> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let twice = async {
            match self.send_once(commands).await {
                Err(error) if blames_connection(&error) => self.send_once(commands).await,
                answers => answers,
            }
        };
        let Ok(answers) = timeout(QUERY_TIMEOUT, twice).await else {
            self.replace();
            return Err(Fault::TimedOut);
        };
        Ok(answers?)
    }

    async fn send_once(&self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        let (live, attempt) = self.live().await?;
        let answers = match live {
            Live::Single(mut connection) => commands.query_async(&mut connection).await,
            // A cluster accepts pipelines of one slot only, so each command goes to its own node, all at the same time.
            Live::Cluster(connection) => {
                let each = commands.cmd_iter().map(|command| {
                    let mut connection = connection.clone();
                    async move { command.query_async(&mut connection).await }
                });
                try_join_all(each).await
            }
        };
        if answers.as_ref().is_err_and(blames_connection) {
            self.drop_attempt(&attempt);
        }
        answers
    }

    /// Connects, unless it is connected.
    pub(super) async fn connect(&self) -> Result<(), Fault> {
        Ok(self.live().await.map(drop)?)
    }

    /// Makes the next command connect again, since this connection does not answer in time.
    pub(super) fn replace(&self) {
        *self.current() = None;
    }

    /// The connection, with the attempt that made it.
    async fn live(&self) -> RedisResult<(Live, Attempt)> {
        let now = self.clock.now().as_second();
        if now - self.used_at.swap(now, Ordering::Relaxed) > MAX_IDLE_S {
            self.replace();
        }
        let attempt =
            self.current().get_or_insert_with(|| connect(self.url.clone(), self.way.clone()).boxed().shared()).clone();
        let connected = attempt.clone().await;
        if connected.is_err() {
            self.drop_attempt(&attempt);
        }
        Ok((connected?, attempt))
    }

    /// Makes the next command connect again, unless another one already did.
    fn drop_attempt(&self, attempt: &Attempt) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|current| current.ptr_eq(attempt)) {
            *current = None;
        }
    }

    fn current(&self) -> MutexGuard<'_, Option<Attempt>> {
        // It is only replaced as a whole, so a panic cannot break it.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn blames_connection(error: &RedisError) -> bool {
    // Read-only: not executed, since the server is no longer the primary, and its name may already resolve to the new one.
    let kinds = [ErrorKind::Server(ServerErrorKind::ReadOnly), ErrorKind::Io];
    kinds.contains(&error.kind()) || error.is_unrecoverable_error()
}

/// The server of a URL, and whether it is a node of a cluster.
fn server(url: &str) -> Result<(ConnectionInfo, bool), InvalidRedisUrl> {
    if !url.starts_with("redis://") && !url.starts_with("rediss://") {
        return Err(InvalidRedisUrl("it must begin with redis:// or rediss://"));
    }
    let info = url
        .into_connection_info()
        .map_err(|_| InvalidRedisUrl("it must be like rediss://user:password@host:6379/0"))?;
    // Sending the library's name would cost each new connection a round trip.
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    let url: Option<Url> = url.parse().ok();
    let is_cluster = url.is_some_and(|url| url.query_pairs().any(|(name, value)| name == "cluster" && value == "true"));
    Ok((info.set_redis_settings(settings), is_cluster))
}

async fn connect(secret: Secret, way: Way) -> RedisResult<Live> {
    let connected = try_connect(&secret, &way).await;
    let refused = [ErrorKind::AuthenticationFailed, ErrorKind::InvalidClientConfig];
    if connected.as_ref().is_err_and(|error| refused.contains(&error.kind())) {
        secret.doubt().await;
    }
    connected
}

async fn try_connect(secret: &Secret, way: &Way) -> RedisResult<Live> {
    let url = secret.get().await.map_err(|error| (ErrorKind::Io, "no URL", error.to_string()))?;
    let (server, is_cluster) =
        server(url.expose_secret()).map_err(|error| (ErrorKind::InvalidClientConfig, error.0))?;
    if !way.plaintext && matches!(server.addr(), ConnectionAddr::Tcp(..)) && !http::is_private(url.expose_secret()) {
        let says = "the URL leaves this network without TLS: use rediss://, or set ALLOW_PLAINTEXT=true";
        return Err((ErrorKind::Io, says).into());
    }
    let is_tls = matches!(server.addr(), ConnectionAddr::TcpTls { .. });
    if is_tls {
        http::install_tls();
    }
    let mut opened = open(server.clone(), is_cluster, None).await;
    if opened.is_err() && is_tls && !way.roots.is_empty() {
        // The library takes Mozilla's roots or others, not both.
        let roots = TlsCertificates { client_tls: None, root_cert: Some(way.roots.clone()) };
        opened = open(server, is_cluster, Some(roots)).await;
    }
    opened
}

async fn open(server: ConnectionInfo, is_cluster: bool, roots: Option<TlsCertificates>) -> RedisResult<Live> {
    let tcp = TcpSettings::default();
    // The kernel ends a connection whose other side confirms nothing.
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(ANSWER_TIMEOUT);
    if is_cluster {
        let builder = ClusterClientBuilder::new([server]).connection_timeout(CONNECT_TIMEOUT).tcp_settings(tcp);
        let builder = builder.response_timeout(ANSWER_TIMEOUT).retries(2).min_retry_wait(10).max_retry_wait(100);
        let builder = roots.into_iter().fold(builder, ClusterClientBuilder::certs);
        Ok(Live::Cluster(builder.build()?.get_async_connection().await?))
    } else {
        let server = server.set_tcp_settings(tcp);
        let client = match roots {
            Some(roots) => Client::build_with_tls(server, roots)?,
            None => Client::open(server)?,
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        Ok(Live::Single(client.get_multiplexed_async_connection_with_config(&config).await?))
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            _ if error.is_timeout() => Self::TimedOut,
            ErrorKind::Io => Self::Unreachable(error.to_string()),
            ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => Self::IsCluster,
            // A server's message may quote the command, so only its code is kept.
            kind => {
                let category = error.category().to_owned();
                let errors = error.into_server_errors();
                let code = errors.as_ref().and_then(|errors| errors.first()).map(|(_, error)| error.code().to_owned());
                Self::Refused(kind, code.unwrap_or(category))
            }
        }
    }
}
