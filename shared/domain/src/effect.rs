//! What an action does to the world, and what a lost answer means for it.

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// What an action does to the world. It decides the path that a job takes through the worker.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Effect {
    /// Nothing changes. It needs no job.
    Read,
    /// Leaves something that only the account's owner sees. A second one does no harm.
    Draft,
    /// Takes an id of ours, or sets an absolute state: the same call again changes nothing more.
    Change,
    /// Reaches other people and cannot be repeated.
    Send,
}

impl Effect {
    /// Whether a call whose answer was lost may be made again. A send may only where a draft exists, since a sent
    /// draft cannot be sent twice.
    pub const fn is_repeatable(self, has_draft: bool) -> bool {
        has_draft || !matches!(self, Self::Send)
    }

    /// The effect of a job. Where it is draft-only, a send ends after its draft.
    #[must_use]
    pub const fn of_job(self, draft_only: bool) -> Self {
        if draft_only && matches!(self, Self::Send) { Self::Draft } else { self }
    }
}
