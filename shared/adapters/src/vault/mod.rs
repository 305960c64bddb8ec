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
use secrecy::zeroize::Zeroizing;

use crate::deflate::{WORTH_DEFLATING, deflated, inflated};

/// What most sealed texts repeat, so that they refer to it, what is most frequent at its end. It never changes: the texts
/// that refer to it need it.
const DICTIONARY: &[u8] = include_bytes!("dictionary.txt");

/// How a text lies in its seal. Earlier versions of the program only know the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is: `v1.…`.
    Whole = 1,
    /// Deflated (RFC 1951) behind [`DICTIONARY`], since AWS bills the ledger by the kilobyte: `v2.…`.
    Deflated = 2,
}

impl Form {
    /// The form that suits a text best.
    pub(crate) fn for_text(text: &[u8]) -> Self {
        if text.len() < WORTH_DEFLATING { Self::Whole } else { Self::Deflated }
    }

    /// Reads the form of a sealed text, whose first letter names the vault, and the rest of the text.
    pub(crate) fn read(vault: char, sealed: &str) -> Result<(Self, &str), VaultError> {
        let (form, rest) = sealed.strip_prefix(vault).and_then(|rest| rest.split_once('.')).unwrap_or_default();
        match form {
            "1" => Ok((Self::Whole, rest)),
            "2" => Ok((Self::Deflated, rest)),
            _ => Err(VaultError::DoesNotOpen),
        }
    }
}

/// A key, ready to seal. A text is at most 64 GiB, and one key seals far fewer than 2^32 of them.
#[derive(Clone)]
pub(crate) struct SealingKey(Aes256Gcm);

impl SealingKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Gcm::new_from_slice(key).expect("an AES-256 key has 32 bytes"))
    }

    /// Base64url of nonce (96 random bits) and ciphertext.
    pub(crate) fn seal(&self, form: Form, place: &Place<'_>, plaintext: &[u8]) -> Result<String, VaultError> {
        let deflated = (form == Form::Deflated).then(|| Zeroizing::new(deflated(DICTIONARY, plaintext)));
        let plaintext = deflated.as_ref().map_or(plaintext, |deflated| deflated);
        let mut nonce = [0; 12];
        getrandom::fill(&mut nonce).map_err(|error| VaultError::unavailable(error.to_string()))?;
        let ciphertext = self
            .0
            .encrypt(&Nonce::from(nonce), Payload { msg: plaintext, aad: &associated_data(form, place) })
            .map_err(|_| VaultError::unavailable("the text is too long to be sealed"))?;
        Ok(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &ciphertext].concat()))
    }

    /// Opens the result of [`SealingKey::seal`] for the same place. Fails if it was changed.
    pub(crate) fn open(&self, form: Form, place: &Place<'_>, sealed: &str) -> Result<Vec<u8>, VaultError> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| VaultError::DoesNotOpen)?;
        let (nonce, ciphertext) = bytes.split_first_chunk::<12>().ok_or(VaultError::DoesNotOpen)?;
        let text = self
            .0
            .decrypt(&Nonce::from(*nonce), Payload { msg: ciphertext, aad: &associated_data(form, place) })
            .map_err(|_| VaultError::DoesNotOpen)?;
        match form {
            Form::Whole => Ok(text),
            Form::Deflated => inflated(DICTIONARY, &Zeroizing::new(text)).ok_or(VaultError::DoesNotOpen),
        }
    }
}

/// Workspace, purpose and id, each with its length, so that no two places are equal; and the form, so that no text is
/// opened in another one.
fn associated_data(form: Form, place: &Place<'_>) -> Vec<u8> {
    let mut data = Vec::new();
    for part in [place.workspace.as_str(), place.purpose.as_str(), &place.id] {
        data.extend((part.len() as u64).to_be_bytes());
        data.extend(part.as_bytes());
    }
    // A whole text is sealed as it was before there was another form.
    data.extend((form != Form::Whole).then_some(form as u8));
    data
}
