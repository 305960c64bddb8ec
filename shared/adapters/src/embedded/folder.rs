use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The folder of the embedded ledger cannot be worked in.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another server has it.
    #[error("another server is already running on {}; stop it first, or set ORCHESTRATOR_DATA to another folder", .0.display())]
    Taken(PathBuf),
    /// It cannot be read or written.
    #[error("{} cannot be used: {}", path.display(), source)]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Keeps a folder to one server, until it is dropped or its process ends, however it ends. The
/// command line may open the ledger beside it.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the folder, which is made with mode 0700 when it is missing.
    pub fn acquire(folder: &Path) -> Result<Self, FolderError> {
        let unusable = |source| FolderError::Io { path: folder.to_owned(), source };
        make_folder(folder).map_err(unusable)?;
        let file = open_private(&folder.join("server.lock")).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(FolderError::Taken(folder.to_owned())),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

/// Makes a folder that only its owner can look into; one that is there is left as it is.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Opens a file that only its owner can read; one that is there already is closed to others.
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
    fn a_folder_is_for_one_server_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        let first = FolderLock::acquire(&folder).unwrap();
        let refusal = FolderLock::acquire(&folder).unwrap_err();
        assert!(matches!(refusal, FolderError::Taken(_)), "{refusal}");
        assert!(refusal.to_string().contains("another server"));
        drop(first);
        FolderLock::acquire(&folder).unwrap();
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let refusal = FolderLock::acquire(&file.path().join("data")).unwrap_err();
        assert!(matches!(refusal, FolderError::Io { .. }), "{refusal}");
    }
}
