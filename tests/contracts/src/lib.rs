//! What every adapter of a port must do: one suite a port, run by each adapter against the real thing.
//!
//! A suite takes the adapter and a seed, a random UUID, from which it makes all its workspaces and
//! ids: it needs no empty store and leaves alone what others keep there. It panics and says what is
//! broken. The suites named `…_with_clock` move time themselves, so they are for adapters that go by
//! [`ManualClock`]; a store that goes by its server's time runs the others.

mod budget;
mod cache;
mod connections;
mod emulate;
mod ledger;
mod ledger_with_clock;
mod metrics;
mod ministack;
mod program;
pub mod proxies;
mod queue;
pub mod servers;
mod support;
mod vault;

pub use budget::{budget, budget_over_time};
pub use cache::{cache, cache_with_clock};
pub use emulate::Emulate;
pub use ledger::{ledger, ledger_void_leases};
pub use ledger_with_clock::ledger_with_clock;
pub use metrics::metric_store;
pub use ministack::Ministack;
pub use queue::{queue, queue_over_time};
pub use support::{CountingIds, ManualClock, sample_job};
pub use vault::vault;
