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
/// A window is counted in [`BUDGET_BUCKETS`] buckets and one more, so that tokens granted late in a bucket count for a
/// whole window. If the store is lost, the limit may be exceeded within one window, and nothing else happens.
#[async_trait]
pub trait Budget: Send + Sync {
    /// Reserves tokens before the model is asked, if the budget has enough. Repeating a reservation takes nothing more.
    ///
    /// Fair share: with N workspaces active in the window, each may hold limit/N. A workspace stays active for a window
    /// after it was told to come again. A workspace that holds nothing yet may exceed its share once, so that a large
    /// request is never starved.
    async fn reserve(&self, reservation: &Reservation) -> Result<Reserved, CacheError>;

    /// Replaces the reserved tokens by the used ones, at the time of the reservation. It counts once, and changes nothing
    /// for an unknown reservation or one whose window has passed.
    async fn settle(&self, id: Uuid, used: u64) -> Result<(), CacheError>;

    /// Grants nothing for this model to any workspace for this long. A longer hold stays as it is.
    async fn hold(&self, model: &str, duration: Duration) -> Result<(), CacheError>;
}

/// The most that one question to the model may cost.
#[derive(Debug, Clone)]
pub struct Reservation {
    /// Names it, for its settling.
    pub id: Uuid,
    /// The workspace that asks.
    pub workspace: WorkspaceId,
    /// The model that is asked. All models share the budget; a hold is of one.
    pub model: String,
    /// The tokens.
    pub tokens: u64,
    /// The most tokens of all workspaces together within a window.
    pub limit: u64,
}

/// The result of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// The tokens are taken.
    Granted {
        /// Tokens were granted within the window, but the store was emptied and no longer knows them.
        window_was_lost: bool,
    },
    /// The budget has too few.
    Exhausted {
        /// When it has enough, if nobody else takes them.
        retry_after: Duration,
        /// The tokens left for this workspace.
        left: u64,
    },
    /// The model is on hold for this much longer.
    Held(Duration),
}
