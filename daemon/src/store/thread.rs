//! The loops of the threads that own the connections.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use coattail::kill_point;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::Error;
use super::group::{Group, Signer};

/// Something to be done in a group's transaction, and answered when the fate of the group is known.
pub(super) trait Write: Send {
    /// Called once.
    fn run(&mut self, group: &mut Group<'_>);
    /// Called once, whether or not it was run.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

/// The one implementation of [`Write`]: a closure, its result, and who waits for it.
pub(super) struct Job<F, T> {
    work: Option<F>,
    result: Option<Result<T, Error>>,
    waiting: oneshot::Sender<Result<T, Error>>,
}

impl<F, T> Job<F, T> {
    pub(super) fn new(work: F, waiting: oneshot::Sender<Result<T, Error>>) -> Self {
        Self { work: Some(work), result: None, waiting }
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
    let mut group = Vec::with_capacity(GROUP_WRITES);
    while let Some(first) = queue.blocking_recv() {
        group.push(first);
        let committed = commit_together(connection, (signer, epoch), queue, &mut group);
        for write in group.drain(..) {
            write.answer(committed.clone());
        }
        kill_point!("store.answered");
    }
}

/// Nobody waits for a group to fill: it takes what has come while the group before was on its way to the disk.
fn commit_together(
    connection: &Connection,
    (signer, epoch): (&Signer, i64),
    queue: &mut mpsc::Receiver<Box<dyn Write>>,
    writes: &mut Vec<Box<dyn Write>>,
) -> Result<(), Error> {
    let mut group = Group::begin(connection)?;
    writes[0].run(&mut group);
    while writes.len() < GROUP_WRITES && group.appends.bytes() < GROUP_BYTES && !group.is_lost() {
        let Ok(mut next) = queue.try_recv() else { break };
        next.run(&mut group);
        writes.push(next);
    }
    kill_point!("store.written");
    group.commit(signer, epoch)
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
