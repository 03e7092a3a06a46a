//! Whether something is wrong with the database that a service works with.

use std::path::PathBuf;

use coattail::wire::Failure;
use tokio_util::sync::CancellationToken;

use crate::store::{Database, Error, Store};

/// Databases below this size, in bytes, are read as a whole before they are served: that takes a millisecond or two.
const SMALL: u64 = 1 << 20;

/// Fails if something is wrong with a small one.
pub(crate) fn before(database: &Database) -> Result<(), Error> {
    if database.size()? < SMALL { database.check() } else { Ok(()) }
}

/// Reads a larger one while it is served. If something is wrong with it, nothing is accepted any more.
pub(crate) async fn run(store: Store, database: PathBuf, cancel: CancellationToken) {
    if std::fs::metadata(&database).is_ok_and(|file| file.len() < SMALL) {
        return;
    }
    if let Err(error) = store.inspect(&database, &cancel).await {
        let Failure { message, hint, .. } = error.into();
        tracing::error!("{message}: {}", hint.unwrap_or_default());
    }
}
