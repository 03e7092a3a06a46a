//! Starts the service as a process in the background.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use coattail::wire::control::ServiceStatus;
use coattail::wire::{ErrorCode, Failure};

use crate::error::because;
use crate::local;

/// How long a service may take to become ready: a million stored publications take about two seconds.
const READY_PATIENCE: Duration = Duration::from_secs(30);

/// How often to ask it.
const READY_POLL: Duration = Duration::from_millis(50);

/// How many of its last lines are shown if it fails, and how many bytes of them are read.
const LAST_LINES: usize = 5;
const LAST_BYTES: u64 = 8 * 1024;

/// Starts this program again, and returns when `ask` says that the service is ready.
pub(super) fn start(instance: &Path, ask: impl Fn() -> Option<ServiceStatus>) -> Result<ServiceStatus, Failure> {
    let path = local::service_log(instance)?;
    let failed = |error: io::Error| {
        because(ErrorCode::Internal, format!("could not start the service of `{}`", instance.display()), error)
            .hint(format!("check that `{}` can be written to", path.display()))
    };
    let mut log = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(&path).map_err(failed)?;
    let before = log.seek(SeekFrom::End(0)).map_err(failed)?;
    #[expect(clippy::disallowed_methods, reason = "the service is no plugin: it outlives this command")]
    let mut child = Command::new(std::env::current_exe().map_err(failed)?)
        .args(["service", "start", "--is-headless-instance", "--instance"])
        .arg(instance)
        .current_dir(instance)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log.try_clone().map_err(failed)?)
        .spawn()
        .map_err(failed)?;
    let deadline = Instant::now() + READY_PATIENCE;
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Err(because(
                ErrorCode::Failed,
                format!("the service of `{}` has ended at once ({status})", instance.display()),
                last_lines(&mut log, before),
            )
            .hint(format!("its whole log is `{}`", path.display())));
        }
        if let Some(status) = ask().filter(|status| status.pid == child.id()) {
            return Ok(status);
        }
        if Instant::now() > deadline {
            return Err(because(
                ErrorCode::TimedOut,
                format!("the service of `{}` is not ready after {READY_PATIENCE:?}", instance.display()),
                last_lines(&mut log, before),
            )
            .hint(format!("it goes on as process {}; its log is `{}`", child.id(), path.display())));
        }
        sleep(READY_POLL);
    }
}

/// Leaves the terminal and its session: what is typed there, and its end, are not meant for the service.
pub(super) fn detach() {
    // It fails only for the leader of a group, which a child is not; somebody who typed the hidden option may be.
    let _ = nix::unistd::setsid();
}

/// The last lines that were written since.
fn last_lines(log: &mut File, before: u64) -> String {
    let mut bytes = Vec::new();
    let end = log.seek(SeekFrom::End(0)).unwrap_or(before);
    // What cannot be read cannot be shown; the failure itself is.
    let _ = log.seek(SeekFrom::Start(before.max(end.saturating_sub(LAST_BYTES))));
    let _ = log.take(LAST_BYTES).read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
}
