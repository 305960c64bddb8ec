//! Commands and calls of Lua scripts.

use std::sync::OnceLock;

use redis::{Arg, Cmd, ToRedisArgs, cmd};

/// A command, or a call of a script.
pub(super) struct Call {
    pub command: Cmd,
    /// The script.
    pub source: Option<&'static str>,
}

impl Call {
    /// A command.
    pub fn new(name: &str, arguments: impl ToRedisArgs) -> Self {
        let mut command = cmd(name);
        command.arg(arguments);
        Self { command, source: None }
    }
}

/// A Lua script, called by its hash. Its source is sent only to a server that does not know the hash.
pub(super) struct Script {
    source: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    pub const fn new(source: &'static str) -> Self {
        Self { source, hash: OnceLock::new() }
    }

    /// A call with these keys, all of one slot.
    pub fn call(&self, keys: &[impl ToRedisArgs], arguments: impl ToRedisArgs) -> Call {
        let hash = self.hash.get_or_init(|| redis::Script::new(self.source).get_hash().to_owned());
        Call { source: Some(self.source), ..Call::new("EVALSHA", (hash, keys.len(), keys, arguments)) }
    }
}

/// A call for a server that does not know the script: EVAL sends the source, and the server, or the node of a cluster,
/// remembers it.
pub(super) fn with_source(command: &Cmd, source: Option<&str>) -> Cmd {
    let Some(source) = source else { return command.clone() };
    let mut call = cmd("EVAL");
    call.arg(source);
    for part in command.args_iter().skip(2) {
        if let Arg::Simple(part) = part {
            call.arg(part);
        }
    }
    call
}
