//! Log lines: text for a person at a terminal, JSON for everyone else.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, fmt};

/// Begins to write logs to standard error. `filter` is a `tracing` filter, such as `info` or `engine=debug`;
/// one that cannot be read counts as `info`.
pub fn init(filter: &str, json: bool) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json {
        logs.json().flatten_event(true).init();
    } else {
        logs.with_ansi(std::io::stderr().is_terminal()).with_target(false).compact().init();
    }
}
