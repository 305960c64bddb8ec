use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a job ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    /// Which kind of reason.
    pub code: JobErrorCode,
    /// What happened, for a person; without secrets, addresses or contents.
    pub message: String,
    /// Whether `/retry` may help.
    pub retriable: bool,
    /// What a person can do.
    pub remediation: String,
}

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// The kinds of [`JobError`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum JobErrorCode {
            $($(#[$doc])* #[serde(rename = $text)] $name),+
        }

        impl JobErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The code as it is written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

error_codes! {
    /// The allowlist no longer holds the action.
    ActionNotAllowed = "action-not-allowed",
    /// A recipient's domain is no longer allowed.
    RecipientNotAllowed = "recipient-not-allowed",
    /// The rollout gate says no.
    RolloutDenied = "rollout-denied",
    /// The provider is no longer connected.
    ConnectionRequired = "connection-required",
    /// The provider no longer takes our token.
    ReauthRequired = "reauth-required",
    /// The provider refused the mail itself.
    ProviderRejected = "provider-rejected",
    /// The provider could not be reached, or was failing, before anything was sent.
    ProviderUnavailable = "provider-unavailable",
    /// The send may or may not have happened.
    OutcomeUnknown = "outcome-unknown",
    /// It waited for a day.
    GaveUp = "gave-up",
    /// The caller cancelled it.
    Cancelled = "cancelled",
    /// A person said that the mail of an unknown outcome was not sent.
    NotSent = "not-sent",
    /// Our own fault, before anything was sent.
    Internal = "internal",
}

impl fmt::Display for JobErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
