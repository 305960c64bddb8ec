use std::time::Duration;

use domain::{Delivery, DeliveryId, EndpointId, JobId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::ports::QueuedMessage;

/// What goes on the queue: ids and a version, never content.
///
/// ```json
/// { "version": "1", "job_id": "…", "workspace_id": "…" }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum JobMessage {
    /// Take up this job.
    #[serde(rename = "1")]
    V1 {
        /// Which job.
        job_id: JobId,
        /// Whose; it must be the job's own.
        workspace_id: WorkspaceId,
        /// The W3C `traceparent` of the request that accepted it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        traceparent: Option<String>,
    },
    /// Try this delivery of a webhook.
    #[serde(rename = "webhook-1")]
    Webhook {
        /// Which delivery.
        delivery_id: DeliveryId,
        /// Where it goes.
        endpoint_id: EndpointId,
        /// Whose; it must be the delivery's own.
        workspace_id: WorkspaceId,
    },
}

/// Why a message cannot be worked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableMessage {
    /// It is of a later version: it waits in the dead letters for an upgrade.
    #[error("the message is of version {0}, which this program does not know")]
    UnknownVersion(String),
    /// It is not one of ours.
    #[error("the message is not one of ours: {0}")]
    Garbage(String),
}

impl JobMessage {
    /// Reads a message's text.
    pub fn read(text: &str) -> Result<Self, UnreadableMessage> {
        #[derive(Deserialize)]
        struct Versioned {
            version: String,
        }
        serde_json::from_str(text).map_err(|error| match serde_json::from_str(text) {
            Ok(Versioned { version }) if !["1", "webhook-1"].contains(&version.as_str()) => {
                UnreadableMessage::UnknownVersion(version)
            }
            _ => UnreadableMessage::Garbage(error.to_string()),
        })
    }

    /// Whether a message is of a webhook, whose receiver may take its time.
    pub fn is_of_webhook(text: &str) -> bool {
        matches!(Self::read(text), Ok(Self::Webhook { .. }))
    }

    /// The message that has a delivery tried after a while.
    pub fn of_delivery(delivery: &Delivery, delay: Duration) -> QueuedMessage {
        let Delivery { delivery_id, endpoint_id, workspace_id, .. } = delivery;
        let (delivery_id, endpoint_id) = (*delivery_id, *endpoint_id);
        let body = Self::Webhook { delivery_id, endpoint_id, workspace_id: workspace_id.clone() }.write();
        QueuedMessage { body, workspace: workspace_id.clone(), delay }
    }

    /// The message's text.
    pub fn write(&self) -> String {
        serde_json::to_string(self).expect("a message of ids is always JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_back_and_others_are_told_apart() {
        let message = JobMessage::V1 {
            job_id: "018f4e7e-7d4c-8a3b-8a52-0b7d2c9d3f10".parse().unwrap(),
            workspace_id: "local".parse().unwrap(),
            traceparent: None,
        };
        assert_eq!(JobMessage::read(&message.write()), Ok(message));
        let later = JobMessage::read(r#"{"version":"2","jobs":[]}"#);
        assert_eq!(later, Err(UnreadableMessage::UnknownVersion("2".to_owned())));
        for garbage in ["", "null", "{}", r#"{"version":"1"}"#, r#"{"version":1}"#] {
            assert!(matches!(JobMessage::read(garbage), Err(UnreadableMessage::Garbage(_))), "{garbage}");
        }
    }
}
