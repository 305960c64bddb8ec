//! All that one process needs to run by itself: a SQLite file, memory, a key file, the system's
//! clock and chance.

mod budget;
mod cache;
mod folder;
mod key_file;
#[cfg(feature = "sqlite")]
mod ledger;
mod queue;
mod rate_limit;
mod stored_key;
mod system;

pub use budget::MemoryBudget;
pub use cache::MemoryCache;
pub use folder::{FolderError, FolderLock};
pub use key_file::{KeyError, LocalVault};
#[cfg(feature = "sqlite")]
pub use ledger::SqliteLedger;
pub use queue::MemoryQueue;
pub use stored_key::StoredKeyVault;
pub use system::{SystemClock, SystemIds};
