//! Jobs: their records in the ledger, their cache for polling, and the queue that brings them to workers.

use std::{sync::Arc, time::Duration};

use domain::Job;

use crate::{
    JobMessage,
    ports::{JobCache, Jobs, Queue, QueuedMessage},
};

/// Jobs: their records in the ledger, their cache for polling, and the queue that brings them to workers.
pub(crate) struct JobStore {
    pub(crate) ledger: Arc<dyn Jobs>,
    pub(crate) cache: Arc<dyn JobCache>,
    pub(crate) queue: Arc<dyn Queue>,
}

impl JobStore {
    /// Caches jobs for polling. If the cache cannot be written, only the next poll is slower.
    pub(crate) async fn cache(&self, jobs: &[Job]) {
        let _ = self.cache.put_jobs(jobs).await;
    }

    /// Sends the jobs' messages. A queue that fails loses nothing: the sweeper finds the jobs.
    pub(crate) async fn enqueue(&self, jobs: &[Job], delay: Duration) {
        let message = |job: &Job| QueuedMessage {
            body: JobMessage::V1 {
                job_id: job.job_id,
                workspace_id: job.workspace_id.clone(),
                traceparent: job.traceparent.clone(),
            }
            .write(),
            workspace: job.workspace_id.clone(),
            delay,
        };
        let messages: Vec<QueuedMessage> = jobs.iter().map(message).collect();
        if let Err(error) = self.queue.send(&messages).await {
            tracing::warn!(%error, jobs.count = jobs.len(), "messages were not sent; the sweeper will");
        }
    }
}
