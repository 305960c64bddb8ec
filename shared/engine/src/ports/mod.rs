//! What the engine needs of the world, as small object-safe traits.
//!
//! The ledger and the cache have one trait per aggregate, which one type implements together. A store, the queue, the budget
//! and the vault have an embedded adapter and a real one; both pass one contract suite. To add a port: a file here, an adapter under `shared/adapters`, a field of [`crate::Parts`].

mod action;
mod audit;
mod budget;
mod cache;
mod claims;
mod clock;
mod connections;
mod consents;
mod error;
mod finder;
mod job_cache;
mod jobs;
mod keys;
mod ledger;
mod locks;
mod model;
mod oauth;
mod outbox;
mod plans;
mod provider;
mod queue;
mod rate_limits;
mod sealed_texts;
mod secrets;
mod settings;
mod tokens;
mod vault;
mod webhooks;

pub use self::{
    action::*, audit::*, budget::*, cache::*, claims::*, clock::*, connections::*, consents::*, error::*, finder::*,
    job_cache::*, jobs::*, keys::*, ledger::*, locks::*, model::*, oauth::*, outbox::*, plans::*, provider::*,
    queue::*, rate_limits::*, sealed_texts::*, secrets::*, settings::*, tokens::*, vault::*, webhooks::*,
};
