use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use include_dir::{Dir, include_dir};
use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::Migrations;

use super::Error;

/// Which way to migrate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Migration {
    /// To the version that this program needs.
    Latest,
    /// One version up.
    Up,
    /// One version down. What only the newer version can hold is lost.
    Down,
    /// Undoes every migration. All data is lost.
    Rollback,
}

/// From which version to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// Before; 0 is an empty file.
    pub from: usize,
    /// Now.
    pub to: usize,
}

/// Migrates the database at `path`, in one transaction, and makes the file (0600) if there is none.
///
/// Blocks. The service must not be running on it.
pub fn migrate(path: &Path, migration: Migration) -> Result<Migrated, Error> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(cannot_open(path, error)),
        _ => {}
    }
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let from = version(&connection, path)?;
    let to = match migration {
        Migration::Latest => latest(),
        Migration::Up => (from + 1).min(latest()),
        Migration::Down => from.saturating_sub(1),
        Migration::Rollback => 0,
    };
    if from > latest() {
        return Err(Error::Newer { found: from, known: latest() });
    }
    connection.pragma_update(None, "journal_mode", "wal")?;
    MIGRATIONS.to_version(&mut connection, to).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => err.into(),
        other => Error::Migration(Arc::new(other)),
    })?;
    Ok(Migrated { from, to })
}

/// A connection to an existing file.
pub(super) fn connect(path: &Path, access: OpenFlags) -> Result<Connection, Error> {
    // SQLite does not say why it cannot open a file, but the system does. The file itself must not be opened here: to
    // close it would drop the locks that other connections of this process hold on it.
    std::fs::metadata(path).map_err(|error| cannot_open(path, error))?;
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| cannot_open(path, std::io::Error::other(error)))?;
    if access.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) && connection.is_readonly("main")? {
        return Err(cannot_open(path, ErrorKind::PermissionDenied.into()));
    }
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Refuses what this program cannot work with.
pub(super) fn check_version(connection: &Connection, path: &Path) -> Result<(), Error> {
    let (found, known) = (version(connection, path)?, latest());
    match found.cmp(&known) {
        std::cmp::Ordering::Less => Err(Error::Older { found, known }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(Error::Newer { found, known }),
    }
}

/// The schema version of a file of ours; 0 when it is empty.
pub(super) fn version(connection: &Connection, path: &Path) -> Result<usize, Error> {
    let facts = "SELECT (SELECT application_id FROM pragma_application_id),
                        (SELECT user_version FROM pragma_user_version),
                        (SELECT count(*) FROM sqlite_schema)";
    let facts = connection.query_row(facts, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let foreign = || Error::Foreign { path: path.to_owned() };
    let (application, version, tables): (i64, i64, i64) = match facts {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => return Err(foreign()),
        facts => facts?,
    };
    let is_empty = application == 0 && version == 0 && tables == 0;
    if application != APPLICATION && !is_empty {
        return Err(foreign());
    }
    usize::try_from(version).map_err(|_| foreign())
}

fn cannot_open(path: &Path, source: std::io::Error) -> Error {
    Error::Open { path: path.to_owned(), source: Arc::new(source) }
}

fn latest() -> usize {
    FILES.dirs().count()
}

/// As the first migration sets it: `COAT`.
const APPLICATION: i64 = 0x434f_4154;

/// How long a transaction waits for another process, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Prepared statements that a connection keeps: more than there are in this module.
const STATEMENTS: usize = 128;

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/migrations");

static MIGRATIONS: LazyLock<Migrations<'static>> =
    LazyLock::new(|| Migrations::from_directory(&FILES).expect("a test loads the migrations"));

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::store::testing::signer;
    use crate::store::{Database, Store};

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn every_migration_goes_up_and_down() {
        let folder = folder();
        let path = folder.path().join("data.db");
        let latest = latest();
        for (migration, from, to) in [
            (Migration::Up, 0, 1),
            (Migration::Down, 1, 0),
            (Migration::Latest, 0, latest),
            (Migration::Latest, latest, latest),
            (Migration::Rollback, latest, 0),
            (Migration::Latest, 0, latest),
        ] {
            assert_eq!(migrate(&path, migration).unwrap(), Migrated { from, to });
        }
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    fn open(path: &Path) -> Result<Store, Error> {
        Store::open(Database::open(path)?, signer(), &path.with_extension("epoch"))
    }

    #[test]
    fn only_a_database_of_this_version_is_opened() {
        let folder = folder();
        let path = folder.path().join("data.db");
        assert!(matches!(open(&path), Err(Error::Open { .. })));

        std::fs::write(&path, []).unwrap();
        assert!(matches!(open(&path), Err(Error::Older { found: 0, .. })));

        migrate(&path, Migration::Latest).unwrap();
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 1_000).unwrap();
        for error in [open(&path).unwrap_err(), migrate(&path, Migration::Latest).unwrap_err()] {
            assert!(matches!(error, Error::Newer { found, .. } if found == 1000), "{error:?}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn what_is_not_ours_is_refused_and_left_alone() {
        let folder = folder();
        let garbage = folder.path().join("garbage.db");
        std::fs::write(&garbage, "not a database at all, but long enough to look like one".repeat(40)).unwrap();
        let foreign = folder.path().join("foreign.db");
        Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE coattail_peers (id TEXT)").unwrap();
        for path in [garbage, foreign] {
            let before = std::fs::read(&path).unwrap();
            assert!(matches!(open(&path), Err(Error::Foreign { .. })));
            assert!(matches!(migrate(&path, Migration::Latest), Err(Error::Foreign { .. })));
            assert_eq!(std::fs::read(&path).unwrap(), before);
        }
    }
}
