use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use coattail::id::IssuerHash;
use coattail::wire::Failure;
use jiff::Timestamp;
use tempfile::NamedTempFile;

use super::BackupError;
use super::archive::{self, Writer};
use crate::config::{Authentication, Config};
use crate::instance::Instance;
use crate::keys::PublicIdentity;
use crate::keys::file::{read_public, sync_folder};
use crate::store::{Database, copy_database};

/// A backup that was made.
#[derive(Debug)]
pub struct BackedUp {
    /// The file, absolute.
    pub file: PathBuf,
    /// Whose it is.
    pub issuer: IssuerHash,
    /// How large, in bytes.
    pub bytes: u64,
}

/// Writes what an instance is into one file: its database as of one moment, settings and keys, and its plugins if `all`.
/// The service may run. `replace` allows to replace a file that is there.
///
/// The file is private, on disk, and whole once it has its name: what was written is read and compared before.
///
/// # Errors
/// With what failed; there is no new file then.
pub fn back_up(folder: &Path, file: &Path, all: bool, replace: bool) -> Result<BackedUp, Failure> {
    let instance = Instance::open(folder)?;
    let file = std::path::absolute(file).map_err(failed(file))?;
    if !replace && fs::symlink_metadata(&file).is_ok() {
        return Err(BackupError::Exists { path: file }.into());
    }
    let beside = file.parent().unwrap_or(Path::new("/"));
    let config = Config::load(instance.root())?;
    let issuer = PublicIdentity::from_pem(&read_public(&config.validation.public)?)?.issuer();
    // Private, as everything that is made by this is.
    let staging = tempfile::Builder::new().prefix(".coattail-backup-").tempdir_in(beside).map_err(failed(beside))?;
    let written = snapshot(&instance, &config, staging.path(), all, issuer)?;
    let bytes = fs::metadata(written.path()).map_err(failed(&file))?.len();
    archive::read(written.path(), None)?;
    let persisted = if replace { written.persist(&file) } else { written.persist_noclobber(&file) };
    persisted.map_err(|error| match error.error {
        exists if exists.kind() == io::ErrorKind::AlreadyExists => BackupError::Exists { path: file.clone() },
        source => BackupError::Io { path: file.clone(), source },
    })?;
    sync_folder(beside).map_err(failed(beside))?;
    Ok(BackedUp { file, issuer, bytes })
}

/// Database and keys have to fit: which keys were replaced is in the database. So it is done again if a key was replaced
/// meanwhile.
fn snapshot(
    instance: &Instance,
    config: &Config,
    staging: &Path,
    all: bool,
    issuer: IssuerHash,
) -> Result<NamedTempFile, Failure> {
    for _ in 0..ATTEMPTS {
        let copy = staging.join("data.db");
        let _ = fs::remove_file(&copy);
        copy_database(&config.database, &copy)?;
        let retired = {
            let copied = Database::open(&copy)?;
            copied.check()?;
            copied.retired_keys()?
        };
        let written = match write(instance, config, &copy, staging, all, issuer) {
            // A file that was replaced while it was looked for.
            Err(BackupError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => continue,
            written => written?,
        };
        if Database::open(&config.database)?.retired_keys()? == retired {
            return Ok(written);
        }
    }
    Err(BackupError::Changed.into())
}

fn write(
    instance: &Instance,
    config: &Config,
    database: &Path,
    staging: &Path,
    all: bool,
    issuer: IssuerHash,
) -> Result<NamedTempFile, BackupError> {
    let root = instance.root();
    // Beside the folder of the copy, so that it can be renamed to where it belongs.
    let beside = staging.parent().unwrap_or(staging);
    let new = NamedTempFile::with_prefix_in(".coattail-backup-", beside).map_err(failed(beside))?;
    let mut archive = Writer::new(new);
    let mut add = |from: &Path, named: &Path| archive.add(from, named).map_err(failed(from));
    add(database, inside(root, &config.database)?)?;
    for path in [instance.version_file(), instance.config()] {
        add(&path, inside(root, &path)?)?;
    }
    if instance.package().exists() {
        add(&instance.package(), inside(root, &instance.package())?)?;
    }
    add(&instance.keys(), inside(root, &instance.keys())?)?;
    for path in key_files(config).into_iter().filter(|path| !path.starts_with(instance.keys())) {
        add(path, inside(root, path)?)?;
    }
    if all {
        for folder in [&config.actions, &config.receivers] {
            add(folder, inside(root, folder)?)?;
        }
    }
    let mut written = archive.finish(issuer, Timestamp::now().to_string()).map_err(failed(root))?;
    io::Write::flush(&mut written).and_then(|()| written.as_file().sync_all()).map_err(failed(beside))?;
    Ok(written)
}

fn key_files(config: &Config) -> Vec<&Path> {
    let mut paths: Vec<&Path> = vec![&config.validation.private, &config.validation.public];
    if let Authentication::Files(files) = &config.authentication {
        paths.extend([files.private.as_path(), &files.public]);
    }
    if let Some(tls) = &config.tls {
        paths.extend([tls.key.as_path(), &tls.cert]);
    }
    paths
}

/// Where it lies in the instance: a backup that lacks a part of it would not be one.
fn inside<'a>(root: &Path, path: &'a Path) -> Result<&'a Path, BackupError> {
    let outside = || BackupError::Outside { path: path.to_owned(), instance: root.to_owned() };
    path.strip_prefix(root).map_err(|_| outside())
}

fn failed(path: &Path) -> impl Fn(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::Io { path: path.clone(), source }
}

/// How often it is tried while keys are being replaced.
const ATTEMPTS: u32 = 5;
