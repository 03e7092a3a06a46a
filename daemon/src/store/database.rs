use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::migrate::{check_version, connect, version};
use super::{Error, RetiredKey, keys};

/// The database of an instance that is being opened, before anything is done with it. A [`Store`](super::Store) goes on
/// with the same connection: to open the file anew for each look at it would take longer than the looks.
#[derive(Debug)]
pub struct Database {
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
}

impl Database {
    /// Opens an existing file of ours, of any version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        version(&connection, path)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    /// Its size in bytes, without what has been written and not yet been moved into it.
    pub fn size(&self) -> Result<u64, Error> {
        let query = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
        Ok(self.connection.query_row(query, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// Reads the whole file, and fails if something is wrong with it. Blocks, and takes long if it is large.
    pub fn check(&self) -> Result<(), Error> {
        let fault: String = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if fault == "ok" { Ok(()) } else { Err(Error::Faulty { path: self.path.clone(), fault }) }
    }

    /// The keys that were replaced, oldest first.
    pub fn retired_keys(&self) -> Result<Vec<RetiredKey>, Error> {
        check_version(&self.connection, &self.path)?;
        keys::list(&self.connection)
    }
}
