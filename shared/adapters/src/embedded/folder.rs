//! The data folder: private to its owner, and to one server.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt},
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

/// The name of the lock's file.
const LOCK: &str = "server.lock";
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

    /// Whether a server without keys is running on a folder.
    pub fn is_keyless(folder: &Path) -> bool {
        // The note of a server that has ended is still there, but its lock is not.
        let noted = fs::read(folder.join(LOCK)).is_ok_and(|note| note == KEYLESS);
        noted && matches!(Self::acquire(folder), Err(FolderError::Taken(_)))
    }
}

/// Creates a folder that only its owner can read, unless it exists.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Opens a file, creates it if it is missing, and makes it private to its owner.
pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(PermissionsExt::from_mode(0o600))?;
    }
    Ok(file)
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
    fn a_folder_that_cannot_be_created_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refusal = FolderLock::acquire(&file.path().join("data")).unwrap_err();
        assert!(matches!(refusal, FolderError::Io { .. }), "{refusal}");
    }
}
