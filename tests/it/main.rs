//! The program as its users meet it: the real binary, over HTTP, with fakes for the model and the
//! mail providers.

mod permissions;
mod support;

mod agents;
mod audit;
mod bad_input;
#[cfg(feature = "aws")]
mod bedrock;
mod bound;
#[cfg(feature = "aws")]
mod calls;
mod canary;
mod catalogue;
mod changed;
mod clarifications;
mod command_line;
mod configuration;
mod connections;
mod crash;
mod crawler;
mod draft_only;
mod endpoints;
mod events;
mod fallback;
mod field_cases;
mod finders;
mod grounding;
mod held;
mod hostile;
mod idempotency;
mod inside;
mod jobs;
mod keyless;
mod keys;
mod later;
mod limits;
mod lookups;
mod matrix;
mod mcp;
mod metrics;
mod oauth;
mod oidc;
mod other_requests;
mod planner;
mod plans;
mod prompt;
mod quoted;
mod refusals;
mod revocation;
mod sealing;
mod sentences;
mod stage;
mod template;
mod times;
mod told;
mod trace;
#[cfg(feature = "aws")]
mod two_servers;
#[cfg(feature = "aws")]
mod units;
mod walkthrough;
mod webhooks;
