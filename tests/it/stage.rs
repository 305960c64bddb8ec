//! Jobs over time: the use cases and their queue, by a clock that a test moves.

use std::{sync::Arc, time::Duration};

use adapters::embedded::MemoryQueue;
use domain::{Job, JobId, SendAt};
use engine::{execute::ExecuteRequest, ports::Clock as _, work::Disposition};
use jiff::{SignedDuration, Timestamp};

use crate::{inside::Inside, support::gmail};

pub const MINUTE: i64 = 60;
pub const DAY: i64 = 24 * 60 * MINUTE;

/// The use cases by a clock that a test moves, and their queue by the same.
pub struct Stage {
    pub inside: Inside,
}

impl Stage {
    pub fn new(variables: &[(&str, &str)]) -> Self {
        let mut inside = Inside::new(variables);
        let queue = MemoryQueue::new(inside.clock.clone(), Duration::from_mins(1));
        inside.change(|parts| parts.queue = Arc::new(queue));
        Self { inside }
    }

    /// The job of a mail under this key, to be sent at a time, or at once.
    pub async fn execute(&self, key: &str, send_at: Option<Timestamp>) -> Job {
        let request = ExecuteRequest {
            actions: Some(vec![serde_json::from_value(gmail(key, "Hello")).unwrap()]),
            actor_id: Some("ana".parse().unwrap()),
            send_at: send_at.map(SendAt),
            ..ExecuteRequest::default()
        };
        self.inside.execute_as(&self.inside.caller, request).await.unwrap().remove(0).job
    }

    /// The time in so many seconds.
    pub fn at(&self, seconds: i64) -> Timestamp {
        self.inside.clock_in(seconds)
    }

    pub async fn job(&self, id: JobId) -> Job {
        self.inside.parts.ledger.jobs.job(&self.inside.caller.workspace, id).await.unwrap().unwrap()
    }

    /// How many messages there are, those that are to come later too.
    pub async fn messages(&self) -> u64 {
        self.inside.parts.queue.depth().await.unwrap()
    }

    /// Lets time pass, and works what comes meanwhile, at most a second after it came.
    pub async fn pass(&self, seconds: i64) {
        let (queue, clock) = (&self.inside.parts.queue, &self.inside.clock);
        for _ in 0..seconds {
            clock.advance(Duration::from_secs(1));
            for delivery in queue.receive(10, Duration::ZERO).await.unwrap() {
                let deadline = clock.now() + SignedDuration::from_secs(45);
                let worked = self.inside.engine.worker.work(&delivery.body, deadline).await;
                assert_eq!(worked, Disposition::Acknowledge);
                queue.acknowledge(&delivery.receipt).await.unwrap();
            }
        }
    }

    /// Lets minutes pass, with a sweep after each.
    pub async fn pass_minutes(&self, minutes: i64) {
        for _ in 0..minutes {
            self.pass(MINUTE).await;
            self.inside.engine.sweeper.sweep().await.unwrap();
        }
    }
}
