use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::Settings;
use super::guard::{GUARD, KILL, TERMINATE};
use super::handover::{self, Launch};

/// The longest report of a guard, in bytes: one short line.
const REPORT: u64 = 1024;

/// How long a guard may take to read what it is to start. Only one that was stopped does not read at once.
const HANDOVER: Duration = Duration::from_secs(10);

/// A guard that waits for what to start: a new one, or one whose plugin has ended. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Guard {
    control: UnixStream,
    child: Child,
}

/// A plugin's process under its guard, and whatever it has started. Dropping it kills all of them.
#[derive(Debug)]
pub(super) struct Process {
    guard: Option<u32>,
    /// Its end is what tells the guard that nobody is here any more.
    orders: OwnedWriteHalf,
    /// An order was given.
    told: AtomicBool,
}

/// Where the guard reports, once all is over.
#[derive(Debug)]
pub(super) struct Exited {
    report: OwnedReadHalf,
    guard: Child,
    has_reported: bool,
}

/// The daemon's ends of the process's stdin, stdout and stderr.
#[derive(Debug)]
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

/// How a process ended. Nothing that it had started is left then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Exit {
    #[error("exit {0}")]
    Code(i32),
    #[error("killed by {0}")]
    Signal(String),
    #[error("could not be started: {0}")]
    NotStarted(String),
    #[error("its guard process was killed")]
    GuardLost,
}

impl Guard {
    /// Starts a guard. This is the one place of the daemon that starts processes.
    pub(super) fn start(settings: &Settings) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        // The command owns the guard's end and goes with this statement: a copy left open here would hide the
        // guard's death.
        let child = guard_command(settings, theirs.into()).spawn()?;
        ours.set_nonblocking(true)?;
        Ok(Self { control: UnixStream::from_std(ours)?, child })
    }

    /// Has it start a process. If this fails, nothing was started.
    pub(super) async fn launch(mut self, message: &[u8]) -> io::Result<(Process, Exited, Pipes)> {
        let (stdin, ours_in) = io::pipe()?;
        let (ours_out, stdout) = io::pipe()?;
        let (ours_err, stderr) = io::pipe()?;
        let pipes = Pipes {
            stdin: ChildStdin::from_std(OwnedFd::from(ours_in).into())?,
            stdout: ChildStdout::from_std(OwnedFd::from(ours_out).into())?,
            stderr: ChildStderr::from_std(OwnedFd::from(ours_err).into())?,
        };
        // Order: the message is last, since nothing may fail once all of it is on its way.
        handover::announce(&self.control, message, &[stdin.into(), stdout.into(), stderr.into()])?;
        timeout(HANDOVER, self.control.write_all(message)).await??;
        let (report, orders) = self.control.into_split();
        let process = Process { guard: self.child.id(), orders, told: AtomicBool::new(false) };
        Ok((process, Exited { report, guard: self.child, has_reported: false }, pipes))
    }

    /// The guard of a process that has ended.
    pub(super) fn again(process: Process, exited: Exited) -> Self {
        let control = exited.report.reunite(process.orders).expect("both are halves of one socket");
        Self { control, child: exited.guard }
    }

    /// Ends it, and waits until it has ended.
    pub(super) async fn dismiss(self) {
        let Self { control, mut child } = self;
        drop(control);
        let _ = child.wait().await;
    }
}

impl Process {
    /// Starts a process under a new guard.
    pub(super) async fn spawn(settings: &Settings, launch: &Launch) -> io::Result<(Self, Exited, Pipes)> {
        Guard::start(settings)?.launch(&launch.message()?).await
    }

    /// The process of its guard.
    pub(super) fn guard(&self) -> Option<u32> {
        self.guard
    }

    /// Asks the plugin's process group to end.
    pub(super) fn terminate(&self) {
        self.tell(TERMINATE);
    }

    /// Kills the plugin and all that it has started.
    pub(super) fn kill(&self) {
        self.tell(KILL);
    }

    /// Whether it was given no order: the guard may read one only after its plugin has ended.
    pub(super) fn was_left_alone(&self) -> bool {
        !self.told.load(Ordering::Relaxed)
    }

    fn tell(&self, order: u8) {
        self.told.store(true, Ordering::Relaxed);
        // A few bytes in all go this way, so there is always room; a guard that has gone needs no order.
        let _ = self.orders.try_write(&[order]);
    }
}

/// The eldest child of a guard: the plugin. What it has left behind came later.
pub(super) fn child_of(guard: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{guard}/task/{guard}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

impl Exited {
    /// Resolves when the plugin and all that it had started are gone. Its guard is left.
    pub(super) async fn wait(&mut self) -> Exit {
        let mut text = Vec::new();
        // A failed read means the same as a guard that says nothing. What follows the line comes only after the next
        // launch, so that nothing is lost with the buffer.
        let _ = BufReader::new((&mut self.report).take(REPORT)).read_until(b'\n', &mut text).await;
        // What is longer than it may be was not read to its end.
        self.has_reported = text.ends_with(b"\n");
        parse(&String::from_utf8_lossy(&text))
    }

    /// Whether the guard has said how its plugin ended, and has nothing more to say.
    pub(super) fn has_reported(&self) -> bool {
        self.has_reported
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that starts processes")]
fn guard_command(settings: &Settings, control: OwnedFd) -> Command {
    let mut command = Command::new(&settings.guard);
    command
        .arg0("coattail")
        .arg(GUARD)
        .env_clear()
        // For whoever asks which instance a process belongs to.
        .env("COATTAIL_INSTANCE", &settings.instance)
        .stdin(control)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C at a terminal is for the daemon, which then stops its plugins in order.
        .process_group(0);
    command
}

impl Exit {
    /// Whether it can be the work of [`Process::terminate`] or [`Process::kill`].
    pub(super) fn was_ended(&self) -> bool {
        matches!(self, Exit::Signal(name) if ["SIGTERM", "SIGKILL"].contains(&name.as_str()))
    }
}

fn parse(report: &str) -> Exit {
    match report.trim_end_matches('\n').split_once(' ') {
        Some(("exit", code)) => code.parse().map_or(Exit::GuardLost, Exit::Code),
        Some(("signal", name)) => Exit::Signal(name.to_owned()),
        Some(("error", why)) => Exit::NotStarted(why.to_owned()),
        _ => Exit::GuardLost,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_a_guard_are_read() {
        for (report, exit, text) in [
            ("exit 3\n", Exit::Code(3), "exit 3"),
            ("signal SIGSEGV\n", Exit::Signal("SIGSEGV".into()), "killed by SIGSEGV"),
            ("error no such file\n", Exit::NotStarted("no such file".into()), "could not be started: no such file"),
            ("", Exit::GuardLost, "its guard process was killed"),
            ("exit x\n", Exit::GuardLost, "its guard process was killed"),
        ] {
            assert_eq!(parse(report), exit);
            assert_eq!(exit.to_string(), text);
        }
    }
}
