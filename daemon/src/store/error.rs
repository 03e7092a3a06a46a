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
    /// No room for what is new: what is left is kept for what was accepted. The store goes on as soon as there is more.
    #[error("the disk that holds the database has {} MiB left, and the last {} MiB are kept for what was accepted before",
        free >> 20, reserve.div_ceil(1 << 20))]
    Short {
        /// Bytes that are left.
        free: u64,
        /// Bytes that are kept.
        reserve: u64,
    },
    /// The disk could not read or write what it was told to.
    #[error("the disk that holds the database failed")]
    Disk(#[source] Arc<rusqlite::Error>),
    /// The disk has failed while it was written to, or the database is damaged, so that nothing is written any more. What was being written then may
    /// be there after a restart, or not.
    #[error("nothing is accepted any more, since what is written to the database may be lost")]
    Stopped(#[source] Arc<Error>),
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
    /// Somebody has cut the write-ahead log off while we work with it.
    #[error("{} has lost its end: it has {found} bytes, and had {expected}", path.display())]
    Cut {
        /// Which file.
        path: PathBuf,
        /// Bytes that it had.
        expected: u64,
        /// Bytes that it has.
        found: u64,
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
            Self::Full(_) | Self::Short { .. } => ErrorCode::StorageFull,
            Self::Disk(_) | Self::Stopped(_) => ErrorCode::StorageFailed,
            Self::Locked(_) => ErrorCode::Busy,
            Self::Newer { .. } | Self::Older { .. } => ErrorCode::UnsupportedVersion,
            Self::Exists(_) | Self::OtherPayload(_) => ErrorCode::AlreadyExists,
            Self::Missing(_) => ErrorCode::NotFound,
            Self::Unordered | Self::NotYet { .. } => ErrorCode::InvalidInput,
            Self::Closed => ErrorCode::ShuttingDown,
            Self::Damaged(_)
            | Self::Faulty { .. }
            | Self::Cut { .. }
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
            Self::Full(_) | Self::Short { .. } => Some("make room on the disk; nothing has to be restarted"),
            Self::Disk(_) => Some("look at what the system says about the disk, such as with `dmesg`"),
            Self::Stopped(why) if !why.is_of_the_disk() => why.hint(),
            Self::Stopped(_) => Some(
                "what was accepted is kept: look at what the system says about the disk, such as with `dmesg`, mend it, and restart the service",
            ),
            Self::Locked(_) => Some("another program has the database open; end it and try again"),
            Self::Damaged(_) | Self::Faulty { .. } | Self::Cut { .. } => {
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

    /// Whether the disk is to blame, now or for ever: it says nothing about what was to be written.
    pub fn is_of_the_disk(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Short { .. } | Self::Disk(_) | Self::Stopped(_) | Self::Locked(_))
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
                _ if failure.extended_code == ffi::SQLITE_IOERR_SHORT_READ => Self::Damaged,
                ffi::ErrorCode::SystemIoFailure => Self::Disk,
                ffi::ErrorCode::DatabaseBusy | ffi::ErrorCode::DatabaseLocked => Self::Locked,
                ffi::ErrorCode::DatabaseCorrupt | ffi::ErrorCode::NotADatabase => Self::Damaged,
                _ => Self::Sqlite,
            },
            _ => Self::Sqlite,
        };
        kind(Arc::new(error))
    }
}
