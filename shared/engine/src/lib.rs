//! The use cases, and the ports they need of the world.

pub mod ports;

mod caller;
mod message;

pub use caller::Caller;
pub use message::{JobMessage, UnreadableMessage};
