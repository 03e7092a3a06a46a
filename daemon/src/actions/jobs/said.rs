use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coattail::id::CallId;
use coattail::rpc::Session;
use coattail::wire::control::LogLine;
use coattail::wire::host::Level;
use coattail::wire::jobs::JobProgress;
use coattail::wire::{ErrorCode, Failure};
use tokio::sync::{mpsc, oneshot};

use crate::feeds::{Event, LogFile, Sink};

/// Bytes of each of the two files that a log has.
const FILE: u64 = 512 * 1024;

/// Lines of a job that wait to be written; more are left out of the file.
const QUEUE: usize = 1_024;

/// Lines that are written at once.
const BATCH: usize = 256;

/// Who may follow one job at once: as many as may wait for it over one connection.
const FOLLOWERS: usize = 1_024;

/// What a job says while somebody works on it: to those who follow it, and into its log. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    // A std mutex: held while an event is put into queues that never wait, and never over an await.
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    followers: Vec<Follower>,
    /// How many have followed it; names the next.
    named: u64,
    progress: Option<JobProgress>,
    log: Option<mpsc::Sender<Command>>,
}

#[derive(Debug)]
struct Follower {
    name: u64,
    session: Session,
    sink: Sink,
}

/// Follows a job until this is dropped.
#[derive(Debug)]
pub(crate) struct Following {
    said: Said,
    name: u64,
}

#[derive(Debug)]
enum Command {
    Write(LogLine),
    /// What is in the file when all before this is written.
    Read(oneshot::Sender<Vec<LogLine>>),
}

/// Where a job's log is. An id is a file name: nobody else chooses its characters.
pub(super) fn log_file(folder: &Path, id: CallId) -> LogFile {
    LogFile::new(folder.join(format!("{id}.log")), FILE)
}

/// The job whose log a file is, if it is one.
pub(super) fn job_of_file(path: &Path) -> Option<CallId> {
    path.file_name()?.to_str()?.split('.').next()?.parse().ok()
}

impl Said {
    /// Where the events of the job's call go.
    pub(super) fn sink(&self) -> Sink {
        let said = self.clone();
        Sink::new(move |call, event| {
            said.take(call, event);
            true
        })
    }

    /// Tells somebody what is said from now on.
    pub(super) fn follow(&self, session: Session, sink: Sink) -> Result<Following, Failure> {
        let name = self.add(session, sink)?;
        Ok(Following { said: self.clone(), name })
    }

    fn add(&self, session: Session, sink: Sink) -> Result<u64, Failure> {
        let mut state = self.lock();
        state.followers.retain(|follower| !follower.session.is_closed());
        if state.followers.len() >= FOLLOWERS {
            return Err(Failure::busy(format!("the job is followed by {FOLLOWERS} already")));
        }
        let name = state.named;
        state.named += 1;
        state.followers.push(Follower { name, session, sink });
        Ok(name)
    }

    /// What was logged so far; somebody else is told what comes after exactly that. Nothing if no log is kept now.
    pub(super) async fn read(&self, follower: Option<(Session, Sink)>) -> Result<Option<Vec<LogLine>>, Failure> {
        let answer = {
            let state = self.lock();
            let Some(log) = &state.log else { return Ok(None) };
            let (answer, wait) = oneshot::channel();
            log.try_send(Command::Read(answer)).map_err(|_| Failure::busy("the log of the job is being written"))?;
            drop(state);
            wait
        };
        // Between the two a line can be told twice, in the answer and after it; none is missed.
        if let Some((session, sink)) = follower {
            self.add(session, sink)?;
        }
        let gone = |_| Failure::new(ErrorCode::Internal, "the log of the job could not be read");
        answer.await.map(Some).map_err(gone)
    }

    /// How far it has got, as it last said.
    pub(super) fn progress(&self) -> Option<JobProgress> {
        self.lock().progress.clone()
    }

    /// Keeps a log. The future writes it, and ends after [`close`](Self::close).
    pub(super) fn keep(&self, file: LogFile) -> impl Future<Output = ()> + use<> {
        let (queue, commands) = mpsc::channel(QUEUE);
        self.lock().log = Some(queue);
        write(file, commands)
    }

    /// Nothing more is said.
    pub(super) fn close(&self) {
        self.lock().log = None;
    }

    fn take(&self, call: CallId, event: &Event) {
        let mut state = self.lock();
        let line = match event {
            Event::Log { level, message } => Some((*level, message)),
            Event::Output(message) => Some((Level::Info, message)),
            Event::Progress { fraction, message } => {
                state.progress = Some(JobProgress { fraction: *fraction, message: message.clone() });
                None
            }
            Event::Working => None,
        };
        if let (Some((level, message)), Some(log)) = (line, &state.log) {
            let time = jiff::Timestamp::now().to_string();
            // No room: those who follow it have heard it, or are told that they have not.
            let _ = log.try_send(Command::Write(LogLine { time, level, message: message.clone(), call: None }));
        }
        for follower in state.followers.iter().filter(|follower| follower.sink.wants(event)) {
            // Who is too slow misses it; the file has it.
            follower.sink.send(call, event);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.said.lock().followers.retain(|follower| follower.name != self.name);
    }
}

async fn write(file: LogFile, mut commands: mpsc::Receiver<Command>) {
    let mut batch = Vec::with_capacity(BATCH);
    while commands.recv_many(&mut batch, BATCH).await > 0 {
        let (file, commands) = (file.clone(), std::mem::take(&mut batch));
        let written =
            tokio::task::spawn_blocking(move || commands.into_iter().try_for_each(|command| done(&file, command)));
        if let Ok(Err(error)) = written.await {
            tracing::debug!(%error, "the log of a job could not be written");
        }
    }
}

fn done(file: &LogFile, command: Command) -> std::io::Result<()> {
    match command {
        Command::Write(line) => file.append(&line),
        Command::Read(answer) => {
            // Whoever asked may have gone.
            let _ = answer.send(file.tail(usize::MAX)?);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_said_is_kept_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let (said, id) = (Said::default(), CallId::new());
        let file = log_file(folder.path(), id);
        let writing = said.keep(file.clone());
        let sink = said.sink();
        let saying = async {
            let line = |message: &str| Event::Log { level: Level::Warn, message: message.to_owned() };
            sink.send(id, &line("one"));
            sink.send(id, &Event::Output("two".to_owned()));
            sink.send(id, &Event::Progress { fraction: Some(0.5), message: None });
            let lines = said.read(None).await.unwrap().unwrap();
            said.close();
            sink.send(id, &line("late"));
            lines
        };
        let (lines, ()) = tokio::join!(saying, writing);
        let heard: Vec<_> = lines.iter().map(|line| (line.level, line.message.as_str())).collect();
        assert_eq!(heard, [(Level::Warn, "one"), (Level::Info, "two")]);
        assert_eq!(said.progress(), Some(JobProgress { fraction: Some(0.5), message: None }));
        assert_eq!(file.tail(9).unwrap(), lines);
        assert!(said.read(None).await.unwrap().is_none());
        let named = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        assert_eq!(job_of_file(&named), Some(id));
        file.remove().unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
