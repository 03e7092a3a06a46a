//! A backup is a tar file. Its last entry lists all others with their hashes: without it, or with another content, it is
//! not whole.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use coattail::id::IssuerHash;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::BackupError;

/// What a backup says of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// [`FORMAT`].
    pub(super) format: u32,
    /// Name and version of the program that made it.
    pub(super) software: String,
    /// Whose it is.
    pub(super) issuer: IssuerHash,
    /// When it was made (RFC 3339).
    pub(super) created: String,
    /// SHA-256 of each file, in hexadecimal, by its path.
    pub(super) files: BTreeMap<String, String>,
}

/// Writes a backup.
pub(super) struct Writer<W: Write> {
    tar: Builder<W>,
    files: BTreeMap<String, String>,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(to: W) -> Self {
        Self { tar: Builder::new(to), files: BTreeMap::new() }
    }

    /// Adds a file, a link, or a folder with all that is in it, under a name. Sockets and the like are left out.
    pub(super) fn add(&mut self, from: &Path, name: &Path) -> io::Result<()> {
        let metadata = fs::symlink_metadata(from)?;
        let mut header = Header::new_gnu();
        header.set_mode(metadata.permissions().mode() & 0o777);
        header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or(0));
        header.set_size(0);
        if metadata.is_dir() {
            header.set_entry_type(EntryType::Directory);
            self.tar.append_data(&mut header, name, io::empty())?;
            for entry in fs::read_dir(from)? {
                let entry = entry?;
                self.add(&entry.path(), &name.join(entry.file_name()))?;
            }
        } else if metadata.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            self.tar.append_link(&mut header, name, fs::read_link(from)?)?;
        } else if metadata.is_file() {
            header.set_size(metadata.len());
            let mut content = Hashing::new(File::open(from)?);
            self.tar.append_data(&mut header, name, &mut content)?;
            if content.bytes != metadata.len() {
                return Err(io::Error::other("it became shorter while it was read"));
            }
            self.files.insert(text(name)?, content.finish());
        }
        Ok(())
    }

    /// Adds the list, and returns what all was written to.
    pub(super) fn finish(mut self, issuer: IssuerHash, created: String) -> io::Result<W> {
        let software = concat!("coattail/", env!("CARGO_PKG_VERSION")).to_owned();
        let manifest = Manifest { format: FORMAT, software, issuer, created, files: self.files };
        let list = serde_json::to_vec_pretty(&manifest)?;
        let mut header = Header::new_gnu();
        header.set_mode(0o600);
        header.set_size(list.len() as u64);
        self.tar.append_data(&mut header, MANIFEST, list.as_slice())?;
        self.tar.into_inner()
    }
}

/// Reads a whole backup, compares it with its list, and puts what is in it into a folder, if one is given.
///
/// What it says of paths and links is not trusted: nothing is written outside of the folder.
pub(super) fn read(path: &Path, into: Option<&Path>) -> Result<Manifest, BackupError> {
    let io = |source| BackupError::Io { path: path.to_owned(), source };
    let damaged = |what: String| BackupError::Damaged { path: path.to_owned(), what };
    let mut tar = tar::Archive::new(File::open(path).map_err(io)?);
    let (mut found, mut links, mut list) = (BTreeMap::new(), Vec::new(), None);
    for (n, entry) in tar.entries().map_err(io)?.enumerate() {
        let entry = entry.map_err(|error| match n {
            0 => BackupError::NotABackup { path: path.to_owned() },
            _ => damaged(error.to_string()),
        })?;
        let name = entry.path().map_err(|error| damaged(error.to_string()))?.into_owned();
        if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(damaged(format!("it has a path that leads elsewhere: {}", name.display())));
        }
        let mode = entry.header().mode().unwrap_or(0o600) & 0o777;
        let target = into.map(|folder| folder.join(&name));
        let not_written = |source| BackupError::Io { path: target.clone().unwrap_or_else(|| path.to_owned()), source };
        match entry.header().entry_type() {
            EntryType::Regular if name.as_os_str() == MANIFEST => {
                let mut text = Vec::new();
                entry.take(MAX_MANIFEST).read_to_end(&mut text).map_err(|error| damaged(error.to_string()))?;
                list = Some(text);
            }
            EntryType::Regular => {
                let mut content = Hashing::new(entry);
                match &target {
                    Some(target) => {
                        let mut file = create(target, mode).map_err(not_written)?;
                        io::copy(&mut content, &mut file).map_err(not_written)?;
                    }
                    None => drop(io::copy(&mut content, &mut io::sink()).map_err(io)?),
                }
                found.insert(text(&name).map_err(io)?, content.finish());
            }
            EntryType::Directory => {
                if let Some(target) = &target {
                    DirBuilder::new().recursive(true).mode(mode).create(target).map_err(not_written)?;
                }
            }
            EntryType::Symlink => {
                let to = entry.link_name_bytes().map(|to| PathBuf::from(OsStr::from_bytes(&to)));
                links.extend(to.map(|to| (name, to)));
            }
            other => return Err(damaged(format!("{} is of kind {other:?}", name.display()))),
        }
    }
    let Some(list) = list else {
        return Err(if found.is_empty() {
            BackupError::NotABackup { path: path.to_owned() }
        } else {
            damaged("it ends before its list of files".to_owned())
        });
    };
    let manifest: Manifest = serde_json::from_slice(&list).map_err(|error| damaged(format!("its list: {error}")))?;
    if manifest.format != FORMAT {
        return Err(BackupError::Newer { path: path.to_owned(), found: manifest.format, known: FORMAT });
    }
    if let Some(name) = differing(&manifest.files, &found) {
        return Err(damaged(format!("`{name}` is not what was written")));
    }
    // After all files, so that none is written through a link.
    for (name, to) in links {
        if let Some(folder) = into {
            let target = folder.join(name);
            symlink(to, &target).map_err(|source| BackupError::Io { path: target, source })?;
        }
    }
    Ok(manifest)
}

/// The first path that is not in both with the same hash.
fn differing<'a>(listed: &'a BTreeMap<String, String>, found: &'a BTreeMap<String, String>) -> Option<&'a String> {
    let missing = listed.iter().find(|(name, hash)| found.get(*name) != Some(hash));
    missing.map(|(name, _)| name).or_else(|| found.keys().find(|name| !listed.contains_key(*name)))
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

fn text(path: &Path) -> io::Result<String> {
    let not_text = || io::Error::new(io::ErrorKind::InvalidData, format!("{} is not UTF-8", path.display()));
    path.to_str().map(str::to_owned).ok_or_else(not_text)
}

/// Hashes what is read through it.
struct Hashing<R> {
    from: R,
    hash: Sha256,
    bytes: u64,
}

impl<R> Hashing<R> {
    fn new(from: R) -> Self {
        Self { from, hash: Sha256::new(), bytes: 0 }
    }

    fn finish(self) -> String {
        hex::encode(self.hash.finalize())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

/// The form described here.
const FORMAT: u32 = 1;

/// The name of the list.
const MANIFEST: &str = "backup.json";

/// The longest list, in bytes: some hundred thousand files.
const MAX_MANIFEST: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> IssuerHash {
        IssuerHash::of_public_key("us")
    }

    #[test]
    fn what_was_written_comes_back_with_its_modes_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to, file) = (dir.path().join("from"), dir.path().join("to"), dir.path().join("backup"));
        fs::create_dir_all(from.join("deep/er")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("deep/er/file"), "content").unwrap();
        fs::set_permissions(from.join("deep/er/file"), fs::Permissions::from_mode(0o700)).unwrap();
        symlink("er/file", from.join("deep/link")).unwrap();
        let mut writer = Writer::new(File::create(&file).unwrap());
        writer.add(&from, Path::new("kept")).unwrap();
        writer.finish(issuer(), "now".to_owned()).unwrap();

        assert!(read(&file, None).unwrap().files.keys().eq(["kept/deep/er/file"]));
        assert_eq!(read(&file, Some(&to)).unwrap().issuer, issuer());
        let mode = fs::metadata(to.join("kept/deep/er/file")).unwrap().permissions().mode();
        assert_eq!((fs::read_to_string(to.join("kept/deep/link")).unwrap().as_str(), mode & 0o777), ("content", 0o700));
    }

    /// An archive of one entry that our own writer would not make, and a list of the files in it.
    fn forged(name: &[u8], kind: EntryType, link: Option<&str>) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new());
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(0);
        if let Some(link) = link {
            header.set_link_name(link).unwrap();
        }
        header.set_cksum();
        writer.tar.append(&header, io::empty()).unwrap();
        writer.finish(issuer(), "now".to_owned()).unwrap()
    }

    #[test]
    fn nothing_is_written_outside_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (to, file) = (dir.path().join("to"), dir.path().join("backup"));
        let absolute = dir.path().join("stolen").display().to_string();
        for (name, kind) in [
            ("../stolen", EntryType::Regular),
            (&absolute, EntryType::Regular),
            ("a/../../stolen", EntryType::Directory),
            ("fifo", EntryType::Fifo),
            ("hard", EntryType::Link),
            ("unlisted", EntryType::Regular),
        ] {
            fs::create_dir(&to).unwrap();
            fs::write(&file, forged(name.as_bytes(), kind, Some("/etc/passwd").filter(|_| kind == EntryType::Link)))
                .unwrap();
            assert!(matches!(read(&file, Some(&to)), Err(BackupError::Damaged { .. })), "{name}");
            assert!(!dir.path().join("stolen").exists(), "{name}");
            fs::remove_dir_all(&to).unwrap();
        }
    }
}
