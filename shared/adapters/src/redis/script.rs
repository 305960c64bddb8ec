//! Lua scripts, called by their hash.

use redis::{
    Arg, Cmd, ErrorKind, FromRedisValue, Pipeline, ServerErrorKind, ToRedisArgs, Value, cmd, from_redis_value,
};

use super::connection::{Fault, RedisConnection, together};

/// A Lua script. Its source is sent only to a server that does not know its hash.
pub(super) struct Script {
    source: &'static str,
    hash: String,
}

impl Script {
    pub fn new(source: &'static str) -> Self {
        Self { source, hash: redis::Script::new(source).get_hash().to_owned() }
    }

    /// A call with these keys, all of one slot. Add the script's arguments to it.
    pub fn call(&self, keys: &[impl ToRedisArgs]) -> Cmd {
        let mut call = cmd("EVALSHA");
        call.arg(&self.hash).arg(keys.len()).arg(keys);
        call
    }

    /// Sends one call.
    pub async fn query_one<T: FromRedisValue>(&self, connection: &RedisConnection, call: Cmd) -> Result<T, Fault> {
        let answer = self.query(connection, [call]).await?.pop().unwrap_or(Value::Nil);
        from_redis_value(answer).map_err(|_| Fault::Unreadable)
    }

    /// Sends calls of the script and other commands in one round trip. A server that does not know the script gets
    /// all of them twice, so each must be safe to repeat, as for [`RedisConnection::query`].
    pub async fn query(
        &self,
        connection: &RedisConnection,
        commands: impl IntoIterator<Item = Cmd>,
    ) -> Result<Vec<Value>, Fault> {
        let commands = together(commands);
        match connection.query(&commands).await {
            Err(Fault::Refused(ErrorKind::Server(ServerErrorKind::NoScript), _)) => {
                connection.query(&self.with_source(&commands)).await
            }
            answer => answer,
        }
    }

    /// EVAL sends the source, and the server, or the node of a cluster, remembers it.
    fn with_source(&self, commands: &Pipeline) -> Pipeline {
        together(commands.cmd_iter().map(|command| {
            if command.args_iter().nth(1) != Some(Arg::Simple(self.hash.as_bytes())) {
                return command.clone();
            }
            let mut call = cmd("EVAL");
            call.arg(self.source);
            for part in command.args_iter().skip(2) {
                if let Arg::Simple(part) = part {
                    call.arg(part);
                }
            }
            call
        }))
    }
}
