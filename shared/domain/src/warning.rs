//! What a person should know before an action is carried out.

use serde::{Deserialize, Serialize};

/// What a person should know about a plan or a preview before it is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct Warning {
    /// What kind of warning it is.
    pub code: WarningCode,
    /// A JSON Pointer (RFC 6901) to what it is about.
    pub field: Option<String>,
    /// The warning, for a person.
    pub text: String,
}

impl Warning {
    /// The same warning seen from further up: `/text` under `/actions/0/params` is `/actions/0/params/text`.
    #[must_use]
    pub fn under(self, prefix: &str) -> Self {
        Self { field: self.field.map(|field| format!("{prefix}{field}")), ..self }
    }
}

/// The kinds of [`Warning`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub enum WarningCode {
    /// The provider does not deliver a part of what was asked for, such as a text beside HTML.
    NotDelivered,
    /// The action is not allowed here, and executing it would be refused.
    NotAllowed,
    /// No account of the provider is connected.
    NotConnected,
    /// The account's owner has to consent again.
    NeedsReauth,
    /// A text names a host that the person did not name.
    ForeignLink,
    /// The HTML says other things than the text.
    HtmlDiffers,
    /// A text has characters that nobody sees, or that change the order in which it is read.
    HiddenCharacters,
    /// A text holds a blank to fill in, such as `[Your Name]`.
    Placeholder,
    /// A text says that something is attached, and nothing is.
    MissingAttachment,
    /// The same recipients got the same content within a day, or may get it.
    Duplicate,
    /// A recipient is outside of the operator's own domains.
    External,
    /// The action ends after its draft, and nothing is sent.
    DraftOnly,
}

impl WarningCode {
    /// Whether a person has to look before the action is carried out. Other warnings are only shown.
    pub fn stops(self) -> bool {
        !matches!(self, Self::External | Self::DraftOnly)
    }
}
