//! The use cases, and the ports they need of the world.
//!
//! A use case is one struct in one file or folder: [`plan::Planner`], [`execute::Executor`], [`work::Worker`],
//! [`jobs::JobService`], [`catalogue::CatalogueView`], [`connect::Connector`], [`sweep::Sweeper`], [`webhooks::WebhookService`],
//! [`reseal::Resealer`], [`sandbox::Sandbox`]. Each holds what most
//! of them share, and the ports that it alone uses; [`Engine`] holds them all, built once from [`Parts`]. They know no
//! HTTP, no database and no provider; time, ids and chance come in through [`ports`], so that tests can set them.

pub mod accounts;
pub mod approval;
pub mod audit;
pub mod catalogue;
pub mod connect;
pub mod evaluation;
pub mod execute;
pub mod gate;
pub mod health;
pub mod job_contents;
pub mod jobs;
pub mod keys;
pub mod limits;
pub mod plan;
pub mod ports;
pub mod preview;
pub mod refusals;
pub mod reseal;
pub mod sandbox;
pub mod settings;
pub mod sweep;
pub mod webhooks;
pub mod work;

mod caller;
mod engine;
mod job_store;
mod message;
mod object;
mod paging;
mod problem;
mod rate_counts;
mod recent;
mod texts;
mod warnings;

pub use caller::Caller;
pub use engine::{Engine, Options, Parts};
pub use message::{JobMessage, UnreadableMessage};
pub use object::Object;
pub use problem::{Problem, ProblemCode, Quota};
pub use rate_counts::RateCounts;
pub use recent::Recent;
