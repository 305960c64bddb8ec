//! The data folder: private to its owner, and to one server.

use std::{
    fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The folder of the embedded ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another server uses it.
    #[error("another server is already running on {}; stop it first, or set ORCHESTRATOR_DATA to another folder", .0.display())]
    Taken(PathBuf),
    /// It cannot be created, read or written.
    #[error("{} cannot be used: {}", path.display(), source)]
    Io {
        /// The folder.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
}

/// Locks a folder for one server, until it is dropped or its process ends in any way. The
/// command line may still open the ledger.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
}

/// The name of the ledger's file.
pub(super) const LEDGER: &str = "ledger.db";
/// The name of the lock's file.
const LOCK: &str = "server.lock";
/// How the names of our files begin; the last are those of a key that is being written.
const OURS: [&str; 4] = ["ledger.", LOCK, "key", ".tmp"];
/// What a server without keys writes into it.
const KEYLESS: &[u8] = b"keyless";

impl FolderLock {
    /// Locks the folder. If it is missing, it is created with mode 0700.
    pub fn acquire(folder: &Path) -> Result<Self, FolderError> {
        let unusable = |source| FolderError::Io { path: folder.to_owned(), source };
        make_folder(folder).map_err(unusable)?;
        let file = open_private(&folder.join(LOCK)).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(FolderError::Taken(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// Notes for [`FolderLock::is_keyless`] whether this server runs without keys.
    pub fn set_keyless(&self, keyless: bool) -> io::Result<()> {
        self.file.set_len(0)?;
        if keyless { self.file.write_all_at(KEYLESS, 0) } else { Ok(()) }
    }

    /// Whether there is a ledger in a folder.
    pub fn has_ledger(folder: &Path) -> bool {
        folder.join(LEDGER).exists()
    }

    /// Whether a server without keys is running on a folder.
    pub fn is_keyless(folder: &Path) -> bool {
        // The note of a server that has ended is still there, but its lock is not.
        let noted = fs::read(folder.join(LOCK)).is_ok_and(|note| note == KEYLESS);
        noted && matches!(Self::acquire(folder), Err(FolderError::Taken(_)))
    }
}

/// Creates a folder that only its owner can use, or makes it so if it holds nothing but what is ours. Another one stays as
/// it is, since something else may need it so; it is refused if others can write to it.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = folder.metadata()?;
    owned(folder, &found)?;
    let mode = found.permissions().mode();
    if mode & 0o077 != 0 {
        close(folder, mode)?;
    }
    Ok(())
}

fn close(folder: &Path, mode: u32) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if !OURS.iter().any(|ours| name.to_string_lossy().starts_with(ours)) {
            // Our files are private wherever they are, but a user with write permission could replace them.
            let is_safe = mode & 0o022 == 0;
            return if is_safe { Ok(()) } else { Err(refused(folder, "other users may write to it", "chmod 700")) };
        }
    }
    fs::set_permissions(folder, PermissionsExt::from_mode(0o700))
}

/// Opens a file, creates it if it is missing, and makes it private to its owner.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let found = file.metadata()?;
    owned(path, &found)?;
    if found.permissions().mode() & 0o077 != 0 {
        file.set_permissions(PermissionsExt::from_mode(0o600))?;
    }
    Ok(file)
}

/// Refuses what belongs to another user, who could read and replace it at any time.
pub(crate) fn owned(path: &Path, found: &Metadata) -> io::Result<()> {
    let (owner, user) = (found.uid(), rustix::process::geteuid().as_raw());
    if owner == user {
        return Ok(());
    }
    let why = format!("it belongs to the user {owner}, and this process is of the user {user}");
    Err(refused(path, &why, &format!("chown {user}")))
}

fn refused(path: &Path, why: &str, command: &str) -> io::Error {
    let says = format!("{why}. If nobody else has changed anything there, run {command} {}", path.display());
    io::Error::new(io::ErrorKind::PermissionDenied, says)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_on_a_folder_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        let first = FolderLock::acquire(&folder).unwrap();
        let refusal = FolderLock::acquire(&folder).unwrap_err();
        assert!(matches!(refusal, FolderError::Taken(_)), "{refusal}");
        assert!(refusal.to_string().contains("another server"));
        for keyless in [true, false, true] {
            first.set_keyless(keyless).unwrap();
            assert_eq!(FolderLock::is_keyless(&folder), keyless);
        }
        drop(first);
        assert!(!FolderLock::is_keyless(&folder), "it has ended");
        FolderLock::acquire(&folder).unwrap();
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_others_can_use_is_made_private_or_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let open_to = |mode| fs::set_permissions(folder.path(), PermissionsExt::from_mode(mode)).unwrap();
        let mode = || folder.path().metadata().unwrap().permissions().mode() & 0o7777;
        let modes = [0o755, 0o750, 0o701, 0o710, 0o770, 0o1777, 0o702];
        for open in modes {
            open_to(open);
            FolderLock::acquire(folder.path()).unwrap();
            assert_eq!(mode(), 0o700, "{open:o}");
            fs::write(folder.path().join("ledger.db"), "").unwrap();
        }
        let other = folder.path().join("passwords.txt");
        fs::write(&other, "").unwrap();
        for open in modes {
            open_to(open);
            let locked = FolderLock::acquire(folder.path());
            assert_eq!(locked.is_err(), [0o770, 0o1777, 0o702].contains(&open), "{open:o}");
            if let Err(refusal) = locked {
                let (refusal, command) = (refusal.to_string(), format!("chmod 700 {}", folder.path().display()));
                assert!(refusal.contains("other users") && refusal.contains(&command), "{open:o}: {refusal}");
            }
            assert_eq!(mode(), open, "something else may need it as it is");
        }
        open_to(0o700);
        FolderLock::acquire(folder.path()).unwrap();
    }

    #[test]
    fn what_belongs_to_another_user_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let user = rustix::process::geteuid().as_raw();
        let mine = fs::metadata(folder.path()).unwrap();
        owned(folder.path(), &mine).unwrap();
        // A process file of the kernel's belongs to root; as root, whatever can be given away is.
        let theirs = if user == 0 {
            std::os::unix::fs::chown(folder.path(), Some(65_534), None).unwrap();
            folder.path()
        } else {
            Path::new("/")
        };
        let owner = fs::metadata(theirs).unwrap().uid();
        for refusal in [make_folder(theirs), owned(theirs, &fs::metadata(theirs).unwrap())] {
            let says = refusal.unwrap_err().to_string();
            assert!(says.contains(&format!("the user {owner}")) && says.contains(&format!("chown {user} ")), "{says}");
        }
        for file in ["key", LOCK] {
            let path = folder.path().join(file);
            fs::write(&path, "").unwrap();
            if user == 0 {
                std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
                assert!(open_private(&path).unwrap_err().to_string().contains("65534"));
            }
        }
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refusal = FolderLock::acquire(&file.path().join("data")).unwrap_err();
        assert!(matches!(refusal, FolderError::Io { .. }), "{refusal}");
    }
}
