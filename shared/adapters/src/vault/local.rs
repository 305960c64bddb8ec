//! The vault with keys of our own: from the key file, from `TOKEN_KEY`, or from a stored secret.

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

use super::{Form, SealingKey};
use crate::{
    embedded::{make_folder, owned},
    secret::Secret,
};

/// AES-256-GCM with keys held in memory: the first one seals, and each opens what it sealed.
///
/// A sealed text is `v1.<key id>.<base64url of nonce and ciphertext>`, or `v2.…` if it was deflated. The key id is the first 8 hex
/// digits of the key's SHA-256; workspace, purpose and id are the associated data.
pub struct LocalVault {
    secret: Secret,
    /// Whether it makes long texts shorter.
    deflates: bool,
    /// The keys with their ids, of the secret as it was first used. They never change afterwards: other keys might not open
    /// the texts that these sealed.
    keys: OnceCell<Vec<(String, SealingKey)>>,
}

/// There is no usable key. No message contains any of its bytes.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is not a key, nor a list of keys.
    #[error("a key is 32 bytes, written as base64 or as 64 hex digits; several keys are separated by commas")]
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
    /// A vault with keys in the form of `TOKEN_KEY`: each 32 bytes as base64 (either alphabet) or as 64 hex digits, with
    /// commas or line breaks between them.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        read_keys(text).ok_or(KeyError::NotAKey)?;
        Ok(Self::from_secret(Secret::Given(text.into())))
    }

    /// A vault whose keys are a secret in that form. It is read when a text is first sealed or opened.
    pub fn from_secret(secret: Secret) -> Self {
        Self { secret, deflates: true, keys: OnceCell::new() }
    }

    /// A vault with the keys in the file `key` of a folder. Missing ones are created, private to their
    /// owner; processes that do so at the same time end up with the same key. A file
    /// or folder that other users can read, or that belongs to one, is refused. The ledger is in that folder, where bytes cost
    /// less than the time to save them.
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
        let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES));
        file.take(MOST_BYTES as u64).read_to_end(&mut bytes).map_err(failed)?;
        let text = std::str::from_utf8(&bytes).ok();
        let vault = text.and_then(|text| Self::from_text(text).ok()).ok_or(KeyError::NotAKeyFile(path))?;
        Ok(Self { deflates: false, ..vault })
    }

    /// The keys; there is at least one.
    async fn keys(&self) -> Result<&[(String, SealingKey)], VaultError> {
        let read = async || {
            let text = self.secret.get().await.map_err(VaultError::unavailable)?;
            let keys = read_keys(text.expose_secret()).ok_or_else(|| VaultError::unavailable(KeyError::NotAKey))?;
            Ok(keys.iter().map(|key| (sha256_hex(&**key)[..8].to_owned(), SealingKey::new(key))).collect())
        };
        Ok(self.keys.get_or_try_init(read).await?)
    }

    async fn seal_as(&self, form: Form, place: &Place<'_>, plaintext: &[u8]) -> Result<Sealed, VaultError> {
        let (id, key) = &self.keys().await?[0];
        Ok(Sealed(format!("v{}.{id}.{}", form as u8, key.seal(form, place, plaintext)?)))
    }
}

#[async_trait]
impl Vault for LocalVault {
    async fn seal(&self, place: &Place<'_>, plaintext: &[u8]) -> Result<Sealed, VaultError> {
        let form = if self.deflates { Form::for_text(plaintext) } else { Form::Whole };
        self.seal_as(form, place, plaintext).await
    }

    async fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Vec<u8>, VaultError> {
        let (form, rest) = Form::read('v', &sealed.0)?;
        let (sealed_by, text) = rest.split_once('.').ok_or(VaultError::DoesNotOpen)?;
        // Two keys may have the same short id.
        let mut keys = self.keys().await?.iter().filter(|(id, _)| id == sealed_by);
        keys.find_map(|(_, key)| key.open(form, place, text).ok()).ok_or(VaultError::DoesNotOpen)
    }

    async fn reseal(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Option<Sealed>, VaultError> {
        let text = Zeroizing::new(self.open(place, sealed).await?);
        let (form, rest) = Form::read('v', &sealed.0)?;
        let (id, _) = &self.keys().await?[0];
        let is_current = rest.starts_with(&format!("{id}."));
        // In the form that it had, so that it is as long.
        if is_current { Ok(None) } else { Ok(Some(self.seal_as(form, place, &text).await?)) }
    }
}

/// The most bytes of a key file.
const MOST_BYTES: usize = 4096;

fn read_keys(text: &str) -> Option<Vec<Zeroizing<[u8; 32]>>> {
    let items = text.split([',', '\n']).map(str::trim).filter(|item| !item.is_empty());
    items.map(read_key).collect::<Option<Vec<_>>>().filter(|keys| !keys.is_empty())
}

fn read_key(text: &str) -> Option<Zeroizing<[u8; 32]>> {
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

    #[tokio::test]
    async fn of_several_keys_the_first_seals_and_all_open() {
        let [old, new, other] = [1, 2, 3].map(|byte| STANDARD.encode([byte; 32]));
        let vault = |text: &str| LocalVault::from_text(text).unwrap();
        let workspace = workspace();
        let place = Place::new(&workspace, Purpose::Plan, "1");
        let by_old = vault(&old).seal(&place, b"text").await.unwrap();
        for list in [
            format!("{new},{old}"),
            format!("{new} , {old},"),
            format!(",{new},,{old}"),
            format!("{new}\n{old}\n"),
            format!("{new}\r\n{old}"),
            format!("{new},{other},{old}"),
            format!("{new},{new},{old}"),
        ] {
            let both = vault(&list);
            assert_eq!(both.open(&place, &by_old).await.unwrap(), b"text", "{list}");
            let sealed = both.seal(&place, b"text").await.unwrap();
            assert!(opens(&vault(&new), &sealed).await && !opens(&vault(&old), &sealed).await, "{list}");
            let again = both.reseal(&place, &by_old).await.unwrap().unwrap();
            assert!(opens(&vault(&new), &again).await && again.0.len() == by_old.0.len(), "{list}");
            assert_eq!(both.reseal(&place, &again).await.unwrap(), None, "once is enough");
        }
        assert!(!opens(&vault(&format!("{new},{other}")), &by_old).await);
        let elsewhere = Place::new(&workspace, Purpose::Plan, "2");
        let moved = vault(&format!("{new},{old}")).reseal(&elsewhere, &by_old).await;
        assert!(matches!(moved, Err(VaultError::DoesNotOpen)), "a text does not move to another place");
        for wrong in
            [format!("{new},x"), format!("{new};{old}"), format!("{new} {old}"), ",".to_owned(), format!("{new}{old}")]
        {
            assert!(matches!(LocalVault::from_text(&wrong), Err(KeyError::NotAKey)), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_long_text_is_deflated_and_what_earlier_versions_sealed_opens() {
        let vault = LocalVault::from_text(&"07".repeat(32)).unwrap();
        let workspace = workspace();
        let place = Place::new(&workspace, Purpose::Plan, "1");
        let words =
            |length: usize| (0..).flat_map(|n| format!("word {n} ").into_bytes()).take(length).collect::<Vec<u8>>();
        for (length, version) in [(0, "v1."), (511, "v1."), (512, "v2."), (1_000, "v2."), (300_000, "v2.")] {
            let text = words(length);
            let sealed = vault.seal(&place, &text).await.unwrap();
            assert!(sealed.0.starts_with(version), "{length}: {}", &sealed.0[..20]);
            assert_eq!(vault.open(&place, &sealed).await.unwrap(), text, "{length}");
            assert!(version == "v1." || sealed.0.len() < length, "{length}: it is shorter, in base64 too");
            // A form is a part of what is sealed.
            let other = Sealed(sealed.0.replacen(version, if version == "v1." { "v2." } else { "v1." }, 1));
            assert!(!opens(&vault, &other).await, "{length}");
        }
        for unknown in ["v0.", "v3.", "v.", "v12.", "k1.", "1."] {
            let sealed = vault.seal(&place, b"text").await.unwrap();
            assert!(!opens(&vault, &Sealed(sealed.0.replacen("v1.", unknown, 1))).await, "{unknown}");
        }
        // By version 0.1.0.
        let earlier =
            Sealed("v1.4bb06f8e.AAECAwQFBgcICQoLY6OdHz8z-ygZ06X5mjkBio1ZmO13D1VMz-VZj-zVbr0pO0HeMuVzpQ".to_owned());
        let acme = "acme".parse().unwrap();
        let of_job = Place::new(&acme, Purpose::JobParams, "1");
        assert_eq!(vault.open(&of_job, &earlier).await.unwrap(), br#"{"to":"ana@example.com"}"#);
        // By another program: zlib with the same dictionary, which must never change.
        let by_zlib = "v2.4bb06f8e.AAECAwQFBgcICQoL2xdYfDTHgO0SNCEgpsSVO8IvJ604B0Sfaq_nI6u9BgQwZsnMZ0qShCMEQbrd8XRl";
        let of_plan = Place::new(&acme, Purpose::Plan, "1");
        let text = vault.open(&of_plan, &Sealed(by_zlib.to_owned())).await.unwrap();
        assert!(
            text.starts_with(br#"{"plan":{"plan_id":"1","intent":"send_email""#)
                && text.ends_with(br#""questions":[]}}"#)
        );
        assert_eq!(text.len(), 223);
        let long = vault.seal_as(Form::Whole, &place, &words(5_000)).await.unwrap();
        assert_eq!(vault.open(&place, &long).await.unwrap(), words(5_000));
        // A new key keeps the form, so that the text stays as long.
        let both = LocalVault::from_text(&format!("{},{}", "08".repeat(32), "07".repeat(32))).unwrap();
        let again = both.reseal(&place, &long).await.unwrap().unwrap();
        assert!(again.0.starts_with("v1.") && again.0.len() == long.0.len());
        let deflated = vault.seal(&place, &words(5_000)).await.unwrap();
        let again = both.reseal(&place, &deflated).await.unwrap().unwrap();
        assert!(again.0.starts_with("v2.") && again.0.len() == deflated.0.len());
    }

    #[tokio::test]
    async fn a_key_file_seals_long_texts_as_they_are_and_opens_deflated_ones() {
        let folder = tempfile::tempdir().unwrap();
        let vault = LocalVault::from_file(folder.path()).unwrap();
        let (acme, text) = (workspace(), "word ".repeat(1_000).into_bytes());
        let place = Place::new(&acme, Purpose::Plan, "1");
        let sealed = vault.seal(&place, &text).await.unwrap();
        let deflated = vault.seal_as(Form::Deflated, &place, &text).await.unwrap();
        assert!(sealed.0.starts_with("v1.") && deflated.0.starts_with("v2."));
        for sealed in [sealed, deflated] {
            assert_eq!(vault.open(&place, &sealed).await.unwrap(), text);
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
