//! Providers.

use strum::{Display, EnumString, IntoStaticStr, VariantArray};

use crate::{InvalidId, serde_text::serde_as_text};

/// A company whose service carries out actions.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Display, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "snake_case", parse_err_ty = InvalidId, parse_err_fn = unknown_provider)]
pub enum Provider {
    /// Google.
    Google,
    /// Microsoft.
    Microsoft,
}

serde_as_text!(Provider);

impl Provider {
    /// Every provider.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The provider's name in requests, variables and labels.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn unknown_provider(_: &str) -> InvalidId {
    InvalidId("there is no such provider")
}
