//! Held jobs: which rules hold a job, until when, and what a person decides.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::{ActorHash, KeyId};

/// A rule that holds a job until a person approves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Because {
    /// An agent's key asked for it.
    Agent,
    /// A recipient was looked up, and neither named nor confirmed by a person.
    Derived,
    /// `REQUIRE_APPROVAL=all`.
    All,
    /// `REQUIRE_APPROVAL=external`: a recipient is outside `INTERNAL_DOMAINS`.
    External,
}

impl Because {
    /// The rule's name.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Which jobs a deployment holds, whoever asks for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequireApproval {
    /// None.
    #[default]
    None,
    /// Those with a recipient outside the operator's own domains.
    External,
    /// All.
    All,
}

/// What becomes of recipients that were looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DerivedRecipients {
    /// They are shown with their source, and executing the plan is the yes.
    #[default]
    Ask,
    /// A person approves the job.
    Approve,
    /// None are looked up.
    Deny,
}

/// The terms on which a job is accepted or tried again. By default it may go at once.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Why a person has to approve it first; empty if nobody has to.
    pub because: Vec<Because>,
    /// When it expires if nobody has approved it.
    pub expires_at: Timestamp,
    /// When it may go at the earliest, if that is later than now.
    pub not_before: Option<Timestamp>,
}

/// A person's decision about a held job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// It was approved; else it was rejected.
    pub approved: bool,
    /// The API key of the decision; none without keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// The actor who decided: the one that the credential is bound to, or the credential itself.
    pub by: ActorHash,
    /// When.
    pub at: Timestamp,
}
