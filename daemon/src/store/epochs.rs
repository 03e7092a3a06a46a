//! Tells what is published after the database was put back from what was published before.
//!
//! Each opening of the database begins an epoch, and places in a log are ordered by it first. A copy of the database,
//! however it came back, is opened at a later time than all that was published from it: so no place is given out twice,
//! and nobody has to notice that it was put back. Whether it was is found out besides, as far as it can be, for people:
//! a file outside of the database remembers the last epoch.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use coattail::kill_point;
use coattail::name::ActionName;
use coattail::wire::Place;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::columns::signed;
use super::{Error, Store};

/// The epoch that an opening begins, and whether the database is older than what the last opening left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Begun {
    epoch: i64,
    is_put_back: bool,
}

impl Begun {
    /// Later than every epoch that is known of, also when the clock has gone back.
    fn next(now: i64, in_database: i64, in_file: Option<i64>) -> Self {
        let last = in_file.map_or(in_database, |in_file| in_file.max(in_database));
        Self { epoch: now.max(last + 1), is_put_back: in_file.is_some_and(|in_file| in_file > in_database) }
    }
}

/// Begins an epoch, before anything is accepted in it. `now` is in milliseconds; `file` remembers it.
///
/// First the database, then the file: a file that is ahead says that the database was put back, so whoever is killed
/// in between must not leave one.
pub(super) fn begin(db: &Connection, file: &Path, now: i64) -> Result<i64, Error> {
    let in_database = db.query_row("SELECT epoch FROM openings", [], |row| row.get(0))?;
    let begun = Begun::next(now, in_database, last_epoch(file));
    let transaction = db.unchecked_transaction()?;
    if begun.is_put_back {
        tracing::error!(
            "the database is older than what this instance has done: it was put back to an earlier state by hand; what was \
             accepted since is lost unless subscribers have it, and what was revoked since counts again"
        );
        put_back(&transaction, now)?;
    }
    transaction.execute("UPDATE openings SET epoch = ?1", [begun.epoch])?;
    kill_point!("epoch.before-commit");
    transaction.commit()?;
    kill_point!("epoch.committed");
    write(file, begun.epoch).map_err(|source| Error::Open { path: file.to_owned(), source: Arc::new(source) })?;
    Ok(begun.epoch)
}

/// Notes that the database was put back. Whether a job that it has as queued was done since, nobody knows; one at a peer
/// is asked for by its key, so it is done once all the same.
pub(super) fn put_back(db: &Connection, now: i64) -> Result<(), Error> {
    db.execute("UPDATE openings SET restored = ?1", [now])?;
    // What ran is lost when the instance is opened.
    db.execute("UPDATE jobs SET state = 'running', started = created WHERE state = 'queued' AND peer IS NULL", [])?;
    Ok(())
}

/// What was remembered; nothing if the file is missing or says nothing that can be understood.
pub fn last_epoch(file: &Path) -> Option<i64> {
    fs::read_to_string(file).ok()?.trim_end().parse().ok()
}

/// Whole or not at all. Not synced: after a power cut it may be older, which is no worse than missing.
fn write(file: &Path, epoch: i64) -> io::Result<()> {
    let new = file.with_extension("new");
    let open = |path: &Path| OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut opened = match open(&new) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(file.parent().unwrap_or(Path::new("/")))?;
            open(&new)?
        }
        opened => opened?,
    };
    writeln!(opened, "{epoch}")?;
    kill_point!("epoch.before-rename");
    fs::rename(new, file)?;
    kill_point!("epoch.renamed");
    Ok(())
}

impl Store {
    /// When the database was last known to have been put back, in milliseconds.
    pub async fn restored(&self) -> Result<Option<i64>, Error> {
        self.read(|db| Ok(db.query_row("SELECT restored FROM openings", [], |row| row.get(0))?)).await
    }

    /// A sequence of a log, with its epoch.
    pub async fn place(&self, action: ActionName, sequence: u64) -> Result<Place, Error> {
        self.read(move |db| {
            let log = "SELECT id FROM logs WHERE action = ?1";
            let log: Option<i64> = db.prepare_cached(log)?.query_row([action.as_str()], |row| row.get(0)).optional()?;
            let epoch = log.map(|log| epoch_of(db, log, sequence)).transpose()?;
            Ok(Place { epoch: epoch.unwrap_or(0), sequence })
        })
        .await
    }
}

/// Of which epoch a sequence is.
pub(super) fn epoch_of(db: &Connection, log: i64, sequence: u64) -> Result<i64, Error> {
    let query = "SELECT epoch FROM epochs WHERE log = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1";
    let epoch = db.prepare_cached(query)?.query_row(params![log, signed(sequence)], |row| row.get(0)).optional()?;
    Ok(epoch.unwrap_or(0))
}

/// From this sequence on the log is of the current epoch, unless it is already.
pub(super) fn extend(db: &Connection, log: i64, first: u64, epoch: i64) -> Result<(), Error> {
    let query = "INSERT INTO epochs (log, first, epoch) SELECT ?1, ?2, ?3
                 WHERE NOT EXISTS (SELECT 1 FROM epochs WHERE log = ?1 AND epoch = ?3)";
    db.prepare_cached(query)?.execute(params![log, signed(first), epoch])?;
    Ok(())
}

/// The last sequence of an epoch and of all before it, in a log that reaches to `head`.
pub(super) fn reach(db: &Connection, log: i64, epoch: i64, head: u64) -> Result<u64, Error> {
    let query = "SELECT min(first) - 1 FROM epochs WHERE log = ?1 AND epoch > ?2";
    let reach: Option<i64> = db.prepare_cached(query)?.query_row([log, epoch], |row| row.get(0))?;
    Ok(reach.map_or(head, i64::unsigned_abs))
}

/// Retention has left nothing of an epoch that ends before `oldest`.
pub(super) fn forget_before(db: &Connection, log: i64, oldest: u64) -> Result<(), Error> {
    let query = "DELETE FROM epochs WHERE log = ?1
                     AND first < (SELECT max(first) FROM epochs WHERE log = ?1 AND first <= ?2)";
    db.prepare_cached(query)?.execute([log, signed(oldest)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Database;
    use crate::store::testing::{action, draft, signer, store};

    #[test]
    fn an_epoch_is_later_than_all_that_are_known_of() {
        for (now, in_database, in_file, epoch, is_put_back) in [
            (100, 0, None, 100, false),
            (100, 50, Some(50), 100, false),
            (100, 50, Some(40), 100, false),
            (100, 50, Some(60), 100, true),
            // The clock has gone back.
            (100, 150, Some(150), 151, false),
            (100, 50, Some(150), 151, true),
            (100, 150, None, 151, false),
        ] {
            let begun = Begun::next(now, in_database, in_file);
            assert_eq!(begun, Begun { epoch, is_put_back }, "{now} {in_database} {in_file:?}");
        }
    }

    #[tokio::test]
    async fn sequences_go_on_and_epochs_are_those_of_the_openings() {
        let first = store();
        assert_eq!(first.append(draft("a", "1")).await.unwrap().sequence, 1);
        first.close().await;
        let beside = first.path.with_extension("epoch");
        let again = Store::open(Database::open(&first.path).unwrap(), signer(), &beside).unwrap();
        again.append_all(vec![draft("a", "2"), draft("b", "1")]).await.unwrap();
        let batch = again.batch(action("a"), 0, 9, 99).await.unwrap();
        let [(before, _), (after, _)] = &batch[..] else { panic!("{batch:?}") };
        assert_eq!((before.sequence, after.sequence), (1, 2));
        assert!(0 < before.epoch && before.epoch < after.epoch, "{before:?} {after:?}");
        assert_eq!(again.place(action("a"), 1).await.unwrap(), before.place());
        assert_eq!(again.place(action("a"), 2).await.unwrap(), after.place());
        assert_eq!(again.place(action("b"), 0).await.unwrap(), Place { epoch: 0, sequence: 0 });
        // Nothing is left of the first epoch.
        again.trim(action("a"), 5000, 2).await.unwrap();
        assert_eq!(again.place(action("a"), 1).await.unwrap().epoch, 0);
        assert_eq!(again.place(action("a"), 2).await.unwrap(), after.place());
        assert_eq!(again.restored().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_database_that_was_put_back_is_found_out() {
        let first = store();
        let beside = first.path.with_extension("epoch");
        first.append(draft("a", "1")).await.unwrap();
        first.close().await;
        let copy = fs::read(&first.path).unwrap();
        Store::open(Database::open(&first.path).unwrap(), signer(), &beside).unwrap().close().await;
        fs::write(&first.path, copy).unwrap();
        let again = Store::open(Database::open(&first.path).unwrap(), signer(), &beside).unwrap();
        assert!(again.restored().await.unwrap().is_some());
        again.close().await;
        // Once.
        fs::remove_file(&beside).unwrap();
        let again = Store::open(Database::open(&first.path).unwrap(), signer(), &beside).unwrap();
        assert!(again.restored().await.unwrap().is_some());
    }
}
