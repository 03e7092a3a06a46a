use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use coattail::control;
use coattail::wire::control::{Counts, ServiceStatus, Status};
use coattail::wire::{ErrorCode, Failure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::plugins::Plugin;
use crate::error::because;

/// How long anything that is waited for may take; on an idle machine nothing here takes a second.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a service may take to end before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// How often a service is asked whether something has happened.
const POLL: Duration = Duration::from_millis(20);

/// How many of the last lines of a log are shown, and how many bytes of them are read.
const LAST_LINES: usize = 8;
const LAST_BYTES: u64 = 8 * 1024;

/// An instance of the demo, and its service while it runs.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) name: &'static str,
    folder: PathBuf,
    pub(super) port: u16,
    /// Keeps the port free for the service until it starts.
    held: Option<TcpListener>,
    service: Option<Child>,
}

impl Instance {
    /// Nothing is made yet.
    pub(super) fn new(name: &'static str, root: &Path) -> io::Result<Self> {
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = held.local_addr()?.port();
        Ok(Self { name, folder: root.join(name), port, held: Some(held), service: None })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts plugins into their folders.
    pub(super) fn put(&self, plugins: &[Plugin]) -> Result<(), Failure> {
        self.plugins(plugins, |plugin, folder| plugin.put(folder))
    }

    /// Takes plugins out of their folders.
    pub(super) fn take(&self, plugins: &[Plugin]) -> Result<(), Failure> {
        self.plugins(plugins, |plugin, folder| plugin.take(folder))
    }

    fn plugins(&self, plugins: &[Plugin], handle: impl Fn(Plugin, &Path) -> io::Result<()>) -> Result<(), Failure> {
        let handled = plugins.iter().try_for_each(|plugin| handle(*plugin, &self.folder));
        handled.map_err(|error| self.failure(ErrorCode::Internal, "its plugins could not be written", error))
    }

    /// Runs a command on this instance, as a person would, and reads its answer.
    pub(super) async fn coattail<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, Failure> {
        self.coattail_with("", arguments).await
    }

    /// The same with something to read on stdin.
    pub(super) async fn coattail_with<T: DeserializeOwned>(
        &self,
        stdin: &str,
        arguments: &[&str],
    ) -> Result<T, Failure> {
        let typed = format!("`coattail {}`", arguments.join(" "));
        let done = timeout(PATIENCE, self.run(stdin, arguments)).await;
        let done = done.map_err(|_| {
            self.failure(ErrorCode::TimedOut, format!("{typed} is not done"), format!("it had {PATIENCE:?}"))
        })?;
        let output = done.map_err(|error| self.failure(ErrorCode::Internal, format!("{typed} did not run"), error))?;
        if !output.status.success() {
            return Err(self.failure(ErrorCode::Failed, format!("{typed} failed"), why(&output)));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| {
            self.failure(ErrorCode::Internal, format!("{typed} gave an answer that cannot be read"), error)
        })
    }

    async fn run(&self, stdin: &str, arguments: &[&str]) -> io::Result<Output> {
        let mut command = this_program()?;
        command.args(arguments).args(["--json", "--instance"]).arg(&self.folder);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut pipe = child.stdin.take().expect("it is piped");
        // What failed at once and read nothing says why itself.
        let _ = pipe.write_all(stdin.as_bytes()).await;
        drop(pipe);
        child.wait_with_output().await
    }

    /// Starts the service, and returns when it is ready.
    pub(super) async fn start(&mut self) -> Result<(), Failure> {
        self.held = None;
        let started = || {
            let log = OpenOptions::new().create(true).append(true).mode(0o600).open(self.log())?;
            let mut command = this_program()?;
            command.args(["service", "start", "--instance"]).arg(&self.folder).current_dir(&self.folder);
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
        };
        let service = started();
        let service =
            service.map_err(|error| self.failure(ErrorCode::Internal, "its service could not be started", error))?;
        self.service = Some(service);
        self.until("its service is ready", |_| true).await?;
        Ok(())
    }

    /// Waits until the counts are as they should be, and returns them.
    pub(super) async fn until(&mut self, what: &str, is_so: impl Fn(&Counts) -> bool) -> Result<Counts, Failure> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        loop {
            // Looked at before it is asked: what has ended does not answer.
            if let Some(ended) = self.service.as_mut().and_then(|service| service.try_wait().transpose()) {
                let ended = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                return Err(self.failure(ErrorCode::Failed, "its service has ended by itself", ended));
            }
            if let Some(status) = self.ask().await.filter(|status| Some(status.pid) == self.pid()) {
                if is_so(&status.counts) {
                    return Ok(status.counts);
                }
                last = Some(status.counts);
            }
            if Instant::now() > deadline {
                let last = last.map_or_else(|| "it does not answer".to_owned(), |counts| format!("{counts:?}"));
                return Err(self.failure(ErrorCode::TimedOut, format!("not after {PATIENCE:?}: {what}"), last));
            }
            sleep(POLL).await;
        }
    }

    /// How the service is, if it answers.
    async fn ask(&self) -> Option<ServiceStatus> {
        let (session, drive) = control::connect(&self.folder, CancellationToken::new()).await.ok()?;
        tokio::select! {
            _ = drive => None,
            status = session.call_within(PATIENCE, &Status {}) => status.ok(),
        }
    }

    /// The process of the service, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.service.as_ref().and_then(Child::id)
    }

    /// Kills the service with -9, so that it can finish nothing and tell nobody.
    pub(super) async fn kill(&mut self) -> Result<(), Failure> {
        let Some(mut service) = self.service.take() else { return Ok(()) };
        let killed = service.kill().await;
        killed.map_err(|error| self.failure(ErrorCode::Internal, "its service could not be killed", error))
    }

    /// Stops the service: asked first, killed if it takes too long.
    pub(super) async fn stop(&mut self) {
        let Some(mut service) = self.service.take() else { return };
        // Not waited for yet, so the number is still its own.
        if let Some(pid) = service.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        if timeout(STOP_PATIENCE, service.wait()).await.is_err() {
            let _ = service.kill().await;
        }
    }

    /// A failure here, with the end of the log.
    pub(super) fn failure(
        &self,
        code: ErrorCode,
        what: impl std::fmt::Display,
        why: impl std::fmt::Display,
    ) -> Failure {
        let why = format!("{why}\n{}", last_lines(&self.log()).unwrap_or_default());
        because(code, format!("{}: {what}", self.name), why)
    }

    fn log(&self) -> PathBuf {
        self.folder.join("service.log")
    }
}

/// This program again, without what the environment says of another instance. It does not outlive its handle.
fn this_program() -> io::Result<Command> {
    #[expect(clippy::disallowed_methods, reason = "no plugin: the demo runs this very program as a person would")]
    let mut command = Command::new(std::env::current_exe()?);
    command.kill_on_drop(true);
    for name in ["COATTAIL_INSTANCE", "COATTAIL_CALL", "COATTAIL_OUTPUT"] {
        command.env_remove(name);
    }
    Ok(command)
}

/// Why a command failed, in its own words.
fn why(output: &Output) -> String {
    #[derive(Deserialize)]
    struct Outer {
        error: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        message: String,
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let error = said.lines().rev().find_map(|line| serde_json::from_str::<Outer>(line).ok());
    error.map_or_else(|| format!("{}: {}", output.status, said.trim()), |outer| outer.error.message)
}

/// The last lines of a log.
fn last_lines(path: &Path) -> io::Result<String> {
    let mut log = File::open(path)?;
    let end = log.seek(SeekFrom::End(0))?;
    log.seek(SeekFrom::Start(end.saturating_sub(LAST_BYTES)))?;
    let mut bytes = Vec::new();
    log.take(LAST_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(format!("`{}` ends:\n{}", path.display(), lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")))
}
