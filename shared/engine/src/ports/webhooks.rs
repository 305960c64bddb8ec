//! Webhook endpoints and their deliveries in the ledger, and what sends them.

use async_trait::async_trait;
use domain::{AuditEntry, Delivery, DeliveryFault, DeliveryId, Endpoint, EndpointId, WorkspaceId};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{LedgerError, Position, Save};

/// Webhook endpoints and their deliveries.
///
/// Deliveries are written with what they tell of: a version of a job with a [`domain::Notice`], and a connection that
/// needs reauthorization, come with a delivery for each endpoint that wants to know, in one transaction.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// A workspace's endpoints, oldest first.
    async fn endpoints(&self, workspace: &WorkspaceId) -> Result<Endpoints, LedgerError>;

    /// Writes a workspace's endpoints over the version `over`, or where there are none if that is none; nothing when the
    /// ledger holds another one.
    async fn put_endpoints(
        &self,
        workspace: &WorkspaceId,
        endpoints: &Endpoints,
        over: Option<Uuid>,
        audit: &AuditEntry,
    ) -> Result<Save, LedgerError>;

    /// Writes a new delivery.
    async fn put_delivery(&self, delivery: &Delivery) -> Result<(), LedgerError>;

    /// The workspace's delivery of this id, with the workspace's endpoints.
    async fn delivery(
        &self,
        workspace: &WorkspaceId,
        id: DeliveryId,
    ) -> Result<Option<(Delivery, Endpoints)>, LedgerError>;

    /// Writes the next version of a delivery over the version before it, and nothing when the ledger holds another one.
    async fn save_delivery(&self, delivery: &Delivery) -> Result<Save, LedgerError>;

    /// Writes the deliveries that a delivery stands for ([`Delivery::spread`]), over this version of it, and nothing when
    /// the ledger holds another one.
    async fn spread_delivery(&self, delivery: &Delivery, now: Timestamp) -> Result<Save, LedgerError>;

    /// An endpoint's deliveries, newest first.
    async fn deliveries(
        &self,
        workspace: &WorkspaceId,
        endpoint: EndpointId,
        after: Option<Position>,
        limit: usize,
    ) -> Result<Vec<Delivery>, LedgerError>;

    /// Deliveries that were due ([`Delivery::due_at`]) before `before`, longest due first, at most `limit`.
    async fn due_deliveries(&self, before: Timestamp, limit: usize) -> Result<Vec<Delivery>, LedgerError>;
}

/// A workspace's endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// Names this version; each write has a fresh one. None where there never was an endpoint.
    pub version: Option<Uuid>,
    /// The endpoints, oldest first.
    pub endpoints: Vec<Endpoint>,
}

impl From<&Delivery> for Position {
    fn from(delivery: &Delivery) -> Self {
        Self { at: delivery.created_at, id: delivery.delivery_id.0 }
    }
}

/// Posts deliveries, as Standard Webhooks 1.0 defines them.
#[async_trait]
pub trait WebhookSender: Send + Sync {
    /// Checks the URL of a new endpoint; says what is wrong with it.
    fn check(&self, url: &str) -> Result<(), String>;

    /// Posts once, and returns the status of the answer, whatever it is. It ends within [`WEBHOOK_TIMEOUT`].
    async fn post(&self, posting: &Posting<'_>) -> Result<u16, DeliveryFault>;
}

/// How long an endpoint may take to answer.
pub const WEBHOOK_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15);

/// One attempt of a delivery.
#[derive(Debug)]
pub struct Posting<'a> {
    /// Where it goes.
    pub url: &'a str,
    /// The same id at every attempt.
    pub id: DeliveryId,
    /// When this attempt is made.
    pub at: Timestamp,
    /// The exact body.
    pub body: &'a str,
    /// The secrets that sign it.
    pub secrets: &'a [SecretString],
}
