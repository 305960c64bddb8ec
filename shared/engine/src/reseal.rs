//! Seals the ledger's texts again, so that a key can be taken out of use.

use std::{collections::BTreeMap, sync::Arc};

use crate::ports::{LedgerError, Purpose, SealedText, SealedTexts, Vault, VaultError};

/// A server that still seals with another key would keep the passes going for ever.
const MOST_PASSES: usize = 5;

/// Seals the ledger's texts again with the vault's first key.
pub struct Resealer {
    pub(crate) texts: Arc<dyn SealedTexts>,
    pub(crate) vault: Arc<dyn Vault>,
}

/// What became of the sealed texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealed {
    /// The counts of each purpose.
    pub texts: BTreeMap<Purpose, Counts>,
    /// How many records cannot be read at all.
    pub unreadable_records: usize,
}

/// The counts of one purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many texts this run sealed again.
    pub resealed: usize,
    /// How many are sealed with the first key now.
    pub current: usize,
    /// How many open with none of the keys.
    pub unreadable: usize,
}

/// The work stopped. What is done stays done, and another run continues.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResealError {
    /// The ledger did not answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// There is no key now.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Resealed {
    /// How many texts and records cannot be read.
    pub fn unreadable(&self) -> usize {
        self.texts.values().map(|counts| counts.unreadable).sum::<usize>() + self.unreadable_records
    }

    fn resealed(&self) -> usize {
        self.texts.values().map(|counts| counts.resealed).sum()
    }
}

impl Resealer {
    /// Seals every text again that another key than the first one sealed. It may be stopped at any time: another run skips
    /// what is done. A server may run at the same time, and put back what it read before: another pass finds that.
    pub async fn reseal(&self) -> Result<Resealed, ResealError> {
        let mut all = Resealed::default();
        for _ in 0..MOST_PASSES {
            let before = all.resealed();
            self.pass(&mut all).await?;
            if all.resealed() == before {
                break;
            }
        }
        Ok(all)
    }

    async fn pass(&self, all: &mut Resealed) -> Result<(), ResealError> {
        all.unreadable_records = 0;
        for counts in all.texts.values_mut() {
            *counts = Counts { resealed: counts.resealed, ..Counts::default() };
        }
        let mut after = None;
        loop {
            let page = self.texts.sealed_texts(after).await?;
            all.unreadable_records += page.unreadable;
            for text in &page.texts {
                self.reseal_one(text, all.texts.entry(text.purpose).or_default()).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn reseal_one(&self, text: &SealedText, counts: &mut Counts) -> Result<(), ResealError> {
        match self.vault.reseal(&text.place(), &text.sealed).await {
            Ok(None) => counts.current += 1,
            Ok(Some(again)) => {
                // It may have been erased or replaced meanwhile.
                let replaced = usize::from(self.texts.replace_sealed(text, &again).await?);
                counts.resealed += replaced;
                counts.current += replaced;
            }
            Err(error @ VaultError::Unavailable(_)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, sealed.purpose = text.purpose.as_str(), sealed.id = text.id, "not sealed again");
                counts.unreadable += 1;
            }
        }
        Ok(())
    }
}
