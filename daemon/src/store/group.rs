use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use coattail::id::IssuerHash;
use coattail::kill_point;
use rusqlite::Connection;

use super::Error;
use super::counts::Tally;
use super::merkle::Hash;
use super::publications::Appends;
use super::room::{Left, Room};

/// Signs what the instance publishes, a commit group at a time.
#[derive(Clone)]
pub struct Signer {
    /// The instance.
    pub issuer: IssuerHash,
    /// Signs the size and the Merkle root of a group. Runs on the writing thread, so it must be quick.
    pub sign: Arc<Sign>,
}

/// See [`Signer::sign`].
type Sign = dyn Fn(u32, &Hash) -> Vec<u8> + Send + Sync;

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// How a write is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It changes rows, and is answered once it is on disk.
    Durable,
    /// As that, but it is answered once it is committed.
    Lazy,
    /// It only appends publications, and changes no row before its group is committed: there is none to put back if it
    /// fails.
    Append,
}

/// One transaction that many writes share. Dropped without [`commit`](Self::commit), it has changed nothing.
pub(super) struct Group<'c> {
    connection: &'c Connection,
    room: &'c Room,
    /// What the disk had left when it was first asked for, and how much of it was taken.
    left: Option<Left>,
    taken: u64,
    /// Publications of this group. Their rows are written when all of them are known, since the signature and the
    /// paths depend on all.
    pub(super) appends: Appends,
    /// What this group adds to the counts.
    pub(super) tally: Tally,
    /// Why SQLite has given the whole transaction up.
    lost: Option<Error>,
}

impl<'c> Group<'c> {
    pub(super) fn begin(connection: &'c Connection, room: &'c Room) -> Result<Self, Error> {
        // IMMEDIATE: a lock that we cannot get is found out here and not half-way.
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        Ok(Self {
            connection,
            room,
            left: None,
            taken: 0,
            appends: Appends::default(),
            tally: Tally::default(),
            lost: None,
        })
    }

    /// The connection, in this group's transaction.
    pub(super) fn db(&self) -> &'c Connection {
        self.connection
    }

    /// Whether the disk has room for so many bytes more than what the group has. Asked before anything is accepted; what
    /// was accepted before may always be written.
    pub(super) fn take_room(&mut self, bytes: u64) -> Result<(), Error> {
        let left = match self.left {
            Some(left) => left,
            None => *self.left.insert(self.room.left(self.connection)?),
        };
        self.taken += bytes;
        left.check(self.taken)
    }

    /// Whether there is a transaction left to add to.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Runs one write so that its failure, or panic, undoes that write and no other.
    pub(super) fn attempt<T>(
        &mut self,
        manner: Manner,
        write: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (appends, tally) = (self.appends.len(), self.tally);
        let changes_rows = manner != Manner::Append;
        if changes_rows {
            self.connection.prepare_cached("SAVEPOINT one_write")?.execute([])?;
        }
        let result = catch_unwind(AssertUnwindSafe(|| write(self))).unwrap_or(Err(Error::Panicked));
        let result = if changes_rows { result.and_then(|value| self.release().map(|()| value)) } else { result };
        if let Err(error) = &result {
            self.appends.truncate(appends);
            self.tally = tally;
            let undone = if changes_rows { self.undo() } else { Ok(()) };
            // A full disk can make SQLite roll back all of the transaction, and not only the statement.
            self.lost = if self.connection.is_autocommit() { Some(error.clone()) } else { undone.err() };
        }
        result
    }

    fn undo(&self) -> Result<(), Error> {
        self.connection.prepare_cached("ROLLBACK TO one_write")?.execute([])?;
        self.release()
    }

    fn release(&self) -> Result<(), Error> {
        self.connection.prepare_cached("RELEASE one_write")?.execute([])?;
        Ok(())
    }

    /// Signs and writes what was appended, and returns once everything is on disk.
    pub(super) fn commit(mut self, signer: &Signer, epoch: i64) -> Result<(), Error> {
        if let Some(lost) = self.lost.take() {
            return Err(lost);
        }
        let appends = std::mem::take(&mut self.appends);
        catch_unwind(AssertUnwindSafe(|| appends.write(&mut self, signer, epoch))).unwrap_or(Err(Error::Panicked))?;
        self.tally.write(self.connection)?;
        kill_point!("store.before-commit");
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        kill_point!("store.committed");
        Ok(())
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        // After a commit there is no transaction any more. If the rollback fails, the next BEGIN will tell.
        if !self.connection.is_autocommit() {
            _ = self.connection.execute_batch("ROLLBACK");
        }
    }
}
