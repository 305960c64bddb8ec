use redis::{Arg, Cmd, ErrorKind, Pipeline, ServerErrorKind, ToRedisArgs, Value, cmd};

use super::connection::{Fault, RedisConnection, together};

/// A Lua script. It is called by its hash, and sent once to a server that does not know it.
pub(super) struct Script {
    source: &'static str,
    hash: String,
}

impl Script {
    pub fn new(source: &'static str) -> Self {
        Self { source, hash: redis::Script::new(source).get_hash().to_owned() }
    }

    /// A call about these keys, all of one slot. What is added to it are the script's arguments.
    pub fn call(&self, keys: &[impl ToRedisArgs]) -> Cmd {
        let mut call = cmd("EVALSHA");
        call.arg(&self.hash).arg(keys.len()).arg(keys);
        call
    }

    /// Asks all of it, calls of the script and other commands, in one round trip to a server that knows the script; one
    /// that does not gets all of it twice. Only for what may be repeated, as [`RedisConnection::query`] says.
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

    /// EVAL takes the source along and makes the server remember it, whichever node of a cluster it is.
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
