//! The guard: a tiny process between the daemon and each plugin, which sees to it that nothing of the plugin
//! outlives the daemon or the plugin itself.
//!
//! It is the daemon's own executable in a hidden mode. It is the *subreaper* of the plugin: whatever the plugin
//! starts, forks twice or puts into a session of its own ends up as the guard's child, and can be found and
//! killed. It holds a socket to the daemon, whose end means that the daemon has died, be it by `kill -9`. And the
//! plugin asks the kernel to be killed with the guard, whose only thread lives as long as the guard does.
//!
//! A signal goes only to children that the guard has not yet reaped, or to the group of one: such a number cannot
//! have been given to another process. Killed with `-9` itself, the guard takes the plugin with it; only what
//! the plugin has started then is left to end by itself.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, dup2_stderr, dup2_stdin, dup2_stdout, getpid, getppid};

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

/// Runs as a guard; `args` is what follows [`GUARD`]. To be called before the program starts any thread.
pub fn guard_main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter();
    let Some(control) = args.next().and_then(|fd| inherited(fd.to_str()?)) else {
        return ExitCode::from(2);
    };
    let mut control = UnixStream::from(control);
    let report = match Guard::start(args) {
        Ok(mut guard) => guard.watch(&mut control),
        Err(error) => format!("error {error}"),
    };
    // A daemon that has died needs no report.
    let _ = control.write_all(report.as_bytes());
    ExitCode::SUCCESS
}

struct Guard {
    plugin: Pid,
    signals: SignalFd,
}

impl Guard {
    fn start(argv: impl IntoIterator<Item = OsString>) -> io::Result<Self> {
        prctl::set_child_subreaper(true)?;
        // The daemon decides when this ends; whoever signals the whole service reaches the plugin, too.
        let mut mask = SigSet::empty();
        mask.extend([Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let plugin = spawn(argv)?;
        // Its pipes must be closed when the plugin closes them.
        let null = File::options().read(true).write(true).open("/dev/null")?;
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        Ok(Self { plugin, signals })
    }

    /// Waits until the plugin and all that it has started are gone, and says how the plugin ended.
    fn watch(&mut self, control: &mut UnixStream) -> String {
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
        self.sweep();
        report
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

    /// Kills what is left, until there is nothing: the death of one brings its children to light.
    fn sweep(&self) {
        let deadline = Instant::now() + SWEEP;
        loop {
            for child in children() {
                let _ = kill(child, Signal::SIGKILL);
            }
            loop {
                match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                    Ok(WaitStatus::StillAlive) => break,
                    Err(Errno::ECHILD) => return,
                    Ok(_) | Err(_) => {}
                }
            }
            if Instant::now() > deadline {
                return;
            }
            let mut ready = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut ready, SWEEP_STEP);
            while let Ok(Some(_)) = self.signals.read_signal() {}
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the guard is the part of `process` that runs beside the daemon")]
fn spawn(argv: impl IntoIterator<Item = OsString>) -> io::Result<Pid> {
    let mut argv = argv.into_iter();
    let program = argv.next().ok_or(io::ErrorKind::InvalidInput)?;
    let guard = getpid();
    let mut command = Command::new(&program);
    command.args(argv).process_group(0);
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
    let child = command
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", program.to_string_lossy())))?;
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

fn inherited(number: &str) -> Option<OwnedFd> {
    let number = number.parse().ok().filter(|number| *number > 2)?;
    // SAFETY: the daemon has passed this descriptor on for the guard, and nothing else here knows of it.
    #[expect(unsafe_code, reason = "an inherited descriptor is known by its number only")]
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    // Fails for a number that is no open descriptor. The plugin does not get it.
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).ok()?;
    Some(fd)
}
