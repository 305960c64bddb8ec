//! The engine's ports against real systems: one folder or file for each.
//!
//! - `aws`, with the feature of that name: ledger in DynamoDB, queue in SQS, data keys of KMS, stored secrets
//! - [`embedded`]: ledger in SQLite (with the feature `sqlite`); cache, token budget and queue in memory
//! - [`redis`]: cache, token budget, queue and metrics on Redis or Valkey, one server or a cluster
//! - [`vault`]: encryption with one key; [`secret`]: secrets given or stored; [`system`]: clock and ids
//! - [`offline`] and [`openai`]: the planner by rules, and any chat completions endpoint
//! - [`actions`]: the catalogue, one file an action; [`google`] and [`microsoft`] carry them
//! - [`mime`] and [`graph_message`]: the formats of mails; [`http`]: outbound HTTP
//! - [`redis`]: cache and queue on Redis or Valkey
//! - [`oauth`]: the endpoints that issue and renew accounts' tokens
//! - [`api`]: the client of our own HTTP API, for the command line

pub mod actions;
pub mod api;
#[cfg(feature = "aws")]
pub mod aws;
pub mod embedded;
pub mod google;
pub mod graph_message;
pub mod http;
pub mod microsoft;
pub mod mime;
pub mod oauth;
pub mod offline;
pub mod openai;
pub mod redis;
pub mod secret;
pub mod system;
pub mod vault;

mod backoff;
mod exchange;

pub use exchange::InvalidBaseUrl;
