//! All that one process needs to run by itself: a SQLite file, memory, a key file, the system's
//! clock and chance.

mod budget;
mod cache;
mod folder;
mod key_file;
mod ledger;
mod queue;
mod system;

pub use budget::MemoryBudget;
pub use cache::MemoryCache;
pub use folder::{FolderError, FolderLock};
pub use key_file::{KeyError, LocalVault};
pub use ledger::SqliteLedger;
pub use queue::MemoryQueue;
pub use system::{SystemClock, SystemIds};
