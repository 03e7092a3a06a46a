use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use coattail::id::IssuerHash;
use coattail::wire::Failure;
use jiff::Timestamp;

use super::archive::{self, Manifest};
use crate::config::Config;
use crate::instance::{Instance, place};
use crate::own_keys::InstanceKeys;
use crate::store::{self, Database, Migration, adopt, last_epoch};

/// An instance that was restored.
#[derive(Debug)]
pub struct Restored {
    /// Its folder, absolute.
    pub folder: PathBuf,
    /// Whose it is.
    pub issuer: IssuerHash,
    /// When the backup was made (RFC 3339).
    pub created: String,
    /// Where that is kept which it has replaced.
    pub before: Option<PathBuf>,
}

/// Makes an instance of a backup: in a folder that is empty or not there, or in the place of what an instance has. All
/// of it is read and checked before anything is replaced.
///
/// # Errors
/// With what failed; the folder is as it was before then. Busy while somebody works in the instance.
pub fn restore(file: &Path, folder: &Path) -> Result<Restored, Failure> {
    match Instance::open(folder) {
        Ok(instance) => replace(file, &instance),
        Err(_) => make(file, folder),
    }
}

fn make(file: &Path, folder: &Path) -> Result<Restored, Failure> {
    let mut unpacked = None;
    let placed = place(folder, |staging| {
        let outcome = unpack(file, staging, None, None).and_then(|manifest| {
            complete(staging).map_err(|error| io_failed(staging, error))?;
            Ok(manifest)
        });
        let told = outcome.as_ref().map(drop).map_err(ToString::to_string);
        unpacked = Some(outcome);
        told
    });
    match (placed, unpacked) {
        (_, Some(Err(failure))) => Err(failure),
        (Ok(instance), Some(Ok(Manifest { issuer, created, .. }))) => {
            Ok(Restored { folder: instance.root().to_owned(), issuer, created, before: None })
        }
        (Ok(_), None) => unreachable!("there is no instance that was not unpacked"),
        (Err(error), _) => Err(error.into()),
    }
}

/// Makes what a backup without plugins lacks of an instance.
fn complete(staging: &Path) -> io::Result<()> {
    let instance = Instance::open(staging).map_err(io::Error::other)?;
    for folder in [instance.actions(), instance.receivers()] {
        DirBuilder::new().recursive(true).create(folder)?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(instance.runtime())?;
    OpenOptions::new().append(true).create(true).mode(0o600).open(instance.log()).map(drop)
}

fn replace(file: &Path, instance: &Instance) -> Result<Restored, Failure> {
    let lock = instance.lock("command")?;
    let staging = instance.stage().map_err(|error| io_failed(instance.root(), error))?;
    let old = Config::load(instance.root()).ok().map(|config| config.database);
    let unpacked = unpack(file, &staging, old.as_deref(), last_epoch(&instance.epoch_file()));
    let replaced = unpacked.and_then(|manifest| {
        let before = lock.replace(instance).map_err(|error| io_failed(instance.root(), error))?;
        Ok((manifest, before))
    });
    if replaced.is_err() {
        let _ = fs::remove_dir_all(&staging);
    }
    let (Manifest { issuer, created, .. }, before) = replaced?;
    Ok(Restored { folder: instance.root().to_owned(), issuer, created, before })
}

/// Puts a backup into a folder that nobody else looks into, makes sure that an instance can be opened with it, and notes
/// in its database that it was put back.
fn unpack(file: &Path, into: &Path, old: Option<&Path>, last: Option<i64>) -> Result<Manifest, Failure> {
    let manifest = archive::read(file, Some(into))?;
    let instance = Instance::open(into)?;
    let config = Config::load(instance.root())?;
    Database::open(&config.database)?.check()?;
    store::migrate(&config.database, Migration::Latest)?;
    InstanceKeys::load(&config, &Database::open(&config.database)?)?;
    adopt(&config.database, old, last, Timestamp::now().as_millisecond())?;
    Ok(manifest)
}

fn io_failed(path: &Path, source: io::Error) -> Failure {
    super::BackupError::Io { path: path.to_owned(), source }.into()
}
