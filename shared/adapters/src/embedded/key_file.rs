use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use base64::{
    Engine as _,
    engine::{
        DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig,
        general_purpose::{STANDARD, URL_SAFE_NO_PAD},
    },
};
use domain::{WorkspaceId, sha256_hex};
use engine::ports::{Purpose, Sealed, Vault, VaultError};
use secrecy::zeroize::Zeroizing;

use super::folder::make_folder;
use crate::seal::{SealingKey, place};

/// AES-256-GCM with one key held in memory.
///
/// A sealed text is `v1.<key id>.<base64url of nonce and ciphertext>`, the key id the first 8 hex
/// digits of the key's SHA-256. Workspace, purpose and id are the associated data.
pub struct LocalVault {
    key_id: String,
    key: SealingKey,
}

/// There is no key to be had; never says anything of its bytes.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is not a key.
    #[error("a key is 32 bytes, written as base64 or as 64 hex digits")]
    NotAKey,
    /// The file can be read by others than its owner.
    #[error("{} can be read by other users; make it private (chmod 600), or replace the key if they may have read it", .0.display())]
    Exposed(PathBuf),
    /// The file holds something else.
    #[error("{} does not hold a key: 32 bytes as base64 or as 64 hex digits", .0.display())]
    NotAKeyFile(PathBuf),
    /// The file cannot be read or made.
    #[error("the key file {} cannot be used: {}", path.display(), source)]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl LocalVault {
    /// A vault with this key.
    pub fn from_key(key: [u8; 32]) -> Self {
        Self::new(&Zeroizing::new(key))
    }

    /// A vault with a key as it stands in `TOKEN_KEY`: 32 bytes as base64 (either alphabet) or as 64 hex digits.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        read_key(text).map(|key| Self::new(&key)).ok_or(KeyError::NotAKey)
    }

    /// A vault with the key of the file `key` in a folder. Both are made when they are missing, for
    /// the owner's eyes only; processes that do so at the same time end with the same key. A file
    /// that others can read is refused.
    pub fn from_file(folder: &Path) -> Result<Self, KeyError> {
        let path = folder.join("key");
        let failed = |source| KeyError::Io { path: path.clone(), source };
        if !path.try_exists().map_err(failed)? {
            make_folder(folder).and_then(|()| make_key_file(folder, &path)).map_err(failed)?;
        }
        let file = File::open(&path).map_err(failed)?;
        if file.metadata().map_err(failed)?.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Exposed(path));
        }
        let mut bytes = Zeroizing::new(Vec::with_capacity(128));
        file.take(128).read_to_end(&mut bytes).map_err(failed)?;
        let key = std::str::from_utf8(&bytes).ok().and_then(read_key);
        key.map(|key| Self::new(&key)).ok_or(KeyError::NotAKeyFile(path))
    }

    fn new(key: &[u8; 32]) -> Self {
        let mut key_id = sha256_hex(key);
        key_id.truncate(8);
        Self { key_id, key: SealingKey::new(key) }
    }
}

impl fmt::Debug for LocalVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalVault").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

#[async_trait]
impl Vault for LocalVault {
    async fn seal(
        &self,
        workspace: &WorkspaceId,
        purpose: Purpose,
        id: &str,
        plaintext: &[u8],
    ) -> Result<Sealed, VaultError> {
        let text = self.key.seal(&place(workspace, purpose, id), plaintext)?;
        Ok(Sealed(format!("v1.{}.{text}", self.key_id)))
    }

    async fn open(
        &self,
        workspace: &WorkspaceId,
        purpose: Purpose,
        id: &str,
        sealed: &Sealed,
    ) -> Result<Vec<u8>, VaultError> {
        let text = sealed
            .0
            .strip_prefix("v1.")
            .and_then(|rest| rest.strip_prefix(self.key_id.as_str())?.strip_prefix('.'))
            .ok_or(VaultError::DoesNotOpen)?;
        self.key.open(&place(workspace, purpose, id), text)
    }
}

fn read_key(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let text = text.trim();
    let mut key = Zeroizing::new([0; 32]);
    if text.len() == 64 {
        // Two digits a byte; anything but a digit ends it, signs too.
        for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
            *byte = digit(digits[0])? << 4 | digit(digits[1])?;
        }
        return Some(key);
    }
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let url_safe = text.contains(['-', '_']);
    let alphabet = if url_safe { base64::alphabet::URL_SAFE } else { base64::alphabet::STANDARD };
    let bytes = Zeroizing::new(GeneralPurpose::new(&alphabet, config).decode(text).ok()?);
    if bytes.len() != key.len() {
        return None;
    }
    key.copy_from_slice(&bytes);
    Some(key)
}

/// Writes a whole new key beside the file, then gives it the file's name unless another process was
/// quicker: nobody ever sees half a key, or a second one.
fn make_key_file(folder: &Path, path: &Path) -> io::Result<()> {
    let mut random = Zeroizing::new([0; 40]);
    getrandom::fill(random.as_mut()).map_err(|error| io::Error::other(error.to_string()))?;
    let (key, name) = random.split_at(32);
    let draft = folder.join(format!("key.{}", URL_SAFE_NO_PAD.encode(name)));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let text = Zeroizing::new(STANDARD.encode(key) + "\n");
    let linked = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| {
        match fs::hard_link(&draft, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    });
    fs::remove_file(&draft)?;
    linked?;
    // What the key seals is durable, so the key's name has to be, too.
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff";

    fn workspace() -> WorkspaceId {
        "local".parse().unwrap()
    }

    async fn opens(by: &LocalVault, sealed: &Sealed) -> bool {
        by.open(&workspace(), Purpose::Plan, "1", sealed).await.is_ok()
    }

    #[tokio::test]
    async fn a_key_may_be_written_in_every_usual_way() {
        let mut key: [u8; 32] = std::array::from_fn(|n| u8::try_from(n).unwrap());
        key[31] = 0xff;
        let sealed = LocalVault::from_key(key).seal(&workspace(), Purpose::Plan, "1", b"text").await.unwrap();
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
    fn nothing_prints_the_key() {
        let printed = format!("{:?}", LocalVault::from_text(HEX).unwrap());
        assert!(!printed.contains("0001") && printed.len() < 60, "{printed}");
        let wrong = format!("{HEX}00");
        let refusal = LocalVault::from_text(&wrong).unwrap_err();
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
        let sealed = vaults[0].seal(&workspace(), Purpose::Plan, "1", b"text").await.unwrap();
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
