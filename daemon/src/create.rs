use std::path::{Path, PathBuf};

use coattail::id::IssuerHash;
use coattail::wire::Failure;

use crate::config::Config;
use crate::config::template::NewConfig;
use crate::instance::{Instance, NewInstance};
use crate::keys::{PublicIdentity, TlsIdentity};
use crate::store::{self, Migrated, Migration};

/// An instance that was made.
#[derive(Debug)]
pub struct CreatedInstance {
    /// Its folder, absolute.
    pub folder: PathBuf,
    /// The hash of its key.
    pub issuer: IssuerHash,
}

/// Brings the database of an instance to another version, while nobody works in it.
///
/// # Errors
/// If somebody does, or the database is not ours, or newer.
pub fn migrate_instance(folder: &Path, migration: Migration) -> Result<Migrated, Failure> {
    let instance = Instance::open(folder)?;
    let _lock = instance.lock("command")?;
    let config = Config::load(instance.root())?;
    Ok(store::migrate(&config.database, migration)?)
}

/// Makes a new key and certificate where those of an instance cannot be used, so that it cannot be opened to replace
/// them. Returns whether that was so. Nobody could have been served with them, so there is no overlap.
///
/// # Errors
/// If somebody works in the instance, or the files cannot be written.
pub fn repair_tls(folder: &Path) -> Result<bool, Failure> {
    let instance = Instance::open(folder)?;
    let _lock = instance.lock("command")?;
    let config = Config::load(instance.root())?;
    let Some(tls) = &config.tls else { return Ok(false) };
    if TlsIdentity::load(&tls.key, &tls.cert).is_ok() {
        return Ok(false);
    }
    let issuer = config.validation.load()?.issuer();
    TlsIdentity::generate(issuer, jiff::Timestamp::now(), &tls.key, &tls.cert)?;
    Ok(true)
}

/// Makes an instance, whole or not at all: folders, keys, settings, database.
///
/// # Errors
/// With what failed and what to try; the folder is as it was before.
pub fn create_instance(folder: &Path, config: NewConfig) -> Result<CreatedInstance, Failure> {
    let prepare = |staging: &Path| store::migrate(&staging.join("data.db"), Migration::Latest).map(drop);
    let instance = NewInstance { config }.create(folder, prepare)?;
    let path = instance.keys().join("vt-key.pub");
    let text = crate::keys::file::read_public(&path)?;
    Ok(CreatedInstance { folder: instance.root().to_owned(), issuer: PublicIdentity::from_pem(&text)?.issuer() })
}
