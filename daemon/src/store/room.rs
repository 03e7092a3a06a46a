//! What the disk has left for what is still to be accepted, and when it takes nothing more.
//!
//! The last of the room is kept: for cursors, for receivers that finish, for what the owner deletes. So a disk that fills
//! up refuses what is new, and nothing else.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use nix::sys::statvfs::statvfs;
use rusqlite::Connection;

use super::Error;

/// The disk below the database. Shared by the thread that writes and whoever asks.
#[derive(Debug)]
pub(super) struct Room {
    folder: PathBuf,
    /// Bytes that are kept, as configured.
    kept: AtomicU64,
    /// Why nothing is written any more.
    failed: OnceLock<Error>,
}

/// How the disk is on which the database lies.
#[derive(Debug, Clone)]
pub struct Disk {
    /// Bytes that are left on it, and in the database.
    pub free: u64,
    /// Bytes that are kept for what was accepted.
    pub reserve: u64,
    /// Why nothing is accepted; `None` if it is.
    pub refusal: Option<Error>,
}

impl Room {
    pub(super) fn below(folder: PathBuf) -> Self {
        Self { folder, kept: AtomicU64::new(0), failed: OnceLock::new() }
    }

    pub(super) fn keep(&self, bytes: u64) {
        self.kept.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn disk(&self, db: &Connection) -> Result<Disk, Error> {
        let left = self.left(db)?;
        let refusal = self.failure().err().or_else(|| left.check(USUAL).err());
        Ok(Disk { free: left.free.saturating_add(left.reusable), reserve: left.reserve, refusal })
    }

    /// From now on nothing is written. A disk that has failed once may have lost what it had taken, and would not say so
    /// again: what is on it is found out by whoever opens the database next.
    pub(super) fn fail(&self, error: Error) -> Error {
        self.failed.get_or_init(|| Error::Stopped(Arc::new(error))).clone()
    }

    /// Whether anything is written.
    pub(super) fn failure(&self) -> Result<(), Error> {
        self.failed.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// After so many pages the write-ahead log is written back: a part of what is kept, so that it always can be.
    pub(super) fn checkpoint_pages(&self, db: &Connection) -> u64 {
        let reserve = self.left(db).map_or(0, |left| left.reserve);
        if reserve == 0 { MOST_PAGES } else { (reserve / 8 / PAGE).clamp(LEAST_PAGES, MOST_PAGES) }
    }

    /// What is left. As much as one likes if the system does not say.
    pub(super) fn left(&self, db: &Connection) -> Result<Left, Error> {
        let kept = self.kept.load(Ordering::Relaxed);
        let Ok(disk) = statvfs(&self.folder) else { return Ok(Left { free: u64::MAX, reusable: 0, reserve: 0 }) };
        #[expect(clippy::useless_conversion, reason = "its numbers have other types on other systems")]
        let (unit, free, total) =
            (u64::from(disk.fragment_size()), u64::from(disk.blocks_available()), u64::from(disk.blocks()));
        let unused: u64 =
            db.prepare_cached("PRAGMA freelist_count")?.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs();
        let reserve = kept.min(total.saturating_mul(unit) / SMALLEST_PART);
        Ok(Left { free: free.saturating_mul(unit), reusable: unused * PAGE, reserve })
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    /// On the disk.
    free: u64,
    /// In the database, where something was deleted.
    reusable: u64,
    reserve: u64,
}

impl Left {
    /// Whether so many bytes may be accepted.
    pub(super) fn check(self, bytes: u64) -> Result<(), Error> {
        let Self { free, reusable, reserve } = self;
        // What goes to where something was deleted goes through the write-ahead log first, which is on the disk.
        let is_enough = free.saturating_add(reusable) >= reserve.saturating_add(bytes) && free >= reserve / 2;
        if is_enough { Ok(()) } else { Err(Error::Short { free: free.saturating_add(reusable), reserve }) }
    }
}

/// Bytes of what is usually accepted at once: whoever asks whether it is, has no number.
const USUAL: u64 = 4096;

/// On a small disk less is kept than what is configured: a sixteenth.
const SMALLEST_PART: u64 = 16;

/// Bytes of a page, as SQLite has them since 2016.
const PAGE: u64 = 4096;

/// Pages of the write-ahead log: as many as SQLite lets it have; and not so few that each commit would write back.
const MOST_PAGES: u64 = 1000;
const LEAST_PAGES: u64 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_the_disk_is_kept() {
        for (free, reusable, bytes, is_enough) in [
            (100, 0, 0, true),
            (100, 0, 1, false),
            (99, 0, 0, false),
            (160, 0, 60, true),
            (60, 40, 0, true),
            (60, 90, 50, true),
            // The log has no room.
            (49, 1000, 0, false),
        ] {
            let checked = Left { free, reusable, reserve: 100 }.check(bytes);
            assert_eq!(checked.is_ok(), is_enough, "{free} {reusable} {bytes}");
        }
    }

    #[test]
    fn a_small_disk_keeps_a_part() {
        let db = Connection::open_in_memory().unwrap();
        let room = Room::below("/".into());
        assert_eq!(room.disk(&db).unwrap().reserve, 0, "nothing unless it is told so");
        room.keep(u64::MAX);
        let disk = room.disk(&db).unwrap();
        assert!((1..u64::MAX / SMALLEST_PART).contains(&disk.reserve), "{disk:?}");
        assert!(room.checkpoint_pages(&db) <= MOST_PAGES);
    }

    #[test]
    fn a_disk_that_has_failed_is_not_written_to_again() {
        let room = Room::below("/".into());
        assert!(room.failure().is_ok());
        let first = room.fail(Error::Panicked);
        assert!(matches!(&first, Error::Stopped(why) if matches!(**why, Error::Panicked)));
        room.fail(Error::Closed);
        assert!(matches!(room.failure(), Err(Error::Stopped(why)) if matches!(*why, Error::Panicked)));
    }
}
