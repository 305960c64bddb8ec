//! Ledger, cache, token budget and queue in one process: a SQLite file, and memory.

mod budget;
mod cache;
mod folder;
#[cfg(feature = "sqlite")]
mod ledger;
mod queue;
mod rate_limit;

pub use budget::MemoryBudget;
pub use cache::MemoryCache;
pub(crate) use folder::make_folder;
pub use folder::{FolderError, FolderLock};
#[cfg(feature = "sqlite")]
pub use ledger::SqliteLedger;
pub use queue::MemoryQueue;
