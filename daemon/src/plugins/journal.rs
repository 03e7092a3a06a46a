//! The log of each plugin: what it said and printed, and when its workers came and went.

mod file;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use coattail::id::CallId;
use coattail::rpc::Session;
use coattail::wire::control::{LogLine, LogLines};
use coattail::wire::host::Level;
use coattail::wire::{ErrorCode, Failure};
use tokio::sync::oneshot;

use super::PluginId;
use crate::feeds::{Passed, Rate};
use file::Files;

/// Lines and questions that wait for the thread; more lines are left out and counted, more questions are refused.
const QUEUE: usize = 4_096;

/// Sessions that follow the log of one plugin.
const FOLLOWERS: usize = 16;

/// Plugins whose rate is remembered; beyond that all begin anew.
const RATES: usize = 4_096;

/// The logs of the plugins of an instance, in files of bounded size. Nobody ever waits for a line to be written. Cheap
/// to clone.
///
/// After a kill, the last lines may be missing or torn: what is no line is passed over when it is read.
#[derive(Debug, Clone, Default)]
pub struct Journals {
    shared: Option<Arc<Shared>>,
}

#[derive(Debug)]
struct Shared {
    // Std mutexes: held for a moment, and never over an await.
    queue: Mutex<Option<mpsc::SyncSender<Command>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    rates: Mutex<HashMap<PluginId, Rate>>,
}

enum Command {
    Write(PluginId, LogLine),
    Read {
        plugin: PluginId,
        lines: usize,
        follower: Option<Session>,
        answer: oneshot::Sender<Result<LogLines, Failure>>,
    },
}

impl Journals {
    /// Keeps them in this folder, which is made when there is something to keep.
    ///
    /// # Errors
    /// If the thread that writes cannot be started.
    pub fn new(folder: PathBuf) -> std::io::Result<Self> {
        let (queue, commands) = mpsc::sync_channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("plugin logs".to_owned())
            .spawn(move || Writer { files: Files::new(folder), followers: HashMap::new() }.run(&commands))?;
        let (queue, thread) = (Mutex::new(Some(queue)), Mutex::new(Some(thread)));
        Ok(Self { shared: Some(Arc::new(Shared { queue, thread, rates: Mutex::default() })) })
    }

    /// Notes a line, unless there are too many.
    pub(crate) fn write(&self, plugin: &PluginId, level: Level, call: Option<CallId>, message: &str) {
        let Some(shared) = &self.shared else { return };
        match shared.pass(plugin) {
            Passed::No => {}
            Passed::After(left_out) => {
                if left_out > 0 {
                    let message = format!("{left_out} lines were left out: too many in a second");
                    shared.send(plugin, line(Level::Warn, None, message));
                }
                shared.send(plugin, line(level, call, message.to_owned()));
            }
        }
    }

    /// The last lines of a plugin's log. Whoever follows it gets what comes after them.
    pub(crate) async fn read(
        &self,
        plugin: PluginId,
        lines: usize,
        follower: Option<Session>,
    ) -> Result<LogLines, Failure> {
        let (answer, wait) = oneshot::channel();
        let gone = || Failure::new(ErrorCode::ShuttingDown, "the service is stopping");
        let queue = self.shared.as_ref().and_then(|shared| lock(&shared.queue).clone()).ok_or_else(gone)?;
        queue.try_send(Command::Read { plugin, lines, follower, answer }).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => Failure::busy("the logs of plugins are being written"),
            mpsc::TrySendError::Disconnected(_) => gone(),
        })?;
        drop(queue);
        wait.await.map_err(|_| gone())?
    }

    /// Writes what waits, and ends.
    pub(crate) async fn close(&self) {
        let Some(shared) = &self.shared else { return };
        drop(lock(&shared.queue).take());
        let thread = lock(&shared.thread).take();
        // It has at most a queue to write, and nobody can add to it.
        let _ = tokio::task::spawn_blocking(move || thread.map(JoinHandle::join)).await;
    }
}

impl Shared {
    fn pass(&self, plugin: &PluginId) -> Passed {
        let (now, mut rates) = (Instant::now(), lock(&self.rates));
        if let Some(rate) = rates.get_mut(plugin) {
            return rate.pass(now);
        }
        if rates.len() >= RATES {
            rates.clear();
        }
        rates.entry(plugin.clone()).or_insert_with(|| Rate::new(now)).pass(now)
    }

    fn send(&self, plugin: &PluginId, line: LogLine) {
        let queue = lock(&self.queue);
        let is_full = |queue: &mpsc::SyncSender<Command>| {
            matches!(queue.try_send(Command::Write(plugin.clone(), line)), Err(mpsc::TrySendError::Full(_)))
        };
        if queue.as_ref().is_some_and(is_full) {
            tracing::debug!(%plugin, "a line of its log found no room");
        }
    }
}

/// What the thread has.
struct Writer {
    files: Files,
    followers: HashMap<PluginId, Vec<Session>>,
}

impl Writer {
    /// Until every sender is gone and the queue is empty.
    fn run(mut self, commands: &mpsc::Receiver<Command>) {
        while let Ok(command) = commands.recv() {
            match command {
                Command::Write(plugin, line) => self.write(&plugin, &line),
                Command::Read { plugin, lines, follower, answer } => {
                    // Whoever asked may have gone.
                    let _ = answer.send(self.read(plugin, lines, follower));
                }
            }
        }
    }

    fn write(&mut self, plugin: &PluginId, line: &LogLine) {
        if let Err(error) = self.files.append(plugin, line) {
            tracing::debug!(%plugin, %error, "its log could not be written");
        }
        if let Some(followers) = self.followers.get_mut(plugin) {
            followers.retain(|session| !session.is_closed());
            for session in followers.iter() {
                // Who is too slow misses a line; the file has it.
                session.try_notify(line);
            }
        }
    }

    fn read(&mut self, plugin: PluginId, lines: usize, follower: Option<Session>) -> Result<LogLines, Failure> {
        let lines = self.files.tail(&plugin, lines).map_err(|error| {
            Failure::new(ErrorCode::Internal, format!("the log of {plugin} cannot be read: {error}"))
                .hint("check that you own the folder `.coattail/logs` of the instance")
        })?;
        if let Some(session) = follower {
            self.followers.retain(|_, sessions| {
                sessions.retain(|session| !session.is_closed());
                !sessions.is_empty()
            });
            let followers = self.followers.entry(plugin).or_default();
            if followers.len() >= FOLLOWERS {
                return Err(Failure::busy(format!("this log is followed by {FOLLOWERS} already")));
            }
            followers.push(session);
        }
        Ok(LogLines { lines })
    }
}

fn line(level: Level, call: Option<CallId>, message: String) -> LogLine {
    LogLine { time: jiff::Timestamp::now().to_string(), level, message, call }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use coattail::rpc::{Limits, Service, pair};
    use coattail::wire::Done;
    use coattail::wire::plugin::Kind;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::*;

    #[tokio::test]
    async fn a_log_is_kept_read_and_followed_without_a_gap() {
        let folder = tempfile::tempdir().unwrap();
        let journals = Journals::new(folder.path().join("logs")).unwrap();
        let plugin = PluginId { kind: Kind::Action, name: "Count".to_owned() };
        let (heard, mut hear) = tokio::sync::mpsc::channel(16);
        let heard = Arc::new(heard);
        let service =
            Service::new().on_in_order(&heard, |heard: &tokio::sync::mpsc::Sender<String>, _, line: LogLine| {
                heard.try_send(line.message).unwrap();
                Ok(Done {})
            });
        let ((theirs, run), (_, run_theirs)) =
            pair(Service::new(), service, &Limits::default(), &CancellationToken::new());
        let tasks = TaskTracker::new();
        tasks.spawn(run);
        tasks.spawn(run_theirs);

        journals.write(&plugin, Level::Info, None, "one");
        journals.write(&plugin, Level::Warn, Some(CallId::new()), "two");
        let read = journals.read(plugin.clone(), 1, Some(theirs)).await.unwrap();
        assert_eq!(read.lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["two"]);
        journals.write(&plugin, Level::Info, None, "three");
        assert_eq!(hear.recv().await.unwrap(), "three");
        journals.close().await;
        assert_eq!(journals.read(plugin.clone(), 1, None).await.unwrap_err().code, ErrorCode::ShuttingDown);

        let again = Journals::new(folder.path().join("logs")).unwrap();
        assert_eq!(again.read(plugin, 10, None).await.unwrap().lines.len(), 3);
    }

    #[tokio::test]
    async fn a_chatty_plugin_leaves_room_for_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let journals = Journals::new(folder.path().to_owned()).unwrap();
        let id = |name: &str| PluginId { kind: Kind::Action, name: name.to_owned() };
        for _ in 0..3 * QUEUE {
            journals.write(&id("chatty"), Level::Info, None, "again");
        }
        journals.write(&id("quiet"), Level::Info, None, "once");
        assert_eq!(journals.read(id("quiet"), 10, None).await.unwrap().lines.len(), 1);
    }
}
