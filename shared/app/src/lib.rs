//! The composition root: the environment becomes a [`Config`], and a `Config` becomes an [`engine::Engine`] with its routes.
//! Also the loops of a worker, and the operator's commands.

mod build;
mod config;
pub mod operator;
mod process;
mod worker;

#[cfg(feature = "aws")]
pub use build::create_table;
pub use build::{
    BuildError, build, dead_letters, engine, function, is_beside_keyless_server, missing_ledger, parts, parts_by,
    router,
};
pub use config::{Config, ConfigErrors, PlannerConfig, QueueConfig, Runtime, SealingConfig, client, url_of};
pub use process::{keep_memory_private, open_files};
pub use worker::{WorkerTiming, run_dead_letters, run_housekeeping, run_worker};
