//! The guard: a tiny process between the daemon and each plugin, which sees to it that nothing of the plugin
//! outlives the daemon or the plugin itself.
//!
//! It is the daemon's own executable in a hidden mode, and is told through a socket what to start: a command line can
//! be read by everybody. When nothing of the plugin is left it can be told of another one, which finds nothing of the
//! one before: what is of the plugin alone, be it environment, pipes or signal mask, is set in the plugin's process.
//!
//! It is the *subreaper* of the plugin: whatever the plugin
//! starts, forks twice or puts into a session of its own ends up as the guard's child, and can be found and
//! killed. The end of the socket means that the daemon has died, be it by `kill -9`. And the
//! plugin asks the kernel to be killed with the guard, whose only thread lives as long as the guard does.
//!
//! A signal goes only to children that the guard has not yet reaped, or to the group of one: such a number cannot
//! have been given to another process. Killed with `-9` itself, the guard takes the plugin with it; only what
//! the plugin has started then is left to end by itself.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpid, getppid};

use super::handover::{self, Launch};

/// The first argument that makes the executable a guard.
pub const GUARD: &str = "__guard";

/// Order of the daemon: TERM to the plugin's group.
pub(super) const TERMINATE: u8 = b'T';
/// Order of the daemon: kill everything.
pub(super) const KILL: u8 = b'K';

/// How long killed processes are waited for. One that the kernel cannot end (it hangs in a device) must not keep
/// the guard for ever.
const SWEEP: Duration = Duration::from_secs(10);

/// How often children are looked for while killed ones are ending: they can bring new ones to light.
const SWEEP_STEP: u16 = 20;

/// Runs as a guard, with the socket of the daemon as stdin. To be called before the program starts any thread.
pub fn guard_main() -> ExitCode {
    let Ok(control) = io::stdin().as_fd().try_clone_to_owned() else {
        return ExitCode::from(2);
    };
    let mut control = UnixStream::from(control);
    if let Err(error) = guard(&mut control) {
        // A daemon that has died needs no report.
        let _ = report(&mut control, &format!("error {error}"));
    }
    ExitCode::SUCCESS
}

/// Guards one plugin after the other, until the daemon has gone. What it is told to start next finds nothing of the
/// one before.
fn guard(control: &mut UnixStream) -> io::Result<()> {
    prctl::set_child_subreaper(true)?;
    // The daemon decides when this ends; whoever signals the whole service reaches the plugin, too.
    let mut mask = SigSet::empty();
    mask.extend([Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    mask.thread_block()?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    while let Some((launch, stdio)) = handover::receive(control)? {
        let (how, is_clean) = match spawn(launch, stdio) {
            Ok(plugin) => Guard { plugin, signals: &signals }.watch(control),
            Err(error) => (format!("error {error}"), true),
        };
        report(control, &how)?;
        if !is_clean {
            break;
        }
    }
    Ok(())
}

fn report(control: &mut UnixStream, how: &str) -> io::Result<()> {
    // One line, also of a file whose name has more.
    control.write_all(format!("{}\n", how.replace('\n', " ")).as_bytes())
}

struct Guard<'a> {
    plugin: Pid,
    signals: &'a SignalFd,
}

impl Guard<'_> {
    /// Waits until the plugin and all that it has started are gone, and says how the plugin ended and whether nothing
    /// is left.
    fn watch(&self, control: &mut UnixStream) -> (String, bool) {
        let mut daemon_lives = true;
        loop {
            let mut ready =
                [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN), PollFd::new(control.as_fd(), PollFlags::POLLIN)];
            let watched = if daemon_lives { 2 } else { 1 };
            // An interrupted poll is tried again; what is not ready is looked at in vain once.
            let _ = poll(&mut ready[..watched], PollTimeout::NONE);
            let ordered = daemon_lives && ready[1].any().unwrap_or(false);
            if self.has_ended() {
                break;
            }
            if ordered {
                let mut order = [0];
                match control.read(&mut order) {
                    Ok(1) if order[0] == TERMINATE => self.signal(Signal::SIGTERM),
                    Ok(1) if order[0] == KILL => self.signal(Signal::SIGKILL),
                    Ok(1) => {}
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // The daemon has closed its end, or has died.
                    _ => {
                        daemon_lives = false;
                        self.signal(Signal::SIGKILL);
                    }
                }
            }
        }
        // The plugin is not reaped yet, so the number of its group is still its own.
        let _ = killpg(self.plugin, Signal::SIGKILL);
        let report = match waitpid(self.plugin, None) {
            Ok(WaitStatus::Exited(_, code)) => format!("exit {code}"),
            Ok(WaitStatus::Signaled(_, signal, _)) => format!("signal {signal}"),
            other => format!("error unknown end {other:?}"),
        };
        (report, self.sweep())
    }

    /// Whether the plugin has ended. Other children that have are reaped; the plugin is not.
    fn has_ended(&self) -> bool {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        loop {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
            match waitid(Id::All, flags).map(|status| status.pid()) {
                Ok(Some(pid)) if pid == self.plugin => return true,
                Ok(Some(orphan)) => {
                    let _ = waitpid(orphan, None);
                }
                Ok(None) => return false,
                Err(Errno::EINTR) => {}
                Err(_) => return true,
            }
        }
    }

    /// Signals the plugin, which is not reaped yet, and its group.
    fn signal(&self, signal: Signal) {
        if killpg(self.plugin, signal).is_err() || signal == Signal::SIGKILL {
            // It may have left its group.
            let _ = kill(self.plugin, signal);
        }
    }

    /// Kills what is left, until there is nothing: the death of one brings its children to light. Returns whether that
    /// came to pass.
    fn sweep(&self) -> bool {
        let deadline = Instant::now() + SWEEP;
        loop {
            loop {
                match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                    Ok(WaitStatus::StillAlive) => break,
                    Err(Errno::ECHILD) => return true,
                    Ok(_) | Err(_) => {}
                }
            }
            for child in children() {
                let _ = kill(child, Signal::SIGKILL);
            }
            if Instant::now() > deadline {
                return false;
            }
            let mut ready = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut ready, SWEEP_STEP);
            while let Ok(Some(_)) = self.signals.read_signal() {}
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the guard is the part of `process` that runs beside the daemon")]
fn spawn(launch: Launch, [stdin, stdout, stderr]: [OwnedFd; 3]) -> io::Result<Pid> {
    let Launch { argv, env, folder } = launch;
    let about = |what: &OsString| {
        let what = what.to_string_lossy().into_owned();
        move |error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"))
    };
    env::set_current_dir(&folder).map_err(about(&folder))?;
    let mut argv = argv.into_iter();
    let program = argv.next().ok_or(io::ErrorKind::InvalidInput)?;
    let guard = getpid();
    let mut command = Command::new(&program);
    command.args(argv).env_clear().envs(env).stdin(stdin).stdout(stdout).stderr(stderr).process_group(0);
    // SAFETY: between fork and exec only system calls are made, which are async-signal-safe, and nothing is
    // allocated. The process has one thread.
    #[expect(unsafe_code, reason = "what must hold for the plugin alone can only be set between fork and exec")]
    unsafe {
        command.pre_exec(move || {
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            if getppid() != guard {
                // The guard died before the line above.
                return Err(Errno::ESRCH.into());
            }
            SigSet::empty().thread_set_mask()?;
            // Whatever the daemon was started with or has leaked ends here. Older kernels do not have it.
            libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
            Ok(())
        });
    }
    let child = command.spawn().map_err(about(&program))?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

/// The children of this process, which has one thread and reaps them itself: the numbers are theirs.
fn children() -> Vec<Pid> {
    let me = getpid();
    let numbers = |text: &str| text.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect();
    match fs::read_to_string(format!("/proc/self/task/{me}/children")) {
        Ok(list) => numbers(&list),
        // Kernels without CONFIG_PROC_CHILDREN.
        Err(_) => fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|pid| parent_of(*pid) == Some(me.as_raw()))
            .map(Pid::from_raw)
            .collect(),
    }
}

fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the last parenthesis may hold anything; state and parent follow it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
