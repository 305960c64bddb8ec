//! How the engine touches the world: one folder or file for each thing behind a port.
//!
//! - `aws`, only with the feature of that name: the ledger in DynamoDB, the queue in SQS
//! - [`embedded`]: SQLite ledger, cache and queue in process, key file, the system's clock and chance
//! - [`offline`] and [`openai`]: the planner by rules, and any chat completions endpoint
//! - [`actions`]: the catalogue, one file an action; [`google`] and [`microsoft`] carry them

#[cfg(feature = "aws")]
pub mod aws;
pub mod embedded;
