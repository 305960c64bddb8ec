use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::InvalidId;

/// A company whose service carries actions out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Gmail.
    Google,
    /// Outlook, by Microsoft Graph.
    Microsoft,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 2] = [Self::Google, Self::Microsoft];

    /// The provider's name in requests, variables and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Microsoft => "microsoft",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::ALL.into_iter().find(|p| p.as_str() == text).ok_or(InvalidId("a provider is google or microsoft"))
    }
}

/// Which way a job's action goes out. Fixed when the job is accepted: a mail that was meant for
/// the outbox is never sent because an account was connected meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Written to the outbox.
    Sandbox,
    /// Sent by the provider.
    Live,
}

impl FromStr for Via {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text {
            "sandbox" => Ok(Self::Sandbox),
            "live" => Ok(Self::Live),
            _ => Err(InvalidId("must be sandbox or live")),
        }
    }
}
