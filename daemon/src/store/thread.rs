//! The loops of the threads that own the connections.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::Error;
use super::group::{Group, Signer};

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
    is_lazy: bool,
}

impl<F, T> Job<F, T> {
    pub(super) fn new(work: F, waiting: oneshot::Sender<Result<T, Error>>, is_lazy: bool) -> Self {
        Self { work: Some(work), result: None, waiting, is_lazy }
    }
}

impl<F, T> Write for Job<F, T>
where
    F: FnOnce(&mut Group<'_>) -> Result<T, Error> + Send,
    T: Send,
{
    fn run(&mut self, group: &mut Group<'_>) {
        if let Some(work) = self.work.take() {
            self.result = Some(group.attempt(work));
        }
    }

    fn is_lazy(&self) -> bool {
        self.is_lazy
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
pub(super) fn write(connection: &Connection, signer: &Signer, epoch: i64, queue: &mut mpsc::Receiver<Box<dyn Write>>) {
    let mut waiting = Waiting { taken: VecDeque::with_capacity(GROUP_WRITES), queue };
    let (mut group, mut durability) = (Vec::with_capacity(GROUP_WRITES), Durability::default());
    while let Some(first) = waiting.first() {
        group.push(first);
        let committed = commit_together(connection, (signer, epoch), &mut durability, &mut waiting, &mut group);
        for write in group.drain(..) {
            write.answer(committed.clone());
        }
    }
}

/// Nobody waits for a group to fill: it takes what has come while the group before was on its way to the disk.
fn commit_together(
    connection: &Connection,
    (signer, epoch): (&Signer, i64),
    durability: &mut Durability,
    waiting: &mut Waiting<'_>,
    writes: &mut Vec<Box<dyn Write>>,
) -> Result<(), Error> {
    let is_lazy = waiting.are_lazy() && writes[0].is_lazy();
    durability.set(connection, is_lazy)?;
    let mut group = Group::begin(connection)?;
    writes[0].run(&mut group);
    while writes.len() < GROUP_WRITES && group.appends.bytes() < GROUP_BYTES && !group.is_lost() {
        let Some(mut next) = waiting.next(is_lazy) else { break };
        next.run(&mut group);
        writes.push(next);
    }
    group.commit(signer, epoch)
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

/// Writes that share a transaction at most: an fsync is then a small part of the cost, and the first of them does not
/// wait long for the last.
const GROUP_WRITES: usize = 256;

/// Bytes of payloads after which a group takes no more writes: bounds the memory, and the time until the commit.
const GROUP_BYTES: u64 = 16 << 20;
