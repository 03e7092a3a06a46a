use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use coattail::id::IssuerHash;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot};

use super::group::{Group, Manner, Signer};
use super::migrate::{check_version, connect};
use super::room::{Disk, Room};
use super::thread::{self, Desk, Job, Read, Write};
use super::{Database, Error, epochs};

/// The database of an instance. Cheap to clone.
///
/// A write is on disk when its function returns. Who stops waiting does not undo it: it is done, or not, as a whole.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    issuer: IssuerHash,
    /// `None` once closed.
    queues: Mutex<Option<Queues>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    room: Arc<Room>,
    has_told_damage: AtomicBool,
    has_told_failure: AtomicBool,
}

#[derive(Clone)]
struct Queues {
    writes: mpsc::Sender<Box<dyn Write>>,
    reads: mpsc::Sender<Read>,
}

impl Store {
    /// Works with a database of this very schema version; [`migrate`](super::migrate()) makes it one. Blocks for a moment.
    /// `epoch` is a file of ours that remembers the last opening; it may be missing.
    ///
    /// After a crash SQLite finds every committed transaction in the file or its write-ahead log, and nothing of the
    /// one that was under way.
    pub fn open(database: Database, signer: Signer, epoch: &Path) -> Result<Self, Error> {
        let Database { connection: writer, path } = database;
        check_version(&writer, &path)?;
        writer.pragma_update(None, "journal_mode", "wal")?;
        writer.pragma_update(None, "synchronous", "full")?;
        // Only macOS knows the difference: there fsync alone does not reach the disk.
        writer.pragma_update(None, "fullfsync", true)?;
        writer.pragma_update(None, "foreign_keys", true)?;
        writer.pragma_update(None, "journal_size_limit", JOURNAL_BYTES)?;
        let readers =
            (0..READERS).map(|_| connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY)).collect::<Result<Vec<_>, _>>()?;
        let epoch = epochs::begin(&writer, epoch, jiff::Timestamp::now().as_millisecond())?;
        Self::start(writer, readers, (signer, epoch), &path)
    }

    fn start(
        writer: Connection,
        readers: Vec<Connection>,
        (signer, epoch): (Signer, i64),
        path: &Path,
    ) -> Result<Self, Error> {
        let not_started = |source| Error::Open { path: path.to_owned(), source: Arc::new(source) };
        let issuer = signer.issuer;
        let (writes, mut write_queue) = mpsc::channel(WRITE_QUEUE);
        let (reads, read_queue) = mpsc::channel(READ_QUEUE);
        let read_queue = Arc::new(Mutex::new(read_queue));
        // The writer last, where `close` looks for it: the last connection to close checkpoints the write-ahead log, and
        // only the writer can.
        let room = Arc::new(Room::below(path.parent().unwrap_or(Path::new(".")).to_owned()));
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let desk =
            Desk { connection: writer, signer, epoch, room: Arc::clone(&room), log: log.into(), longest: Cell::new(0) };
        let mut threads = Vec::new();
        for connection in readers {
            let queue = Arc::clone(&read_queue);
            let named = std::thread::Builder::new().name("store-read".to_owned());
            threads.push(named.spawn(move || thread::read(&connection, &queue)).map_err(not_started)?);
        }
        let named = std::thread::Builder::new().name("store-write".to_owned());
        threads.push(named.spawn(move || thread::write(&desk, &mut write_queue)).map_err(not_started)?);
        let queues = Mutex::new(Some(Queues { writes, reads }));
        Ok(Self {
            shared: Arc::new(Shared {
                issuer,
                queues,
                threads: Mutex::new(threads),
                room,
                has_told_damage: AtomicBool::new(false),
                has_told_failure: AtomicBool::new(false),
            }),
        })
    }

    /// Takes no more work, does what is queued, and returns when the files are closed. May be called twice.
    ///
    /// Dropping every clone does the same, but nobody waits for it.
    pub async fn close(&self) {
        let queues = lock(&self.shared.queues).take();
        let mut threads = std::mem::take(&mut *lock(&self.shared.threads));
        let (reads, writes) = queues.map(|Queues { reads, writes }| (reads, writes)).unzip();
        // Order: all readers, then the writer, which then is the last to close and leaves no write-ahead log behind.
        drop(reads);
        let writer = threads.pop();
        // The threads catch panics, so a failed join has nothing to tell.
        let join = move || {
            threads.into_iter().for_each(|thread| _ = thread.join());
            drop(writes);
            _ = writer.map(JoinHandle::join);
        };
        _ = tokio::task::spawn_blocking(join).await;
    }

    /// Reads the whole file and tells what is wrong with it; nothing if all is well. Takes long.
    pub async fn check(&self) -> Result<Vec<String>, Error> {
        self.read(|db| {
            let mut faults = db.prepare("PRAGMA quick_check")?;
            let faults = faults.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
            Ok(faults.into_iter().filter(|fault| fault != "ok").collect())
        })
        .await
    }

    /// Accepts nothing that would take the last so many bytes of the disk, or a sixteenth of one that is small: they are
    /// kept for what was accepted.
    pub fn keep_free(&self, bytes: u64) {
        self.shared.room.keep(bytes);
    }

    /// How the disk is, and whether anything is accepted.
    pub async fn disk(&self) -> Result<Disk, Error> {
        let room = Arc::clone(&self.shared.room);
        self.read(move |db| room.disk(db)).await
    }

    /// From now on nothing is written.
    pub(super) fn fail(&self, error: Error) -> Error {
        self.shared.room.fail(error)
    }

    /// Whether anything is written: an error once the disk has failed.
    pub fn is_writable(&self) -> Result<(), Error> {
        self.shared.room.failure()
    }

    /// The instance whose database it is.
    pub(super) fn issuer(&self) -> IssuerHash {
        self.shared.issuer
    }

    /// Runs `work` on the writing thread and returns when its group is on disk. A full queue waits.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnOnce(&mut Group<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        self.write_in(Manner::Durable, work).await
    }

    /// As [`write`](Self::write), but returns when its group is committed: it is on disk with the next that has to be.
    /// It survives the end of this process. If the machine ends before, it is as if it had not been done: for what is
    /// only done again then.
    pub(super) async fn write_lazily<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnOnce(&mut Group<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        self.write_in(Manner::Lazy, work).await
    }

    /// As [`write`](Self::write), in a manner of its own.
    pub(super) async fn write_in<T, F>(&self, manner: Manner, work: F) -> Result<T, Error>
    where
        F: FnOnce(&mut Group<'_>) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let (waiting, answer) = oneshot::channel();
        let queue = self.queues()?.writes;
        queue.send(Box::new(Job::new(work, waiting, manner))).await.map_err(|_| Error::Closed)?;
        drop(queue);
        self.noticed(answer.await.unwrap_or(Err(Error::Panicked)))
    }

    /// Runs `work` on a reading thread, in a transaction of its own: it sees one state of the database.
    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
        T: Send + 'static,
    {
        let (waiting, answer) = oneshot::channel();
        let question: Read = Box::new(move |connection| {
            let in_transaction = || work(&*connection.unchecked_transaction()?);
            _ = waiting.send(in_transaction());
        });
        let queue = self.queues()?.reads;
        queue.send(question).await.map_err(|_| Error::Closed)?;
        drop(queue);
        self.noticed(answer.await.unwrap_or(Err(Error::Panicked)))
    }

    /// Damage is told, once, whoever met it: a delivery that is tried again and again says nothing aloud.
    fn noticed<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        if let Err(error @ Error::Damaged(_)) = &outcome
            && !self.shared.has_told_damage.swap(true, Ordering::Relaxed)
        {
            tracing::error!(%error, hint = error.hint(), "what is in it can be lost");
        }
        if let Err(error @ Error::Stopped(why)) = &outcome
            && !self.shared.has_told_failure.swap(true, Ordering::Relaxed)
        {
            tracing::error!(%error, %why, hint = error.hint(), "the database is not written to any more");
        }
        outcome
    }

    fn queues(&self) -> Result<Queues, Error> {
        lock(&self.shared.queues).clone().ok_or(Error::Closed)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("issuer", &self.shared.issuer).finish_non_exhaustive()
    }
}

/// What these mutexes hold is whole at every moment, so a panic elsewhere spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes that wait for the thread; whoever brings one more waits with it. Four groups.
const WRITE_QUEUE: usize = 1024;

/// Questions that wait for a thread.
const READ_QUEUE: usize = 256;

/// Reading threads: one slow question does not hold up all others.
const READERS: usize = 2;

/// What the write-ahead log keeps on disk after a burst, in bytes.
const JOURNAL_BYTES: u32 = 64 << 20;

#[cfg(test)]
mod tests {
    use coattail::wire::ErrorCode;
    use futures::future::{join_all, try_join_all};

    use super::*;
    use crate::store::testing::{action, draft, peer, signer, store};

    #[tokio::test]
    async fn writes_that_wait_share_a_transaction_and_fail_alone() {
        let store = store();
        let writes = (0..200).map(|n| {
            let work = move |group: &mut Group<'_>| {
                group.db().execute("UPDATE counts SET published = published + 1", [])?;
                match n % 5 {
                    0 => Err(Error::Missing("number")),
                    1 => panic!("a write that panics"),
                    _ => Ok(n),
                }
            };
            store.write::<i32, _>(work)
        });
        for (n, result) in join_all(writes).await.into_iter().enumerate() {
            match n % 5 {
                0 => assert!(matches!(result, Err(Error::Missing("number")))),
                1 => assert!(matches!(result, Err(Error::Panicked))),
                _ => assert_eq!(result.unwrap(), n as i32),
            }
        }
        assert_eq!(store.counts().await.unwrap().published, 120);
    }

    #[tokio::test]
    async fn a_lazy_write_waits_for_the_disk_only_with_others_that_do() {
        let store = store();
        let setting =
            |group: &mut Group<'_>| Ok(group.db().query_row("PRAGMA synchronous", [], |row| row.get::<_, i64>(0))?);
        let (normal, full) = (1, 2);
        assert_eq!(store.write_lazily(setting).await.unwrap(), normal);
        assert_eq!(store.write(setting).await.unwrap(), full);
        assert_eq!(store.write_lazily(setting).await.unwrap(), normal);
        // While the thread is busy, both come to wait, and share a group.
        let (go, gone) = std::sync::mpsc::sync_channel::<()>(1);
        let busy = store.write_lazily(move |_| gone.recv().map_err(|_| Error::Closed));
        let go = async { go.send(()).unwrap() };
        let (_, lazy, durable, ()) = tokio::join!(busy, store.write_lazily(setting), store.write(setting), go);
        assert_eq!((lazy.unwrap(), durable.unwrap()), (full, full));
    }

    #[tokio::test]
    async fn a_reader_that_panics_leaves_the_others() {
        let store = store();
        for _ in 0..2 * READERS {
            let result = store.read::<(), _>(|_| panic!("a question that panics")).await;
            assert!(matches!(result, Err(Error::Panicked)));
        }
        assert!(store.peers().await.unwrap().is_empty());
        let write = store.read(|db| Ok(db.execute("DELETE FROM peers", [])?)).await;
        assert!(matches!(write, Err(Error::Sqlite(_))), "readers cannot write");
    }

    #[tokio::test]
    async fn close_does_what_is_queued_and_takes_no_more() {
        let store = store();
        let appends = try_join_all((0..300).map(|_| store.append(draft("a", "1"))));
        // The appends are polled first, and all of them are queued before they yield.
        let (appended, ()) = tokio::join!(appends, store.close());
        assert_eq!(appended.unwrap().len(), 300);
        store.close().await;
        assert!(matches!(store.peers().await, Err(Error::Closed)));
        let refused = store.append(draft("a", "1")).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::ShuttingDown);

        let again =
            Store::open(Database::open(&store.path).unwrap(), signer(), &store.path.with_extension("epoch")).unwrap();
        assert_eq!(again.head(action("a")).await.unwrap().unwrap().head, 300);
        assert!(again.check().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_was_answered_is_there_for_whoever_opens_next() {
        let store = store();
        store.append(draft("a", "1")).await.unwrap();
        // As after a crash: nothing was closed, and the file is opened again.
        let again =
            Store::open(Database::open(&store.path).unwrap(), signer(), &store.path.with_extension("epoch")).unwrap();
        assert_eq!(again.append(draft("a", "1")).await.unwrap().sequence, 2);
    }

    #[tokio::test]
    async fn a_full_disk_is_told_and_the_store_goes_on_when_there_is_room() {
        let store = store();
        store.append(draft("a", "1")).await.unwrap();
        let limit = async |pages: &'static str| {
            let set = move |group: &mut Group<'_>| {
                Ok(group.db().query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?)
            };
            store.write(set).await.unwrap();
        };
        limit("1").await; // SQLite takes this as: no more than now.
        let large = format!("\"{}\"", "x".repeat(1 << 20));
        let results = join_all((0..10).map(|_| store.append(draft("a", &large)))).await;
        for error in results.into_iter().map(Result::unwrap_err) {
            assert!(matches!(error, Error::Full(_)), "{error:?}");
            assert_eq!(error.code(), ErrorCode::StorageFull);
        }
        assert_eq!(store.head(action("a")).await.unwrap().unwrap().head, 1);
        limit("1000000").await;
        store.add_peer(peer("them")).await.unwrap();
        assert_eq!(store.append(draft("a", &large)).await.unwrap().sequence, 2);
    }

    #[tokio::test]
    async fn damage_is_told_as_damage() {
        let store = store();
        let large = format!("\"{}\"", "x".repeat(1 << 16));
        store.append(draft("a", &large)).await.unwrap();
        store.close().await;
        let mut bytes = std::fs::read(&store.path).unwrap();
        // Everything but the first page, which has the header and the schema.
        bytes[4096..].fill(0xaa);
        std::fs::write(&store.path, bytes).unwrap();
        // Found out when the file is opened, or when the page is read.
        let error = match Database::open(&store.path)
            .and_then(|database| Store::open(database, signer(), &store.path.with_extension("epoch")))
        {
            Ok(again) => again.append(draft("a", "1")).await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(error, Error::Damaged(_)), "{error:?}");
        assert!(error.hint().is_some());
    }
}
