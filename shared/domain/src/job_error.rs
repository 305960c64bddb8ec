//! Why jobs end without a result.

use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr, VariantArray};

/// Why a job ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct JobError {
    /// The reason, for programs.
    #[cfg_attr(feature = "utoipa", schema(value_type = String, example = "outcome-unknown"))]
    pub code: JobErrorCode,
    /// What happened, for people; without secrets, addresses or contents.
    pub message: String,
    /// Whether a retry may help.
    pub retriable: bool,
    /// What a person can do.
    pub remediation: String,
}

/// The kinds of [`JobError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Display, IntoStaticStr, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum JobErrorCode {
    /// The action is no longer on the allowlist.
    ActionNotAllowed,
    /// A recipient's domain is no longer allowed.
    RecipientNotAllowed,
    /// The rollout gate denied the job.
    RolloutDenied,
    /// The provider is no longer connected.
    ConnectionRequired,
    /// The provider no longer accepts our token.
    ReauthRequired,
    /// The provider refused the content.
    ProviderRejected,
    /// The provider refused the account as it is, such as one that is suspended or has no mailbox.
    AccountProblem,
    /// The provider refused this deployment's client, or an organisation's policy did.
    SetupProblem,
    /// The provider failed or was unreachable, before any effect.
    ProviderUnavailable,
    /// The effect may or may not have happened.
    OutcomeUnknown,
    /// The job waited for a day.
    GaveUp,
    /// The caller cancelled the job.
    Cancelled,
    /// A person rejected the held job.
    ApprovalRejected,
    /// Nobody approved the held job in time.
    ApprovalExpired,
    /// The contents are not the ones that were accepted.
    PayloadChanged,
    /// A person resolved an unknown outcome as not sent.
    NotSent,
    /// Our own fault, before any effect.
    Internal,
}

impl JobErrorCode {
    /// Every code.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The code as it is written.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
