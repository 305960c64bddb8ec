//! The vault with one key of our own: from the key file, from `TOKEN_KEY`, or from a stored secret.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use domain::sha256_hex;
use engine::ports::{Place, Sealed, Vault, VaultError};
use secrecy::{ExposeSecret, zeroize::Zeroizing};
use tempfile::NamedTempFile;
use tokio::sync::OnceCell;

use super::SealingKey;
use crate::{
    embedded::{make_folder, owned},
    secret::Secret,
};

/// AES-256-GCM with one key, held in memory.
///
/// A sealed text is `v1.<key id>.<base64url of nonce and ciphertext>`. The key id is the first 8 hex
/// digits of the key's SHA-256; workspace, purpose and id are the associated data.
pub struct LocalVault {
    secret: Secret,
    /// The key and its id, of the secret as it was first used. It never changes afterwards: another key would not open the texts that the
    /// first one sealed.
    key: OnceCell<(String, SealingKey)>,
}

/// There is no usable key. No message contains any of its bytes.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is not a key.
    #[error("a key is 32 bytes, written as base64 or as 64 hex digits")]
    NotAKey,
    /// Other users can read the file.
    #[error("{} can be read by other users; make it private (chmod 600), or replace the key if they may have read it", .0.display())]
    Exposed(PathBuf),
    /// The file does not contain a key.
    #[error("{} does not contain a key: 32 bytes as base64 or as 64 hex digits", .0.display())]
    NotAKeyFile(PathBuf),
    /// The file cannot be read or created.
    #[error("the key file {} cannot be used: {}", path.display(), source)]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl LocalVault {
    /// A vault with a key in the form of `TOKEN_KEY`: 32 bytes as base64 (either alphabet) or as 64 hex digits.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        read_key(text).ok_or(KeyError::NotAKey)?;
        Ok(Self::from_secret(Secret::Given(text.into())))
    }

    /// A vault whose key is a secret in that form. It is read when a text is first sealed or opened.
    pub fn from_secret(secret: Secret) -> Self {
        Self { secret, key: OnceCell::new() }
    }

    /// A vault with the key in the file `key` of a folder. Missing ones are created, private to their
    /// owner; processes that do so at the same time end up with the same key. A file
    /// or folder that other users can read, or that belongs to one, is refused.
    pub fn from_file(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join("key");
        let failed = |source| KeyError::Io { path: path.clone(), source };
        make_folder(folder).map_err(failed)?;
        if !path.try_exists().map_err(failed)? {
            make_key_file(folder, &path).map_err(failed)?;
        }
        let file = File::open(&path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        owned(&path, &found).map_err(failed)?;
        if found.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Exposed(path));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(128));
        file.take(128).read_to_end(&mut bytes).map_err(failed)?;
        let text = std::str::from_utf8(&bytes).ok();
        text.and_then(|text| Self::from_text(text).ok()).ok_or(KeyError::NotAKeyFile(path))
    }

    async fn key(&self) -> Result<&(String, SealingKey), VaultError> {
        let read = async || {
            let text = self.secret.get().await.map_err(VaultError::unavailable)?;
            let key = read_key(text.expose_secret()).ok_or_else(|| VaultError::unavailable(KeyError::NotAKey))?;
            Ok((sha256_hex(&*key)[..8].to_owned(), SealingKey::new(&key)))
        };
        self.key.get_or_try_init(read).await
    }
}

#[async_trait]
impl Vault for LocalVault {
    async fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<Sealed, VaultError> {
        let (id, key) = self.key().await?;
        Ok(Sealed(format!("v1.{id}.{}", key.seal(place, plaintext)?)))
    }

    async fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Vec<u8>, VaultError> {
        let (id, key) = self.key().await?;
        let text = sealed.0.strip_prefix("v1.").and_then(|rest| rest.strip_prefix(id)?.strip_prefix('.'));
        key.open(place, text.ok_or(VaultError::DoesNotOpen)?)
    }
}

fn read_key(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let text = text.trim();
    let mut key = Zeroizing::new([0; 32]);
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        for (place, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
        }
        return Some(key);
    }
    let text = text.trim_end_matches('=');
    let bytes = Zeroizing::new(STANDARD_NO_PAD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).ok()?);
    *key = bytes.as_slice().try_into().ok()?;
    Some(key)
}

/// Writes a new key to a temporary file, private to its owner, then gives it its final name unless another process was
/// faster: no process ever sees half a key, or a second one.
fn make_key_file(folder: &Path, path: &Path) -> io::Result<()> {
    let mut key = Zeroizing::new([0; 32]);
    getrandom::fill(key.as_mut()).map_err(|error| io::Error::other(error.to_string()))?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(Zeroizing::new(STANDARD.encode(key) + "\n").as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => return Err(error.error),
        _ => {}
    }
    // Sealed texts are durable, so the key's name must be as well.
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use domain::WorkspaceId;
    use engine::ports::Purpose;

    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";

    fn workspace() -> WorkspaceId {
        "local".parse().unwrap()
    }

    async fn opens(by: &LocalVault, sealed: &Sealed) -> bool {
        by.open(&Place::new(&workspace(), Purpose::Plan, "1"), sealed).await.is_ok()
    }

    #[tokio::test]
    async fn a_key_may_be_written_in_every_usual_way() {
        let mut key: [u8; 32] = std::array::from_fn(|n| u8::try_from(n).unwrap());
        key[31] = 0xff;
        let sealed = LocalVault::from_text(&STANDARD.encode(key))
            .unwrap()
            .seal(&Place::new(&workspace(), Purpose::Plan, "1"), b"text")
            .await
            .unwrap();
        assert!(sealed.0.starts_with(&format!("v1.{}.", &sha256_hex(&key)[..8])), "{sealed:?}");
        let (padded, bare) = (STANDARD.encode(key), URL_SAFE_NO_PAD.encode(key));
        for text in [HEX, &HEX.to_uppercase(), &padded, &format!(" {bare}\n")] {
            assert!(opens(&LocalVault::from_text(text).unwrap(), &sealed).await, "{text}");
        }
        let two_bytes_short = STANDARD.encode(&key[..30]);
        for text in
            ["", "x", &HEX[..62], &HEX.replace('f', "g"), &HEX.replace("00", "+0"), &two_bytes_short, &"ä".repeat(32)]
        {
            assert!(matches!(LocalVault::from_text(text), Err(KeyError::NotAKey)), "{text}");
        }
    }

    #[test]
    fn no_refusal_prints_the_key() {
        let wrong = format!("{HEX}00");
        let refusal = LocalVault::from_text(&wrong).err().unwrap();
        assert!(!format!("{refusal} {refusal:?}").contains("0001"));
    }

    #[tokio::test]
    async fn processes_that_start_at_once_end_with_one_key() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        let start = std::sync::Barrier::new(16);
        let vaults: Vec<LocalVault> = std::thread::scope(|scope| {
            let begin = || {
                start.wait();
                LocalVault::from_file(&folder).unwrap()
            };
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(begin)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let sealed = vaults[0].seal(&Place::new(&workspace(), Purpose::Plan, "1"), b"text").await.unwrap();
        for vault in &vaults {
            assert!(opens(vault, &sealed).await, "another key");
        }
        assert!(opens(&LocalVault::from_file(&folder).unwrap(), &sealed).await, "another key at the next start");
        let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(files, ["key"], "nothing is left lying about");
        assert_eq!(folder.join("key").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_key_file_that_others_can_read_or_that_holds_no_key_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        LocalVault::from_file(folder.path()).unwrap();
        let path = folder.path().join("key");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(matches!(LocalVault::from_file(folder.path()), Err(KeyError::Exposed(_))));
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        for broken in ["", "half a k", "\u{0}\u{1}", &"A".repeat(100_000)] {
            fs::write(&path, broken).unwrap();
            assert!(matches!(LocalVault::from_file(folder.path()), Err(KeyError::NotAKeyFile(_))));
        }
    }
}
