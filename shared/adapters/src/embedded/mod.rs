//! Ledger, cache, token budget and queue in one process: a SQLite file, and memory.

mod budget;
mod cache;
mod folder;
mod queue;
mod rate_limit;
#[cfg(feature = "sqlite")]
mod records;

pub use budget::MemoryBudget;
pub use cache::MemoryCache;
pub(crate) use folder::make_folder;
pub use folder::{FolderError, FolderLock};
pub use queue::MemoryQueue;
#[cfg(feature = "sqlite")]
pub use records::SqliteLedger;
