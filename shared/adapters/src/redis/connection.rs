use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
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
use secrecy::ExposeSecret;
use tokio::time::timeout;

use crate::secret::Secret;

/// How long a connection may take, its TLS and login included.
const CONNECT: Duration = Duration::from_secs(1);

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(2);

/// How long it may take in all, the second try included.
const IN_ALL: Duration = Duration::from_secs(3);

/// A connection to Redis or Valkey that all adapters of a process share.
///
/// Nothing connects before the first command. A connection that fails is dropped, and the command is tried once
/// more on a new one: a socket may have died unnoticed while the process was frozen or idle.
///
/// **Single or cluster.** It begins as with a single server, which costs nothing at the start; the
/// first answer that says that the key lives on another node makes it a cluster's connection from then
/// on. A cluster of one shard, or one behind a proxy, serves it as it is. `?cluster=true` in the URL makes it a
/// cluster's connection from the start.
pub struct RedisConnection {
    server: Source,
    /// Its answers say so.
    is_cluster: AtomicBool,
    /// The connection, or the attempt at it for which everybody waits.
    current: Mutex<Option<Attempt>>,
}

/// The server that a URL names.
#[derive(Clone)]
struct Server {
    info: ConnectionInfo,
    is_cluster: bool,
}

#[derive(Clone)]
enum Source {
    Known(Box<Server>),
    /// A URL that is read for each new connection.
    Kept(Secret),
}

type Attempt = Shared<BoxFuture<'static, RedisResult<Live>>>;

#[derive(Clone)]
enum Live {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// It is not a URL of a Redis server. Says what is wrong, and nothing of the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRedisUrl(&'static str);

/// Why a command has no answer, without a word of the command or the URL.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// No connection, or it broke.
    #[error("Redis cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("Redis did not answer in time")]
    TimedOut,
    /// An error was the answer: its kind, and its code.
    #[error("Redis refused: {1}")]
    Refused(ErrorKind, String),
}

/// Why one try failed.
struct Failure {
    error: RedisError,
    /// A new connection may do better.
    worth_another: bool,
}

impl RedisConnection {
    /// A connection, not made yet, to a server: `redis://` or `rediss://` (TLS), then
    /// `[[USER]:PASSWORD@]HOST[:PORT][/DATABASE][?cluster=true]`. TLS goes by the process's default rustls
    /// provider, which has to be installed before the first command, and Mozilla's roots.
    pub fn new(url: &str) -> Result<Self, InvalidRedisUrl> {
        Ok(Self::to(Source::Known(Box::new(Server::at(url)?))))
    }

    /// The same to the server whose URL is a secret. One that is no URL of a server fails each command.
    pub fn with_secret(url: Secret) -> Self {
        Self::to(Source::Kept(url))
    }

    fn to(server: Source) -> Self {
        Self { server, is_cluster: AtomicBool::new(false), current: Mutex::new(None) }
    }

    /// Asks one thing; otherwise like [`RedisConnection::query`].
    pub(super) async fn query_one(&self, command: Cmd) -> Result<Value, Fault> {
        Ok(self.query(&together([command])).await?.pop().unwrap_or(Value::Nil))
    }

    /// Asks all of it at once, in one round trip on a single server, and gives the answers in
    /// order; one that is an error makes it an error of all. **It may happen twice**, so it is only for
    /// commands whose repetition does no harm.
    pub(super) async fn query(&self, commands: &Pipeline) -> Result<Vec<Value>, Fault> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let Ok(answer) = timeout(IN_ALL, self.query_twice(commands)).await else {
            *self.current() = None;
            return Err(Fault::TimedOut);
        };
        answer.map_err(Fault::from)
    }

    /// Makes the connection, if there is none yet.
    pub(super) async fn connect(&self) -> Result<(), Fault> {
        let attempt = self.current().get_or_insert_with(|| self.attempt()).clone();
        let Err(error) = attempt.clone().await else { return Ok(()) };
        self.drop_attempt(&attempt);
        Err(error.into())
    }

    async fn query_twice(&self, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        match self.query_once(commands).await {
            Err(Failure { worth_another: true, .. }) => self.query_once(commands).await,
            answer => answer,
        }
        .map_err(|failure| failure.error)
    }

    /// Asks on the current connection, and drops it when it may be the reason for a failure.
    async fn query_once(&self, commands: &Pipeline) -> Result<Vec<Value>, Failure> {
        let attempt = self.current().get_or_insert_with(|| self.attempt()).clone();
        let (answer, single) = match attempt.clone().await {
            Ok(Live::Single(mut connection)) => (commands.query_async(&mut connection).await, true),
            Ok(Live::Cluster(connection)) => (each_by_itself(&connection, commands).await, false),
            Err(error) => (Err(error), false),
        };
        answer.map_err(|error| {
            // Not done, and on another node it would be.
            let moved =
                single && matches!(error.kind(), ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask));
            if moved {
                self.is_cluster.store(true, Ordering::Relaxed);
            }
            let worth_another = moved || blames_connection(&error);
            if worth_another {
                self.drop_attempt(&attempt);
            }
            Failure { error, worth_another }
        })
    }

    /// The next command begins with a new connection, unless somebody has made one already.
    fn drop_attempt(&self, attempt: &Attempt) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|current| current.ptr_eq(attempt)) {
            *current = None;
        }
    }

    fn attempt(&self) -> Attempt {
        connect(self.server.clone(), self.is_cluster.load(Ordering::Relaxed)).boxed().shared()
    }

    fn current(&self) -> MutexGuard<'_, Option<Attempt>> {
        // It is only ever replaced as a whole.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn blames_connection(error: &RedisError) -> bool {
    match error.kind() {
        // Not done: the server is no longer the primary, and its name may lead to the new one by now.
        ErrorKind::Server(ServerErrorKind::ReadOnly) | ErrorKind::Io => true,
        _ => error.is_unrecoverable_error(),
    }
}

impl Server {
    fn at(url: &str) -> Result<Self, InvalidRedisUrl> {
        if !url.starts_with("redis://") && !url.starts_with("rediss://") {
            return Err(InvalidRedisUrl("it has to begin with redis:// or rediss://"));
        }
        let info = url
            .into_connection_info()
            .map_err(|_| InvalidRedisUrl("it has to be like rediss://user:password@host:6379/0"))?;
        // Naming this library to the server would cost each new connection a round trip.
        let settings = info.redis_settings().clone().set_skip_set_lib_name();
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let query = query.split_once('#').map_or(query, |(query, _)| query);
        let is_cluster = query.split('&').any(|pair| pair == "cluster=true");
        Ok(Self { info: info.set_redis_settings(settings), is_cluster })
    }
}

async fn connect(server: Source, found_cluster: bool) -> RedisResult<Live> {
    let Server { info: server, is_cluster } = match server {
        Source::Known(server) => *server,
        Source::Kept(url) => {
            let url = url.get().await.map_err(|error| (ErrorKind::Io, "no URL", error.to_string()))?;
            Server::at(url.expose_secret()).map_err(|error| (ErrorKind::InvalidClientConfig, error.0))?
        }
    };
    // Without one, building a TLS client may panic.
    let tls = matches!(server.addr(), ConnectionAddr::TcpTls { .. });
    if tls && rustls::crypto::CryptoProvider::get_default().is_none() {
        return Err((ErrorKind::InvalidClientConfig, "no TLS provider is installed").into());
    }
    if is_cluster || found_cluster {
        let builder = ClusterClientBuilder::new([server]);
        let builder = builder.connection_timeout(CONNECT).response_timeout(ANSWER).retries(2).min_retry_wait(10);
        Ok(Live::Cluster(builder.max_retry_wait(100).build()?.get_async_connection().await?))
    } else {
        let config = AsyncConnectionConfig::new();
        let config = config.set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(ANSWER));
        let client = Client::open(server)?;
        Ok(Live::Single(client.get_multiplexed_async_connection_with_config(&config).await?))
    }
}

/// What is asked in one round trip.
pub(super) fn together(commands: impl IntoIterator<Item = Cmd>) -> Pipeline {
    let mut all = Pipeline::new();
    for command in commands {
        all.add_command(command);
    }
    all
}

/// A cluster's pipeline may name one slot only, so each command finds its own node, all at the same time.
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
            // A server's error may quote the command, so only its code is told.
            kind => {
                let category = error.category().to_owned();
                let errors = error.into_server_errors();
                let code = errors.as_ref().and_then(|errors| errors.first()).map(|(_, error)| error.code().to_owned());
                Self::Refused(kind, code.unwrap_or(category))
            }
        }
    }
}
