//! The use cases, and the ports they need of the world.
//!
//! A use case is one file: [`plan`], [`execute`], [`work`] (carry one job out), [`jobs`] (look up,
//! cancel, retry, resolve), [`preview`], [`catalogue`], [`connect`], [`sweep`]. They know no HTTP, no database and
//! no provider; time, ids and chance come in through [`ports`], so that tests can play every hand.

pub mod audit;
pub mod catalogue;
pub mod connect;
pub mod evaluation;
pub mod execute;
pub mod jobs;
pub mod keys;
pub mod labels;
pub mod limits;
pub mod plan;
pub mod ports;
pub mod preview;
pub mod settings;
pub mod sweep;
pub mod work;

mod access;
mod caller;
mod engine;
mod message;
mod object;
mod problem;
mod recent;

pub use access::Rollouts;
pub use caller::Caller;
pub use engine::{Engine, Settings};
pub use message::{JobMessage, UnreadableMessage};
pub use object::Object;
pub use problem::{Problem, ProblemCode, Quota};
pub use recent::Recent;
