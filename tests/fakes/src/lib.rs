//! Strict stand-ins for what the orchestrator talks to, on loopback.

pub mod model;
