//! The ledger: what must not be lost, and decides.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Audit, Connections, Jobs, Keys, LedgerError, Outbox, Plans, SealedTexts, Settings, Webhooks};

/// Upkeep of a whole ledger.
#[async_trait]
pub trait Upkeep: Send + Sync {
    /// Erases what has expired at `now`, as far as the store does not do so itself.
    async fn erase_expired(&self, now: Timestamp) -> Result<(), LedgerError>;

    /// Whether the ledger answers.
    async fn ping(&self) -> Result<(), LedgerError>;
}

/// A place in a list: by time, then id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// When it was made.
    pub at: Timestamp,
    /// Its id.
    pub id: Uuid,
}

/// Every aggregate of the ledger in one store.
///
/// When a write returns, it is durable. Every write names its precondition. Records end by
/// themselves: a job 30 days after its last change, its contents 7 days after its end, but neither
/// while the job is open. An expired record is not found, whether or not it has been erased yet.
///
/// An audited change is written in the same transaction as its entry: a version of a job with [`domain::Job::audit`],
/// a key with [`domain::KeyRecord::audit`], the rest with the entry
/// that comes with it. Each entry becomes the last of a chain: see [`domain::AuditLink`].
pub trait Ledger:
    Jobs + Plans + Outbox + Keys + Connections + Settings + Audit + Upkeep + SealedTexts + Webhooks
{
}

impl<T: Jobs + Plans + Outbox + Keys + Connections + Settings + Audit + Upkeep + SealedTexts + Webhooks> Ledger for T {}

/// The ledger, port by port.
#[derive(Clone)]
#[expect(missing_docs, reason = "each field is the port of its name")]
pub struct LedgerPorts {
    pub jobs: Arc<dyn Jobs>,
    pub plans: Arc<dyn Plans>,
    pub outbox: Arc<dyn Outbox>,
    pub keys: Arc<dyn Keys>,
    pub connections: Arc<dyn Connections>,
    pub settings: Arc<dyn Settings>,
    pub audit: Arc<dyn Audit>,
    pub upkeep: Arc<dyn Upkeep>,
    pub sealed_texts: Arc<dyn SealedTexts>,
    pub webhooks: Arc<dyn Webhooks>,
}

impl LedgerPorts {
    /// All ports of one store.
    pub fn of<L: Ledger + 'static>(ledger: Arc<L>) -> Self {
        Self {
            jobs: ledger.clone(),
            plans: ledger.clone(),
            outbox: ledger.clone(),
            keys: ledger.clone(),
            connections: ledger.clone(),
            settings: ledger.clone(),
            audit: ledger.clone(),
            upkeep: ledger.clone(),
            sealed_texts: ledger.clone(),
            webhooks: ledger,
        }
    }
}
