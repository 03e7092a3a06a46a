use std::path::{Path, PathBuf};

use coattail::id::IssuerHash;
use coattail::wire::Failure;

use crate::config::template::NewConfig;
use crate::instance::NewInstance;
use crate::keys::PublicIdentity;
use crate::store::{self, Migration};

/// An instance that was made.
#[derive(Debug)]
pub struct CreatedInstance {
    /// Its folder, absolute.
    pub folder: PathBuf,
    /// The hash of its key.
    pub issuer: IssuerHash,
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
