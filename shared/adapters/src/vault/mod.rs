//! How vaults seal: AES-256-GCM under a random nonce, bound to a place. [`LocalVault`] holds its key; the vault of
//! the feature `aws` takes data keys from AWS KMS.

mod local;

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use engine::ports::{Place, VaultError};
pub use local::{KeyError, LocalVault};

/// A key, ready to seal. A text is at most 64 GiB, and one key seals far fewer than 2^32 of them.
#[derive(Clone)]
pub(crate) struct SealingKey(Aes256Gcm);

impl SealingKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Gcm::new_from_slice(key).expect("an AES-256 key has 32 bytes"))
    }

    /// Base64url of nonce (96 random bits) and ciphertext.
    pub(crate) fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<String, VaultError> {
        let mut nonce = [0; 12];
        getrandom::fill(&mut nonce).map_err(|error| VaultError::unavailable(error.to_string()))?;
        let ciphertext = self
            .0
            .encrypt(&Nonce::from(nonce), Payload { msg: plaintext, aad: &associated_data(place) })
            .map_err(|_| VaultError::unavailable("the text is too long to be sealed"))?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &ciphertext].concat()))
    }

    /// Opens the result of [`SealingKey::seal`] for the same place. Fails if it was changed.
    pub(crate) fn open(&self, place: &Place<'_>, sealed: &str) -> Result<Vec<u8>, VaultError> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| VaultError::DoesNotOpen)?;
        let (nonce, ciphertext) = bytes.split_first_chunk::<12>().ok_or(VaultError::DoesNotOpen)?;
        self.0
            .decrypt(&Nonce::from(*nonce), Payload { msg: ciphertext, aad: &associated_data(place) })
            .map_err(|_| VaultError::DoesNotOpen)
    }
}

/// Workspace, purpose and id, each with its length, so that no two places are equal.
fn associated_data(place: &Place<'_>) -> Vec<u8> {
    let mut data = Vec::new();
    for part in [place.workspace.as_str(), place.purpose.as_str(), &place.id] {
        data.extend((part.len() as u64).to_be_bytes());
        data.extend(part.as_bytes());
    }
    data
}
