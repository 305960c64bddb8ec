//! Every sealed text of the ledger, for a change of the key.

use async_trait::async_trait;
use domain::WorkspaceId;

use super::{LedgerError, Place, Purpose, Sealed};

/// Every sealed text of the ledger.
#[async_trait]
pub trait SealedTexts: Send + Sync {
    /// The sealed texts of some records, the first ones or those behind `after`. What is written meanwhile may be missing.
    async fn sealed_texts(&self, after: Option<String>) -> Result<SealedPage, LedgerError>;

    /// Puts a sealed text in the place of another, and changes nothing else: no version, no expiry. False if that text is
    /// not there any more.
    async fn replace_sealed(&self, text: &SealedText, with: &Sealed) -> Result<bool, LedgerError>;
}

/// The sealed texts of some records.
#[derive(Debug, Clone, Default)]
pub struct SealedPage {
    /// The texts.
    pub texts: Vec<SealedText>,
    /// How many records should hold one, and cannot be read.
    pub unreadable: usize,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

/// A sealed text with its place.
#[derive(Debug, Clone)]
pub struct SealedText {
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// What it is for.
    pub purpose: Purpose,
    /// The id of what holds it.
    pub id: String,
    /// The text.
    pub sealed: Sealed,
}

impl SealedText {
    /// Where it belongs.
    pub fn place(&self) -> Place<'_> {
        Place::new(&self.workspace, self.purpose, &self.id)
    }
}
