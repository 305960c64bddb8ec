//! The connection that all adapters of a process share.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, try_join_all},
};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, Pipeline,
    RedisError, RedisResult, ServerErrorKind, Value, aio::MultiplexedConnection, cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use crate::secret::Secret;

/// Limit of a connection with its TLS handshake and login.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Limit of one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Limit of a query with its second try.
const QUERY_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection to Redis or Valkey, shared by all adapters of a process.
///
/// The first command connects. A connection that fails is dropped, and the command is tried once more on a new one:
/// a socket may have died unnoticed while the process was frozen or idle.
pub struct RedisConnection {
    /// Read for each new connection, so that a rotation takes effect.
    url: Secret,
    /// The connection, or the attempt to connect that all queries wait for.
    current: Mutex<Option<Attempt>>,
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
    /// TLS uses Mozilla's roots and the process's default rustls provider, which must be installed first.
    pub fn new(url: &str) -> Result<Self, InvalidRedisUrl> {
        server(url)?;
        Ok(Self::with_secret(SecretString::from(url).into()))
    }

    /// The same with a stored URL. If it is invalid, every command fails.
    pub fn with_secret(url: Secret) -> Self {
        Self { url, current: Mutex::new(None) }
    }

    /// Sends one command, as [`RedisConnection::query`] does.
    pub(super) async fn query_one(&self, command: Cmd) -> Result<Value, Fault> {
        Ok(self.query(&together([command])).await?.pop().unwrap_or(Value::Nil))
    }

    /// Sends all commands at once, in one round trip to a single server, and returns their answers in order. One
    /// error fails them all. **They may be executed twice**, so each must be safe to repeat.
    pub(super) async fn query(&self, commands: &Pipeline) -> Result<Vec<Value>, Fault> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let twice = async {
            match self.query_once(commands).await {
                Err(error) if blames_connection(&error) => self.query_once(commands).await,
                answer => answer,
            }
        };
        let Ok(answer) = timeout(QUERY_TIMEOUT, twice).await else {
            *self.current() = None;
            return Err(Fault::TimedOut);
        };
        Ok(answer?)
    }

    /// Connects, unless it is connected.
    pub(super) async fn connect(&self) -> Result<(), Fault> {
        let attempt = self.attempt();
        let connected = attempt.clone().await;
        if connected.is_err() {
            self.drop_attempt(&attempt);
        }
        Ok(connected.map(drop)?)
    }

    async fn query_once(&self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        let attempt = self.attempt();
        let (answer, connected) = match attempt.clone().await {
            Ok(Live::Single(mut connection)) => (commands.query_async(&mut connection).await, true),
            Ok(Live::Cluster(connection)) => (each_by_itself(&connection, commands).await, true),
            Err(error) => (Err(error), false),
        };
        if answer.as_ref().is_err_and(|error| !connected || blames_connection(error)) {
            self.drop_attempt(&attempt);
        }
        answer
    }

    fn attempt(&self) -> Attempt {
        self.current().get_or_insert_with(|| connect(self.url.clone()).boxed().shared()).clone()
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
    match error.kind() {
        // Not executed: the server is no longer the primary, and its name may already resolve to the new one.
        ErrorKind::Server(ServerErrorKind::ReadOnly) | ErrorKind::Io => true,
        _ => error.is_unrecoverable_error(),
    }
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
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    let is_cluster = query.split('&').any(|pair| pair == "cluster=true");
    Ok((info.set_redis_settings(settings), is_cluster))
}

async fn connect(url: Secret) -> RedisResult<Live> {
    let url = url.get().await.map_err(|error| (ErrorKind::Io, "no URL", error.to_string()))?;
    let (server, is_cluster) =
        server(url.expose_secret()).map_err(|error| (ErrorKind::InvalidClientConfig, error.0))?;
    // Without a provider, building a TLS client may panic.
    let tls = matches!(server.addr(), ConnectionAddr::TcpTls { .. });
    if tls && rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err((ErrorKind::InvalidClientConfig, "no TLS provider is installed").into());
    }
    if is_cluster {
        let builder = ClusterClientBuilder::new([server]).connection_timeout(CONNECT_TIMEOUT);
        let builder = builder.response_timeout(ANSWER_TIMEOUT).retries(2).min_retry_wait(10).max_retry_wait(100);
        Ok(Live::Cluster(builder.build()?.get_async_connection().await?))
    } else {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        Ok(Live::Single(Client::open(server)?.get_multiplexed_async_connection_with_config(&config).await?))
    }
}

/// Commands for one round trip.
pub(super) fn together(commands: impl IntoIterator<Item = Cmd>) -> Pipeline {
    let mut all = Pipeline::new();
    for command in commands {
        all.add_command(command);
    }
    all
}

/// A cluster accepts pipelines of one slot only, so each command goes to its own node, all at the same time.
async fn each_by_itself(connection: &ClusterConnection, commands: &Pipeline) -> RedisResult<Vec<Value>> {
    let asked = commands.cmd_iter().map(|command| {
        let mut connection = connection.clone();
        async move { command.query_async(&mut connection).await }
    });
    try_join_all(asked).await
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
