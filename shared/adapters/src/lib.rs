//! How the engine touches the world: one folder or file for each thing behind a port.
//!
//! - [`embedded`]: SQLite ledger, cache and queue in process, key file, the system's clock and chance
//! - [`redis`]: cache and queue on Redis or Valkey, one server or a cluster
//! - [`offline`] and [`openai`]: the planner by rules, and any chat completions endpoint
//! - [`actions`]: the catalogue, one file an action; [`google`] and [`microsoft`] carry them

pub mod embedded;
pub mod redis;
