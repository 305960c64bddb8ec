//! A webhook endpoint and a delivery in answers.

use domain::{Delivery, DeliveryFault, DeliveryStatus, DisabledBecause, WebhookEvent};
use engine::webhooks::{EndpointView, NewSecret};
use jiff::Timestamp;
use uuid::Uuid;

use crate::endpoint::prelude::*;

/// A webhook endpoint.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookView {
    id: Uuid,
    /// Null if it cannot be read any more; then remove the endpoint and add it again.
    url: Option<String>,
    /// The events that it is told of; all, if the list is empty.
    #[schema(value_type = Vec<String>)]
    events: Vec<WebhookEvent>,
    /// `active` or `disabled`.
    #[schema(example = "active")]
    status: &'static str,
    /// Why nothing is delivered: it answered 410, or a delivery failed for three days. Null while it is active.
    disabled_because: Option<DisabledBecause>,
    disabled_at: Option<Timestamp>,
    created_at: Timestamp,
}

/// A webhook endpoint with its secret.
#[derive(Serialize, ToSchema)]
pub(super) struct WebhookWithSecret {
    #[serde(flatten)]
    endpoint: WebhookView,
    /// `whsec_` and the key in base64, as libraries for Standard Webhooks take it. It is shown once.
    secret: String,
}

/// One event on its way to one endpoint.
#[derive(Serialize, ToSchema)]
pub(super) struct DeliveryView {
    /// The header `webhook-id`, the same at every attempt.
    webhook_id: Uuid,
    #[schema(value_type = String, example = "job.completed")]
    event: WebhookEvent,
    status: DeliveryStatus,
    attempts: u32,
    /// The status of the last answer; null if there was none.
    last_code: Option<u16>,
    /// Why the last attempt failed.
    last_error: Option<DeliveryFault>,
    /// When the event happened.
    created_at: Timestamp,
    /// When it is tried next; null when it has ended.
    next_attempt_at: Option<Timestamp>,
    /// When it ended.
    finished_at: Option<Timestamp>,
}

impl From<EndpointView> for WebhookView {
    fn from(EndpointView { endpoint, url }: EndpointView) -> Self {
        Self {
            id: endpoint.endpoint_id.0,
            url,
            status: endpoint.status(),
            disabled_because: endpoint.disabled.map(|disabled| disabled.because),
            disabled_at: endpoint.disabled.map(|disabled| disabled.at),
            created_at: endpoint.created_at,
            events: endpoint.events.into_iter().collect(),
        }
    }
}

impl From<NewSecret> for WebhookWithSecret {
    fn from(new: NewSecret) -> Self {
        Self { secret: new.reveal().to_owned(), endpoint: new.view.into() }
    }
}

impl From<Delivery> for DeliveryView {
    fn from(delivery: Delivery) -> Self {
        Self {
            webhook_id: delivery.delivery_id.0,
            event: delivery.event,
            status: delivery.status,
            attempts: delivery.attempts,
            last_code: delivery.last_code,
            last_error: delivery.fault,
            created_at: delivery.created_at,
            next_attempt_at: (delivery.status == DeliveryStatus::Pending).then_some(delivery.next_attempt_at),
            finished_at: delivery.finished_at,
        }
    }
}

pub(super) fn webhook_example() -> Value {
    json!({
        "id": "5d0c1f0e-9a64-4b0c-8a57-3c1f6e0b2d11",
        "url": "https://example.com/hooks/orchestrator",
        "events": ["job.completed", "job.failed", "job.unknown"],
        "status": "active",
        "disabled_because": null,
        "disabled_at": null,
        "created_at": "2026-11-20T09:30:00Z",
    })
}

pub(super) fn secret_example() -> Value {
    let mut example = webhook_example();
    example["secret"] = json!("whsec_…");
    example
}

pub(super) fn delivery_example() -> Value {
    json!({
        "webhook_id": "b5f7c1de-53a1-8a3b-8a52-0b7d2c9d3f10",
        "event": "job.completed",
        "status": "pending",
        "attempts": 1,
        "last_code": 503,
        "last_error": "status",
        "created_at": "2026-11-20T09:30:00Z",
        "next_attempt_at": "2026-11-20T09:30:12Z",
        "finished_at": null,
    })
}
