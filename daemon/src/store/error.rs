use std::path::PathBuf;
use std::sync::Arc;

use coattail::key::Key;
use coattail::wire::ErrorCode;
use rusqlite::ffi;

/// Why the store did not do it. When it says so, it has changed nothing.
///
/// Many writes share a transaction, so one failure may have to be told to each of them.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No room. The store goes on as soon as there is some.
    #[error("the disk that holds the database is full")]
    Full(#[source] Arc<rusqlite::Error>),
    /// Another process holds the database, longer than we wait.
    #[error("the database is locked by another process")]
    Locked(#[source] Arc<rusqlite::Error>),
    /// What was read cannot have been written by us.
    #[error("the database is damaged")]
    Damaged(#[source] Arc<rusqlite::Error>),
    /// SQLite has looked for damage, and found some.
    #[error("the database {} is damaged: {fault}", path.display())]
    Faulty {
        /// Which file.
        path: PathBuf,
        /// What it has found first.
        fault: String,
    },
    /// No SQLite file, or that of another program.
    #[error("{} is not a database of Coattail", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
    },
    /// The file cannot be opened.
    #[error("the database {} cannot be opened", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Made by a newer version of this program.
    #[error("the database has schema version {found}, this program knows versions up to {known}")]
    Newer {
        /// That of the file.
        found: usize,
        /// The latest that we know.
        known: usize,
    },
    /// Made by an older version of this program.
    #[error("the database has schema version {found}, this program needs version {known}")]
    Older {
        /// That of the file.
        found: usize,
        /// The one we need.
        known: usize,
    },
    /// A migration failed; the database is as it was before.
    #[error("the migration of the database failed")]
    Migration(#[source] Arc<rusqlite_migration::Error>),
    /// There is one already.
    #[error("{0} exists already")]
    Exists(&'static str),
    /// Something else was published under this name.
    #[error("another publication has the id `{0}`: what it published is something else")]
    OtherPayload(Key),
    /// There is none.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// A log has not got so far.
    #[error("nothing has the number {sequence} yet: the last that was published has {head}")]
    NotYet {
        /// What was asked for.
        sequence: u64,
        /// The last that was given out.
        head: u64,
    },
    /// Publications of one delivery must be of one log, in ascending order.
    #[error("the publications are not of one log in ascending order")]
    Unordered,
    /// [`Store::close`](super::Store::close) was called.
    #[error("the database is closed")]
    Closed,
    /// The work panicked. Its own changes are undone.
    #[error("a fault in this program kept the database from answering")]
    Panicked,
    /// Anything else that SQLite says.
    #[error("the database failed")]
    Sqlite(#[source] Arc<rusqlite::Error>),
}

impl Error {
    /// What kind of failure it is for whoever asked.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Full(_) => ErrorCode::StorageFull,
            Self::Locked(_) => ErrorCode::Busy,
            Self::Newer { .. } | Self::Older { .. } => ErrorCode::UnsupportedVersion,
            Self::Exists(_) | Self::OtherPayload(_) => ErrorCode::AlreadyExists,
            Self::Missing(_) => ErrorCode::NotFound,
            Self::Unordered | Self::NotYet { .. } => ErrorCode::InvalidInput,
            Self::Closed => ErrorCode::ShuttingDown,
            Self::Damaged(_)
            | Self::Faulty { .. }
            | Self::Foreign { .. }
            | Self::Open { .. }
            | Self::Migration(_)
            | Self::Panicked
            | Self::Sqlite(_) => ErrorCode::Internal,
        }
    }

    /// What to try.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Full(_) => Some("make room on the disk; nothing has to be restarted"),
            Self::Locked(_) => Some("another program has the database open; end it and try again"),
            Self::Damaged(_) | Self::Faulty { .. } => {
                Some("stop the service, and put a backup in its place: `coattail restore FILE`")
            }
            Self::Foreign { .. } => Some(
                "put a backup in its place with `coattail restore FILE`, or move the file away and run `coattail data migrate`",
            ),
            Self::Open { .. } => Some("run `coattail data migrate` if it was never made, or check who owns the file"),
            Self::Newer { .. } => Some("use the newer version of coattail that made it"),
            Self::Older { .. } => Some("run `coattail data migrate latest`"),
            Self::NotYet { .. } => Some("`--from now` begins with what is published next"),
            Self::OtherPayload(_) => {
                Some("choose an id for each publication, and the same only to publish the same again")
            }
            _ => None,
        }
    }

    /// Whether SQLite found a constraint violated.
    pub(super) fn is_constraint(error: &rusqlite::Error) -> bool {
        error.sqlite_error_code() == Some(ffi::ErrorCode::ConstraintViolation)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        let kind = match &error {
            // A row that does not parse was not written by this program.
            E::FromSqlConversionFailure(..) | E::InvalidColumnType(..) | E::IntegralValueOutOfRange(..) => {
                Self::Damaged
            }
            E::SqliteFailure(failure, _) => match failure.code {
                ffi::ErrorCode::DiskFull => Self::Full,
                // SQLite names a full disk so while it grows the WAL's index.
                _ if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE => Self::Full,
                ffi::ErrorCode::DatabaseBusy | ffi::ErrorCode::DatabaseLocked => Self::Locked,
                ffi::ErrorCode::DatabaseCorrupt | ffi::ErrorCode::NotADatabase => Self::Damaged,
                _ => Self::Sqlite,
            },
            _ => Self::Sqlite,
        };
        kind(Arc::new(error))
    }
}
