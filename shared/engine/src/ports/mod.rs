//! What the engine needs of the world, as small object-safe traits.
//!
//! The ledger and the cache have one trait per aggregate, which one SQLite, DynamoDB or Redis type implements
//! together. Each port has an embedded adapter and a real one, and one contract suite that both pass. To add a
//! port: a file here, an adapter under `shared/adapters`, a field of [`crate::Parts`].

mod action;
mod audit;
mod budget;
mod cache;
mod claims;
mod clock;
mod connections;
mod consents;
mod error;
mod job_cache;
mod jobs;
mod keys;
mod ledger;
mod locks;
mod model;
mod oauth;
mod outbox;
mod plans;
mod provider;
mod queue;
mod rate_limits;
mod settings;
mod vault;

pub use action::{
    Access, Action, ActionSpec, Call, Comparison, Done, Example, Instructions, OAuthScopes, ParamAddress,
    ProviderError, RenderContext, RenderError, Rendered, Wording,
};
pub use audit::{Audit, AuditFilter, AuditPosition};
pub use budget::{BUDGET_BUCKETS, BUDGET_WINDOW, Budget, Reservation, Reserved};
pub use cache::{Cache, CacheHealth, CachePorts, RolloutCache};
pub use claims::{ClaimResult, Claims, KeyClaim};
pub use clock::{Clock, Ids};
pub use connections::{Connections, StoredConnection};
pub use consents::{CONSENT_WITHIN, Consent, Consents};
pub use error::{CacheError, Cause, LedgerError, QueueError};
pub use job_cache::JobCache;
pub use jobs::{Contents, Insert, JobFilter, Jobs, Position, Save};
pub use keys::Keys;
pub use ledger::{Ledger, LedgerPorts, Upkeep};
pub use locks::Locks;
pub use model::{Answer, Finish, Model, ModelError, ModelRequest, Usage};
pub use oauth::{Authorization, Exchange, Granted, Identity, OAuth, OAuthError};
pub use outbox::{Outbox, OutboxEntry};
pub use plans::{Plans, StoredPlan};
pub use provider::{ApiAddress, IdClaims, OAuthSpec, ProviderSpec};
pub use queue::{Delivery, Queue, QueuedMessage};
pub use rate_limits::{Counted, Decision, RATE_LIMIT_WINDOW, RateLimit, RateLimits};
pub use settings::Settings;
pub use vault::{Place, Purpose, Sealed, Vault, VaultError};
