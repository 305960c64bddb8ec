//! The program with what it needs, all of it new.

use std::path::Path;

use contracts::servers::RedisServer;
use tempfile::TempDir;

use crate::program::{self, Program};

/// The scope of a token that may send mail and no more.
pub const GMAIL_SEND: &str = "https://www.googleapis.com/auth/gmail.send";

/// A server with a Redis and a data folder of its own; all of it ends when this is dropped.
pub struct Stage {
    pub server: Program,
    pub redis: RedisServer,
    /// The API keys that were asked for.
    pub keys: Vec<String>,
    _data: TempDir,
}

impl Stage {
    /// Starts them, with these variables besides.
    pub fn start(path: &Path, variables: &[(&str, &str)]) -> Self {
        Self::start_with_keys(path, variables, &[])
    }

    /// The same, closed to everyone without one of these keys, whose limits are out of reach. Each is told by what
    /// `keys create` takes besides the workspace.
    pub fn start_with_keys(path: &Path, more: &[(&str, &str)], keys: &[&[&str]]) -> Self {
        let (redis, data) = (RedisServer::start(false), tempfile::tempdir().expect("a folder"));
        let create = |of_key: &&[&str]| {
            let arguments = [&["keys", "create", "--workspace", "local"], *of_key].concat();
            program::run(path, data.path(), &arguments)
        };
        let keys = keys.iter().map(create).collect();
        let url = redis.url();
        let mut variables = vec![("REDIS_URL", url.as_str()), ("QUEUE_URL", "redis")];
        for limit in ["LIMIT_REQUESTS_PER_KEY", "LIMIT_REQUESTS_PER_WORKSPACE", "LIMIT_OPEN_JOBS"] {
            variables.push((limit, "1000000"));
        }
        variables.extend(more);
        let server = Program::start(path, data.path(), &variables);
        Self { server, redis, keys, _data: data }
    }
}

/// What connects a Google account whose mails go to this address.
pub fn google(gmail: &str) -> [(&str, &str); 3] {
    [("GMAIL_BASE_URL", gmail), ("GOOGLE_ACCESS_TOKEN", "t"), ("GOOGLE_ACCESS_TOKEN_SCOPES", GMAIL_SEND)]
}
