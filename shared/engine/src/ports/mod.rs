//! What the engine needs of the world, as small object-safe traits.
//!
//! Each has an embedded adapter and a real one, and one contract suite that both pass. To add a
//! port: a file here, an adapter under `shared/adapters`, a field of [`crate::Engine`].

mod action;
mod budget;
mod cache;
mod clock;
mod connections;
mod ledger;
mod model;
mod oauth;
mod queue;
mod vault;

pub use action::{
    About, Access, Action, Call, Example, Guide, OAuthScopes, RenderError, Rendered, SendError, Sent, Stamp,
};
pub use budget::{BUDGET_BUCKETS, BUDGET_WINDOW, Budget, Reservation, Reserved};
pub use cache::{CONSENT_WITHIN, Cache, CacheError, Consent, FirstSight, KeyClaim, Passage, TOLL_WINDOW, Toll};
pub use clock::{Clock, Ids};
pub use connections::{Connection, ConnectionError, Connections};
pub use ledger::{
    AuditFilter, AuditPosition, ConnectionStatus, Contents, Insert, JobFilter, Ledger, LedgerError, OutboxEntry,
    Position, Save, StoredConnection, StoredPlan,
};
pub use model::{Answer, Finish, Model, ModelError, ModelRequest, Usage};
pub use oauth::{Authorization, Exchange, Granted, Identity, OAuth, OAuthError};
pub use queue::{Delivery, Queue, QueueError, QueuedMessage};
pub use vault::{Purpose, Sealed, Vault, VaultError};
