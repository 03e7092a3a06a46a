//! The loops of the threads that own the connections.

use std::cell::Cell;
use std::collections::VecDeque;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use coattail::kill_point;
use rusqlite::Connection;
use rusqlite::hooks::Wal;
use tokio::sync::{mpsc, oneshot};

use super::Error;
use super::group::{Group, Manner, Signer};
use super::room::Room;

/// Something to be done in a group's transaction, and answered when the fate of the group is known.
pub(super) trait Write: Send {
    /// Called once.
    fn run(&mut self, group: &mut Group<'_>);
    /// Whether its answer need not wait for the disk.
    fn is_lazy(&self) -> bool;
    /// Called once, whether or not it was run.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

/// The one implementation of [`Write`]: a closure, its result, and who waits for it.
pub(super) struct Job<F, T> {
    work: Option<F>,
    result: Option<Result<T, Error>>,
    waiting: oneshot::Sender<Result<T, Error>>,
    manner: Manner,
}

impl<F, T> Job<F, T> {
    pub(super) fn new(work: F, waiting: oneshot::Sender<Result<T, Error>>, manner: Manner) -> Self {
        Self { work: Some(work), result: None, waiting, manner }
    }
}

impl<F, T> Write for Job<F, T>
where
    F: FnOnce(&mut Group<'_>) -> Result<T, Error> + Send,
    T: Send,
{
    fn run(&mut self, group: &mut Group<'_>) {
        if let Some(work) = self.work.take() {
            self.result = Some(group.attempt(self.manner, work));
        }
    }

    fn is_lazy(&self) -> bool {
        self.manner == Manner::Lazy
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let answer = match (self.result, committed) {
            (Some(Err(own)), _) => Err(own),
            (_, Err(shared)) => Err(shared),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(Error::Panicked),
        };
        // Whoever asked may have gone; what was done stays done.
        _ = self.waiting.send(answer);
    }
}

/// Runs writes until every sender is gone and the queue is empty.
pub(super) fn write(desk: &Desk, queue: &mut mpsc::Receiver<Box<dyn Write>>) {
    let mut waiting = Waiting { taken: VecDeque::with_capacity(GROUP_WRITES), queue };
    let (mut group, mut durability) = (Vec::with_capacity(GROUP_WRITES), Durability::default());
    desk.connection.wal_hook(Some(note_pages));
    while let Some(first) = waiting.first() {
        group.push(first);
        let mut commit = || commit_together(desk, &mut durability, &mut waiting, &mut group);
        let committed = desk.room.failure().and_then(|()| commit());
        let committed = committed.map_err(|error| desk.stopped_by(error));
        for write in group.drain(..) {
            write.answer(committed.clone());
        }
        kill_point!("store.answered");
        // After the answers, which need not wait for it.
        checkpoint(desk);
    }
}

/// What the writing thread works with.
pub(super) struct Desk {
    pub(super) connection: Connection,
    pub(super) signer: Signer,
    pub(super) epoch: i64,
    pub(super) room: Arc<Room>,
    /// Where the write-ahead log is.
    pub(super) log: PathBuf,
    /// Pages after which it is written back; 0 if that is to be asked for.
    pub(super) longest: Cell<u64>,
}

impl Desk {
    /// A disk that fails while it is written to is not written to again.
    fn stopped_by(&self, error: Error) -> Error {
        match error {
            Error::Disk(_) | Error::Cut { .. } => self.room.fail(error),
            error => error,
        }
    }

    /// The write-ahead log is as long as it was after the last commit. SQLite does not look: what it appended to one that
    /// somebody has cut would be behind a hole, and lost at the next start.
    fn check_log(&self) -> Result<(), Error> {
        let expected = match PAGES.get() {
            0 => 0,
            pages => LOG_HEADER + pages * LOG_PAGE,
        };
        let found = std::fs::metadata(&self.log).map_or(0, |file| file.len());
        if found < expected { Err(Error::Cut { path: self.log.clone(), expected, found }) } else { Ok(()) }
    }
}

thread_local! {
    /// Pages in the write-ahead log of this thread's connection: SQLite tells it by a function that knows nothing.
    static PAGES: Cell<u64> = const { Cell::new(0) };
}

#[expect(clippy::unnecessary_wraps, reason = "the type of a hook")]
fn note_pages(_: &Wal, pages: c_int) -> rusqlite::Result<()> {
    PAGES.set(u64::try_from(pages).unwrap_or_default());
    Ok(())
}

/// Writes the write-ahead log back when it is long. SQLite would do it by itself, and would not say if the disk fails in
/// it. If it cannot be done now, as when the disk is full, it is done after one of the next commits.
fn checkpoint(desk: &Desk) {
    if desk.longest.get() == 0 {
        desk.longest.set(desk.room.checkpoint_pages(&desk.connection));
    }
    if PAGES.get() < desk.longest.get() || desk.room.failure().is_err() {
        return;
    }
    // Asked for again: the disk may have another size.
    desk.longest.set(0);
    let done = desk.connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    match done.map_err(|error| desk.stopped_by(error.into())) {
        Ok(()) => PAGES.set(0),
        Err(error) => tracing::debug!(%error, "the write-ahead log was not written back"),
    }
}

/// Nobody waits for a group to fill: it takes what has come while the group before was on its way to the disk.
fn commit_together(
    desk: &Desk,
    durability: &mut Durability,
    waiting: &mut Waiting<'_>,
    writes: &mut Vec<Box<dyn Write>>,
) -> Result<(), Error> {
    desk.check_log()?;
    let is_lazy = waiting.are_lazy() && writes[0].is_lazy();
    durability.set(&desk.connection, is_lazy)?;
    let mut group = Group::begin(&desk.connection, &desk.room)?;
    writes[0].run(&mut group);
    while writes.len() < GROUP_WRITES && group.appends.bytes() < GROUP_BYTES && !group.is_lost() {
        let Some(mut next) = waiting.next(is_lazy) else { break };
        next.run(&mut group);
        writes.push(next);
    }
    kill_point!("store.written");
    group.commit(&desk.signer, desk.epoch)
}

/// What waits to be written, in the order in which it came.
struct Waiting<'q> {
    /// What was taken from the queue to be looked at.
    taken: VecDeque<Box<dyn Write>>,
    queue: &'q mut mpsc::Receiver<Box<dyn Write>>,
}

impl Waiting<'_> {
    /// Waits for it.
    fn first(&mut self) -> Option<Box<dyn Write>> {
        self.taken.pop_front().or_else(|| self.queue.blocking_recv())
    }

    /// Whether nobody of those who wait now waits for the disk.
    fn are_lazy(&mut self) -> bool {
        while self.taken.len() < GROUP_WRITES
            && let Ok(next) = self.queue.try_recv()
        {
            self.taken.push_back(next);
        }
        self.taken.iter().all(|write| write.is_lazy())
    }

    /// Who comes later may wait for the disk, and so does not join those who do not.
    fn next(&mut self, is_lazy: bool) -> Option<Box<dyn Write>> {
        let later = |queue: &mut mpsc::Receiver<_>| (!is_lazy).then(|| queue.try_recv().ok()).flatten();
        self.taken.pop_front().or_else(|| later(self.queue))
    }
}

/// Whether a commit waits until it is on disk. One that does not is on disk with the next one that does, since the
/// write-ahead log is written in order, or with the next checkpoint; it survives the end of the process, but perhaps not
/// that of the machine.
#[derive(Debug, Default)]
struct Durability {
    /// What the connection is set to; it begins with waiting.
    is_lazy: bool,
}

impl Durability {
    fn set(&mut self, connection: &Connection, is_lazy: bool) -> Result<(), Error> {
        if self.is_lazy != is_lazy {
            connection.pragma_update(None, "synchronous", if is_lazy { "normal" } else { "full" })?;
            self.is_lazy = is_lazy;
        }
        Ok(())
    }
}

/// A question to a reading thread; it answers by itself.
pub(super) type Read = Box<dyn FnOnce(&Connection) + Send>;

/// Answers questions until every sender is gone and the queue is empty. Several threads share a queue.
pub(super) fn read(connection: &Connection, queue: &Mutex<mpsc::Receiver<Read>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(question) = next else { return };
        // Whoever asked learns of a panic from the dropped sender.
        _ = catch_unwind(AssertUnwindSafe(|| question(connection)));
    }
}

/// The write-ahead log as its format has it: bytes of its header, and of a page with the header of that.
const LOG_HEADER: u64 = 32;
const LOG_PAGE: u64 = 24 + 4096;

/// Writes that share a transaction at most: an fsync is then a small part of the cost, and the first of them does not
/// wait long for the last.
const GROUP_WRITES: usize = 256;

/// Bytes of payloads after which a group takes no more writes: bounds the memory, and the time until the commit.
const GROUP_BYTES: u64 = 16 << 20;
