//! The budget of the model's tokens.

use std::time::Duration;

use async_trait::async_trait;
use domain::WorkspaceId;
use uuid::Uuid;

use super::CacheError;

/// Into how many buckets the window of a [`Budget`] is divided.
pub const BUDGET_BUCKETS: u32 = 20;
/// The window of the deployment's budget.
pub const BUDGET_WINDOW: Duration = Duration::from_mins(1);

/// The model's tokens of the whole deployment: no more than a limit is granted in any window of time.
///
/// A window is counted in [`BUDGET_BUCKETS`] buckets and one more, so that what was granted late in a bucket
/// counts for a whole window. Losing what is kept loses no promise but this one, for one window.
#[async_trait]
pub trait Budget: Send + Sync {
    /// Takes tokens out of the budget, if there are so many, before the model is asked. The same reservation
    /// again takes nothing more.
    ///
    /// While no other workspace asks, one may have all of the limit. Each that asked within a window
    /// divides it, for a window after it was told to come again: one that has something of the window gets no more
    /// than its share, and one that has nothing is bound by no share.
    async fn reserve(&self, reservation: &Reservation) -> Result<Reserved, CacheError>;

    /// Puts what was used in place of what was reserved, at the time of the reservation. It counts once; for a
    /// reservation that is not known, or whose window is over, it changes nothing.
    async fn settle(&self, id: Uuid, used: u64) -> Result<(), CacheError>;

    /// Grants nothing to anyone for so long. A longer hold that is on stays.
    async fn hold(&self, duration: Duration) -> Result<(), CacheError>;
}

/// What one question to the model may cost at most.
#[derive(Debug, Clone)]
pub struct Reservation {
    /// Names it, for its settling.
    pub id: Uuid,
    /// Who asks.
    pub workspace: WorkspaceId,
    /// How many tokens.
    pub tokens: u64,
    /// How many everyone together may have within a window.
    pub limit: u64,
}

/// What became of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// The tokens are taken.
    Granted {
        /// Something was granted within the window, and nothing is known of it: the store was emptied.
        window_was_lost: bool,
    },
    /// There are not so many.
    Exhausted {
        /// When there are, if nobody else takes them.
        retry_after: Duration,
        /// How many there are for this workspace.
        left: u64,
    },
    /// There is a hold on, for so much longer.
    Held(Duration),
}
