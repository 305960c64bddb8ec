use redis::{Cmd, ErrorKind, ServerErrorKind, ToRedisArgs, Value, cmd};

use super::connection::{Fault, RedisConnection};

/// A Lua script. It is called by its hash, and sent once to a server that does not know it.
pub(super) struct Script {
    source: &'static str,
    hash: String,
}

/// What one call of a script is about.
pub(super) struct Call {
    /// All of one slot.
    pub keys: Vec<String>,
    pub args: Vec<Vec<u8>>,
}

impl Script {
    pub fn new(source: &'static str) -> Self {
        Self { source, hash: redis::Script::new(source).get_hash().to_owned() }
    }

    /// Calls the script once for each of `calls`, in one round trip to a server that knows it. Only for scripts
    /// that may be repeated, as [`RedisConnection::query`] says.
    pub async fn call(&self, connection: &RedisConnection, calls: &[Call]) -> Result<Vec<Value>, Fault> {
        self.call_beside(connection, calls, &[]).await
    }

    /// The same with other commands in the same round trip, whose answers come after the calls'. A server that does
    /// not know the script gets them twice.
    pub async fn call_beside(
        &self,
        connection: &RedisConnection,
        calls: &[Call],
        others: &[Cmd],
    ) -> Result<Vec<Value>, Fault> {
        let all = |name: &str, script: &str| [commands(name, script, calls), others.to_vec()].concat();
        match connection.query(&all("EVALSHA", &self.hash)).await {
            // EVAL takes the source along and makes the server remember it, whichever node of a cluster it is.
            Err(Fault::Refused(ErrorKind::Server(ServerErrorKind::NoScript), _)) => {
                connection.query(&all("EVAL", self.source)).await
            }
            answer => answer,
        }
    }
}

impl Call {
    pub fn new(keys: impl IntoIterator<Item = String>) -> Self {
        Self { keys: keys.into_iter().collect(), args: Vec::new() }
    }

    pub fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        arg.write_redis_args(&mut self.args);
        self
    }
}

fn commands(name: &str, script: &str, calls: &[Call]) -> Vec<Cmd> {
    let command = |call: &Call| {
        let mut command = cmd(name);
        command.arg(script).arg(call.keys.len()).arg(&call.keys).arg(&call.args);
        command
    };
    calls.iter().map(command).collect()
}
