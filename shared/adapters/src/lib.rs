//! How the engine touches the world: one folder or file for each thing behind a port.
//!
//! - `aws`, only with the feature of that name: ledger in DynamoDB, queue in SQS, data keys of KMS, stored secrets
//! - [`embedded`]: SQLite ledger (with the feature `sqlite`), cache and queue in process, key file, the system's clock and chance
//! - [`offline`] and [`openai`]: the planner by rules, and any chat completions endpoint
//! - [`actions`]: the catalogue, one file an action; [`google`] and [`microsoft`] carry them
//! - [`mime`] and [`graph_message`]: what goes over the wire; [`http`]: the clients that carry it
//! - [`redis`]: cache and queue on Redis or Valkey, single or cluster
//! - [`oauth`]: the endpoints that give and renew accounts' tokens
//! - [`secret`]: what the environment holds, or only names
//! - [`api`]: another orchestrator, asked by the command line

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

mod exchange;
mod seal;

pub use exchange::InvalidBaseUrl;
