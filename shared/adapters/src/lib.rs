//! The engine's ports against real systems: one folder or file for each.
//!
//! - [`ledger`]: the ledger's ports over a store of records
//! - `aws`, with the feature of that name: ledger in DynamoDB, queue in SQS, data keys of KMS, stored secrets, keys for
//!   Bedrock
//! - [`embedded`]: ledger in SQLite (with the feature `sqlite`); cache, token budget and queue in memory; the sandbox's
//!   account
//! - [`redis`]: cache, token budget, queue and metrics on Redis or Valkey, one server or a cluster
//! - [`vault`]: encryption with one key; [`secret`]: secrets given or stored; [`system`]: clock and ids
//! - [`rules`] and [`openai`]: the built-in rules, and any chat completions endpoint
//! - [`providers`]: one folder each, with its facts, its APIs, its actions and what reads its accounts
//! - [`mime`]: the format of mails; [`http`]: outbound HTTP
//! - [`oauth`]: the endpoints that issue and renew accounts' tokens
//! - [`webhooks`]: what posts webhooks, and to public addresses only
//! - [`api`]: the client of our own HTTP API, for the command line

pub mod api;
#[cfg(feature = "aws")]
pub mod aws;
pub mod embedded;
pub mod http;
pub mod mime;
pub mod oauth;
pub mod openai;
pub mod providers;
pub mod redis;
pub mod rules;
pub mod secret;
pub mod system;
pub mod vault;
pub mod webhooks;

#[cfg(feature = "aws")]
mod backoff;
mod deflate;
mod exchange;
#[cfg(any(feature = "aws", feature = "sqlite"))]
mod ledger;
mod tokens;

pub use exchange::InvalidBaseUrl;
