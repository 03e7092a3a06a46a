//! Files of keys: private ones stay private, and each is written whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use coattail::kill_point;
use zeroize::Zeroizing;

use super::KeyError;

/// Reads a private key, unless others can read it, too.
pub fn read_private(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let failed = |source| KeyError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Asked of the open file: what is at the path may change meanwhile.
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    read(file, path).map(Zeroizing::new)
}

/// Reads a public key or a certificate.
pub fn read_public(path: &Path) -> Result<String, KeyError> {
    let failed = |source| KeyError::Read { path: path.to_owned(), source };
    read(File::open(path).map_err(failed)?, path)
}

/// Writes a private key that only the owner can read, replacing what is there.
pub fn write_private(path: &Path, pem: &str) -> Result<(), KeyError> {
    replace(path, pem.as_bytes(), 0o600).map_err(|source| KeyError::Write { path: path.to_owned(), source })
}

/// Writes a public key or a certificate, replacing what is there.
pub fn write_public(path: &Path, pem: &str) -> Result<(), KeyError> {
    replace(path, pem.as_bytes(), 0o644).map_err(|source| KeyError::Write { path: path.to_owned(), source })
}

/// Puts a file that was written by these functions in the place of another.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), KeyError> {
    let failed = |source| KeyError::Write { path: to.to_owned(), source };
    fs::rename(from, to).map_err(failed)?;
    sync_folder(to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))).map_err(failed)
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), KeyError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(KeyError::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// After a crash at any line the file has its old content or the new one, and is on disk once this returns.
/// A temporary file may stay behind; it is never read.
fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made with mode 0600, so a private key is never readable, not even for a moment.
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    temporary.write_all(content)?;
    temporary.as_file().set_permissions(Permissions::from_mode(mode))?;
    temporary.as_file().sync_all()?;
    kill_point!("key-file.before-rename");
    temporary.persist(path)?;
    kill_point!("key-file.renamed");
    sync_folder(folder)
}

/// Puts the names in a folder on disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

fn read(file: File, path: &Path) -> Result<String, KeyError> {
    // Of the final size from the start: a vector that grows leaves copies of the secret behind.
    let mut text = String::with_capacity(MAX_PEM as usize + 1);
    let size = file
        .take(MAX_PEM + 1)
        .read_to_string(&mut text)
        .map_err(|source| KeyError::Read { path: path.to_owned(), source })?;
    if size as u64 > MAX_PEM {
        return Err(KeyError::TooLarge { what: path.display().to_string(), max: MAX_PEM });
    }
    Ok(text)
}

/// The largest PEM, in bytes: an RSA key of 16,384 bits fits.
pub const MAX_PEM: u64 = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s9_private_keys_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a key.pem");
        write_private(&path, "secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(*read_private(&path).unwrap(), "secret");

        for mode in [0o640, 0o604, 0o644, 0o601, 0o620] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = read_private(&path).unwrap_err();
            assert!(matches!(error, KeyError::Exposed { mode: found, .. } if found == mode), "{error}");
            assert_eq!(error.hint().unwrap(), format!("chmod 600 '{}'", path.display()));
        }
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
        assert!(read_private(&path).is_ok());
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key.pub");
        write_public(&path, "a longer old text").unwrap();
        write_public(&path, "new").unwrap();
        assert_eq!(read_public(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn s8_large_files_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        for (size, fits) in [(MAX_PEM, true), (MAX_PEM + 1, false), (MAX_PEM * 100, false)] {
            write_public(&path, &"x".repeat(size as usize)).unwrap();
            assert_eq!(read_public(&path).is_ok(), fits, "{size}");
        }
        assert!(matches!(read_public(&dir.path().join("none")), Err(KeyError::Read { .. })));
    }
}
