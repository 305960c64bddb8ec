//! What lets a process of the product die, hang or lose its Redis at a step of its own choosing.
//!
//! A **point** is a call of a port and a side of it: `ledger.save.sending:after` is when a job was
//! written as `sending` and nothing was done since. A **trap** is what happens there, and at which
//! of the passes: `ledger.save.sending:after:2`. The binary `dying-worker` is the product's worker,
//! or its API, with traps; the binary `kill` sets them, steers the rest, and looks at what comes out.

mod points;
mod traps;
mod wrap;

pub use points::{API, Point, Side, WORKER, all};
pub use traps::{Deed, Trap, Traps};
pub use wrap::wrap;
