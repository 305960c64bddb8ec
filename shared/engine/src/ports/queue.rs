//! The queue of jobs and webhook deliveries.

use std::time::Duration;

use async_trait::async_trait;
use domain::WorkspaceId;

use super::QueueError;

/// Brings jobs and webhook deliveries to workers, at least once each, in any order. It may lose a message: the sweeper
/// finds the job or delivery.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends messages; all that can be sent are, and any that could not makes it an error.
    async fn send(&self, messages: &[QueuedMessage]) -> Result<(), QueueError>;

    /// Takes up to `max` messages, waiting for the first at most `wait`. A message that is not
    /// acknowledged comes again after the visibility timeout.
    async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>, QueueError>;

    /// Acknowledges a delivery: the message is gone.
    async fn acknowledge(&self, receipt: &str) -> Result<(), QueueError>;

    /// How many messages wait, delayed ones included; approximate.
    async fn depth(&self) -> Result<u64, QueueError>;
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    /// Its text, a [`crate::JobMessage`].
    pub body: String,
    /// Whose it is, for queues that are fair among groups.
    pub workspace: WorkspaceId,
    /// How long it stays unseen; queues may cut it to 900 s.
    pub delay: Duration,
}

/// A message that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// Its text.
    pub body: String,
    /// Names this delivery in its acknowledgement.
    pub receipt: String,
    /// How often it has been delivered, this time included.
    pub receives: u32,
}
