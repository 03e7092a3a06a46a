use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::guard::{GUARD, KILL, TERMINATE};

/// The longest report of a guard, in bytes: one short line.
const REPORT: u64 = 1024;

/// What to start, with everything it may know.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    /// The program and its arguments.
    pub(super) argv: Vec<OsString>,
    /// The whole environment: nothing of the daemon's own is added.
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) folder: PathBuf,
}

/// A plugin's process under its guard, and whatever it has started. Dropping it kills all of them.
#[derive(Debug)]
pub(super) struct Process {
    guard: Option<u32>,
    /// Its end is what tells the guard that nobody is here any more.
    orders: OwnedWriteHalf,
}

/// Where the guard reports, once all is over.
#[derive(Debug)]
pub(super) struct Exited {
    report: OwnedReadHalf,
    guard: Child,
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

impl Process {
    /// Starts a process. This is the one place of the daemon that does.
    pub(super) fn spawn(guard: &Path, launch: &Launch) -> io::Result<(Self, Exited, Pipes)> {
        let (ours, theirs) = StdUnixStream::pair()?;
        // The command owns the guard's end and goes with this statement: a copy left open here would hide the
        // guard's death.
        let mut child = guard_command(guard, launch, theirs.into()).spawn()?;
        ours.set_nonblocking(true)?;
        let (report, orders) = UnixStream::from_std(ours)?.into_split();
        let pipes = Pipes {
            stdin: child.stdin.take().expect("stdin is piped"),
            stdout: child.stdout.take().expect("stdout is piped"),
            stderr: child.stderr.take().expect("stderr is piped"),
        };
        Ok((Self { guard: child.id(), orders }, Exited { report, guard: child }, pipes))
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

    fn tell(&self, order: u8) {
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
    /// Resolves when the plugin and all that it had started are gone.
    pub(super) async fn wait(self) -> Exit {
        let Self { report, mut guard } = self;
        let mut text = Vec::new();
        // A failed read means the same as a guard that says nothing.
        let _ = report.take(REPORT).read_to_end(&mut text).await;
        // Reaps the guard; how it ended does not matter, since the report says all.
        let _ = guard.wait().await;
        parse(&String::from_utf8_lossy(&text))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the place that starts processes")]
fn guard_command(guard: &Path, launch: &Launch, control: OwnedFd) -> Command {
    let mut command = Command::new(guard);
    command
        .arg0("coattail")
        .arg(GUARD)
        .arg(control.as_raw_fd().to_string())
        .args(&launch.argv)
        .env_clear()
        .envs(launch.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&launch.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C at a terminal is for the daemon, which then stops its plugins in order.
        .process_group(0);
    // SAFETY: between fork and exec only `fcntl` is called, which is async-signal-safe and allocates nothing. The
    // change is the child's own: no other process that is started at this moment inherits the descriptor.
    #[expect(unsafe_code, reason = "the guard inherits its end of the control socket")]
    unsafe {
        command.pre_exec(move || fcntl(&control, FcntlArg::F_SETFD(FdFlag::empty())).map(drop).map_err(Into::into));
    }
    command
}

impl Exit {
    /// Whether it can be the work of [`Process::terminate`] or [`Process::kill`].
    pub(super) fn was_ended(&self) -> bool {
        matches!(self, Exit::Signal(name) if ["SIGTERM", "SIGKILL"].contains(&name.as_str()))
    }
}

fn parse(report: &str) -> Exit {
    match report.split_once(' ') {
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
            ("exit 3", Exit::Code(3), "exit 3"),
            ("signal SIGSEGV", Exit::Signal("SIGSEGV".into()), "killed by SIGSEGV"),
            ("error no such file", Exit::NotStarted("no such file".into()), "could not be started: no such file"),
            ("", Exit::GuardLost, "its guard process was killed"),
            ("exit x", Exit::GuardLost, "its guard process was killed"),
        ] {
            assert_eq!(parse(report), exit);
            assert_eq!(exit.to_string(), text);
        }
    }
}
