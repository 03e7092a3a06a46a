use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use coattail::control::{SOCKET, ShortPath};
use coattail::rpc::{Limits, Service, Session, Stray};
use coattail::wire::Failure;
use coattail::wire::Method;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long anything in these tests may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the machine of whoever runs the tests may have set.
const UNSET: [&str; 9] = [
    "COATTAIL_OUTPUT",
    "COATTAIL_INSTANCE",
    "COATTAIL_DEBUG",
    "COATTAIL_LOG",
    "CLICOLOR_FORCE",
    "FORCE_COLOR",
    "NO_COLOR",
    "DISPLAY",
    "WAYLAND_DISPLAY",
];

/// An instance without a service.
pub(crate) struct Instance {
    folder: TempDir,
}

impl Instance {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("config.yml"), "").expect("a file in it");
        for name in [".coattail", "actions", "receivers"] {
            fs::create_dir(folder.path().join(name)).expect("a folder in it");
        }
        Self { folder }
    }

    /// The folder, as the program names it.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("it exists")
    }

    /// The program, to be run in this instance.
    pub(crate) fn coattail(&self, arguments: &[&str]) -> Coattail {
        Coattail::new(arguments).current_dir(self.folder.path())
    }
}

/// One run of the program.
#[must_use]
pub(crate) struct Coattail {
    command: Command,
    stdin: String,
}

impl Coattail {
    pub(crate) fn new(arguments: &[&str]) -> Self {
        #[expect(clippy::disallowed_methods, reason = "it is the program under test")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_coattail"));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in UNSET {
            command.env_remove(name);
        }
        Self { command, stdin: String::new() }
    }

    pub(crate) fn current_dir(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = text.to_owned();
        self
    }

    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.command.stdout(stdout);
        self
    }

    /// Gives it a terminal for stdin and stderr, on which this is typed, and tells what is shown there.
    pub(crate) fn run_on_a_terminal(mut self, typed: &str) -> (i32, String) {
        let terminal = nix::pty::openpty(None, None).expect("a terminal");
        self.command.stdin(terminal.slave.try_clone().expect("a copy")).stderr(terminal.slave).stdout(Stdio::null());
        let mut master = fs::File::from(terminal.master);
        master.write_all(typed.as_bytes()).expect("it is open");
        let status = self.command.status().expect("the program starts");
        // Our copies of the other end must go, or the terminal never ends.
        drop(self);
        let mut shown = Vec::new();
        // A terminal whose other end is gone answers with EIO, after all that was written.
        let _ = master.read_to_end(&mut shown);
        (status.code().expect("it exits"), String::from_utf8(shown).expect("UTF-8"))
    }

    /// Gives it a terminal for everything, and tells what is shown there, with the line ends that were written.
    pub(crate) fn run_wholly_on_a_terminal(mut self) -> (i32, String) {
        let terminal = nix::pty::openpty(None, None).expect("a terminal");
        let copy = || terminal.slave.try_clone().expect("a copy");
        self.command.stdin(copy()).stdout(copy()).stderr(copy());
        let mut child = self.command.spawn().expect("the program starts");
        drop((self, terminal.slave));
        let mut shown = Vec::new();
        // A terminal whose other end is gone answers with EIO, after all that was written.
        let _ = fs::File::from(terminal.master).read_to_end(&mut shown);
        let status = child.wait().expect("it ends");
        (status.code().expect("it exits"), String::from_utf8(shown).expect("UTF-8").replace("\r\n", "\n"))
    }

    pub(crate) fn spawn(mut self) -> Child {
        let mut child = self.command.spawn().expect("the program starts");
        // A program that does not read its stdin closes it.
        let _ = child.stdin.take().expect("it is piped").write_all(self.stdin.as_bytes());
        child
    }

    pub(crate) fn run(self) -> Outcome {
        Outcome(self.spawn().wait_with_output().expect("the program ends"))
    }
}

/// What a run has left. What is not asked for must be empty: silence is asserted too.
#[must_use]
pub(crate) struct Outcome(pub(crate) Output);

impl Outcome {
    #[track_caller]
    pub(crate) fn is(self, code: i32, stdout: &str, stderr: &str) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let got = (self.code(), text(&self.0.stdout), text(&self.0.stderr));
        assert_eq!(got, (code, stdout.to_owned(), stderr.to_owned()), "\n{}\n{}", got.1, got.2);
    }

    #[track_caller]
    pub(crate) fn code(&self) -> i32 {
        self.0.status.code().unwrap_or_else(|| panic!("killed by signal {:?}", self.0.status.signal()))
    }
}

/// What a canned daemon answers, and what it was asked.
#[derive(Clone)]
pub(crate) struct Canned {
    service: Service,
    asked: Arc<Mutex<Vec<String>>>,
    context: Arc<()>,
}

impl Canned {
    pub(crate) fn new() -> Self {
        Self { service: Service::new(), asked: Arc::default(), context: Arc::new(()) }
    }

    /// Answers a method, and keeps what was asked.
    #[must_use]
    pub(crate) fn on<M: Method + Sync>(
        mut self,
        answer: impl Fn(M) -> Result<M::Reply, Failure> + Clone + Send + Sync + 'static,
    ) -> Self {
        let asked = self.asked.clone();
        self.service = self.service.on_in_order(&self.context, move |_, _, call: M| {
            let text = serde_json::to_string(&call).expect("serializes");
            asked.lock().expect("no panic").push(format!("{} {text}", M::NAME));
            answer(call)
        });
        self
    }

    /// Answers a method after a while; before that it tells something.
    #[must_use]
    pub(crate) fn slowly<M: Method + Sync>(
        mut self,
        tell: impl Fn(&Session, &M) + Clone + Send + Sync + 'static,
        answer: impl Fn(M) -> M::Reply + Clone + Send + Sync + 'static,
    ) -> Self {
        self.service = self.service.on(&self.context, move |_, facts, call: M| {
            let (tell, answer) = (tell.clone(), answer.clone());
            async move {
                tell(&facts.get::<Session>().expect("a fact of each connection"), &call);
                tokio::time::sleep(std::time::Duration::from_millis(700)).await;
                Ok(answer(call))
            }
        });
        self
    }

    /// Never answers a method; says when it was called, and when the call was dropped.
    #[must_use]
    pub(crate) fn stuck<M: Method + Sync>(mut self) -> (Self, Receiver<&'static str>) {
        let (events, seen) = sync_channel(2);
        self.service = self.service.on(&self.context, move |_, _, _: M| {
            let dropped = Dropped(events.clone());
            async move {
                dropped.0.try_send("called").expect("room");
                std::future::pending::<()>().await;
                drop(dropped);
                unreachable!("it is pending for ever")
            }
        });
        (self, seen)
    }

    /// Serves the control socket of an instance until it is dropped.
    #[must_use]
    pub(crate) fn serve(self, instance: &Instance) -> FakeDaemon {
        let socket = instance.path().join(SOCKET);
        let cancel = CancellationToken::new();
        let (ready, is_ready) = sync_channel(1);
        let thread = std::thread::spawn({
            let (cancel, service) = (cancel.clone(), self.service);
            move || serve(&socket, service, cancel, &ready)
        });
        is_ready.recv_timeout(PATIENCE).expect("it listens");
        FakeDaemon { asked: self.asked, cancel, thread: Some(thread) }
    }
}

struct Dropped(SyncSender<&'static str>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.try_send("dropped");
    }
}

pub(crate) struct FakeDaemon {
    asked: Arc<Mutex<Vec<String>>>,
    cancel: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl FakeDaemon {
    /// What it was asked, as `method {parameters}`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }

    /// Ends it, with its connections.
    pub(crate) fn stopper(&self) -> CancellationToken {
        self.cancel.clone()
    }
}

impl Drop for FakeDaemon {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.thread.take().expect("it is dropped once").join().expect("no panic");
    }
}

fn serve(socket: &Path, service: Service, cancel: CancellationToken, ready: &SyncSender<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let short = ShortPath::new(socket).expect("the folder exists");
        let listener = UnixListener::bind(short.path()).expect("it is free");
        ready.send(()).expect("somebody waits");
        let sessions = TaskTracker::new();
        while let Some(Ok((stream, _))) = cancel.run_until_cancelled(listener.accept()).await {
            let (read, write) = stream.into_split();
            let (session, drive) =
                Session::new(read, write, Service::new(), Stray::Close, Limits::default(), cancel.child_token());
            session.serve(service.clone().fact(session.clone()));
            sessions.spawn(drive);
        }
        sessions.close();
        sessions.wait().await;
    });
}

/// Waits for an event of a stuck method.
#[track_caller]
pub(crate) fn wait_for(seen: &Receiver<&'static str>, event: &str) {
    assert_eq!(seen.recv_timeout(PATIENCE).expect("it happens"), event);
}
