//! Ledger, cache, token budget and queue in one process: a SQLite file, and memory; and a made-up account.

mod account;
mod budget;
mod cache;
mod folder;
mod queue;
#[cfg(feature = "sqlite")]
mod records;

use std::time::Duration;

pub use account::SandboxAccount;
pub use budget::MemoryBudget;
pub use cache::MemoryCache;
pub use folder::{FolderError, FolderLock};
pub(crate) use folder::{make_folder, owned};
use jiff::Timestamp;
pub use queue::MemoryQueue;
#[cfg(feature = "sqlite")]
pub use records::SqliteLedger;

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}
