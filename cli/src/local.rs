//! What the command line needs of the daemon as a library, when there is no service to ask.
//!
//! Everything else goes through the control socket, or through the same table of methods in process.

use std::fmt;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use coattail::id::IssuerHash;
use coattail::rpc::{Limits, Service, Session, pair};
use coattail::wire::doctor::Finding;
use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure};
pub(crate) use coattail_daemon::LogEvent;
use coattail_daemon::config::Config;
use coattail_daemon::config::template::NewConfig;
use coattail_daemon::instance::Instance;
use coattail_daemon::store;
use coattail_daemon::{Daemon, Purpose, RunningService};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::args::Migration;
use crate::error::{ExitStatus, because};

/// This very program, also after its file was replaced by an upgrade.
const THIS: &str = "/proc/self/exe";

/// How long what a command started may take to finish when the command is done: it has its answer, so there should
/// be nothing.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// How long a service that was sent SIGTERM may take: what it allows itself, and a little.
const STOP_PATIENCE: Duration = Duration::from_secs(35);

/// How often to look whether it is gone.
const STOP_POLL: Duration = Duration::from_millis(50);

/// What a new instance is to be like, where it differs from the defaults.
#[derive(Debug, Default)]
pub(crate) struct CreateOptions {
    /// The host that tokens name.
    pub(crate) host: Option<String>,
    /// The TCP port.
    pub(crate) port: Option<u16>,
}

/// An instance that was made.
#[derive(Debug)]
pub(crate) struct Created {
    /// Its folder, absolute.
    pub(crate) instance: PathBuf,
    /// The hash of its key.
    pub(crate) issuer: IssuerHash,
    /// The files in it, relative to the folder.
    pub(crate) files: Vec<PathBuf>,
}

/// Makes an instance, whole or not at all.
pub(crate) fn create_instance(folder: &Path, options: &CreateOptions) -> Result<Created, Failure> {
    let config =
        NewConfig { port: options.port, connection: options.host.clone(), bind: bind_for(options.host.as_deref()) };
    let created = coattail_daemon::create_instance(folder, config)?;
    let mut files = Vec::new();
    list(&created.folder, Path::new(""), &mut files);
    files.sort();
    Ok(Created { instance: created.folder, issuer: created.issuer, files })
}

/// Where to listen so that peers can reach the host that tokens name: everywhere, unless it is this machine alone.
fn bind_for(host: Option<&str>) -> Option<IpAddr> {
    let host = host?;
    match host.parse::<IpAddr>() {
        Ok(address) if address.is_loopback() => Some(address),
        Ok(IpAddr::V6(_)) => Some(Ipv6Addr::UNSPECIFIED.into()),
        _ if host == "localhost" => None,
        _ => Some(Ipv4Addr::UNSPECIFIED.into()),
    }
}

/// What is in a folder, for people: what cannot be read is left out.
fn list(root: &Path, below: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root.join(below)).into_iter().flatten().flatten() {
        let path = below.join(entry.file_name());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(root, &path, files);
        }
        files.push(path);
    }
}

/// An instance that this process has opened itself. It holds the instance's lock until it is ended.
pub(crate) struct InProcess {
    session: Session,
    end: BoxFuture<'static, ()>,
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InProcess").field("session", &self.session).finish_non_exhaustive()
    }
}

impl InProcess {
    /// A session whose other end somebody drives until `end` has resolved.
    pub(crate) fn new(session: Session, end: BoxFuture<'static, ()>) -> Self {
        Self { session, end }
    }

    /// The session with the table of methods.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Ends the session and what was started for it, in bounded time, and gives the lock back.
    pub(crate) async fn end(self) {
        self.session.close();
        self.end.await;
    }
}

/// Opens an instance whose service is not running and serves the methods of the control socket, to this process and,
/// on the socket, to the scripts that it runs.
///
/// `log` is what is logged unless `COATTAIL_LOG` says otherwise. Fails as [`Busy`](ErrorCode::Busy) while another
/// process has the instance's lock.
pub(crate) async fn open_in_process(instance: &Path, log: &str) -> Result<InProcess, Failure> {
    coattail_daemon::log_to_stderr(log);
    let daemon = Daemon::open(instance, Path::new(THIS), Purpose::Command).await?;
    daemon.serve_commands()?;
    Ok(talk_to(daemon))
}

/// Runs the service of an instance in this process, and hands over its log, line by line.
pub(crate) async fn serve_in_process(
    instance: &Path,
    log: &str,
    tell: impl Fn(LogEvent) + Send + Sync + 'static,
) -> Result<InProcess, Failure> {
    coattail_daemon::log_to(log, tell);
    let daemon = Daemon::open(instance, Path::new(THIS), Purpose::Service).await?;
    daemon.serve().await?;
    Ok(talk_to(daemon))
}

fn talk_to(daemon: Daemon) -> InProcess {
    let cancel = CancellationToken::new();
    let limits = Limits::default();
    let ((ours, run_ours), (theirs, run_theirs)) = pair(Service::new(), Service::new(), &limits, &cancel);
    daemon.serve_on(&theirs);
    let tasks = TaskTracker::new();
    tasks.spawn(run_ours);
    tasks.spawn(run_theirs);
    tasks.close();
    let end = async move {
        tasks.wait().await;
        daemon.shutdown(END_PATIENCE).await;
    };
    InProcess::new(ours, end.boxed())
}

/// Whether whoever has opened the instance is no service.
pub(crate) fn is_opened_by_command(instance: &Path) -> bool {
    // A service has said who it is before it listens; a command may not have come to that yet.
    Instance::open(instance).is_ok_and(|instance| instance.holder().is_none_or(|holder| holder.what != "service"))
}

/// Whether a service works in the instance, be it that it is just ending.
pub(crate) fn is_held_by_service(instance: &Path) -> bool {
    Instance::open(instance).is_ok_and(|instance| instance.holder().is_some_and(|holder| holder.what == "service"))
}

/// Runs the service until it is told to stop. Says on stderr when it is ready.
pub(crate) fn run_service(instance: &Path, headless_child: bool) -> Result<ExitStatus, Failure> {
    coattail_daemon::run_service(instance, Path::new(THIS), headless_child)?;
    Ok(ExitStatus::Done)
}

/// Looks at the files of an instance that cannot be opened.
pub(crate) async fn check_files(instance: &Path) -> Vec<Finding> {
    coattail_daemon::doctor::check_files(instance).await
}

/// A service of this user, as its lock file tells of it.
#[derive(Debug, Clone)]
pub(crate) struct RunningInstance {
    /// The process.
    pub(crate) pid: u32,
    /// The folder of the instance.
    pub(crate) instance: PathBuf,
    /// Where it listens.
    pub(crate) address: Option<String>,
    /// When it started (RFC 3339).
    pub(crate) started: String,
    /// The version of the program.
    pub(crate) version: String,
    /// Whether it runs in the background.
    pub(crate) headless: bool,
}

impl From<RunningService> for RunningInstance {
    fn from(service: RunningService) -> Self {
        let RunningService { pid, instance, address, started, version, headless } = service;
        Self { pid, instance, address: Some(address), started, version, headless }
    }
}

/// The services of this user that run now.
pub(crate) fn running_instances() -> Result<Vec<RunningInstance>, Failure> {
    let services = coattail_daemon::running_services().map_err(|error| {
        because(ErrorCode::Internal, "cannot tell which services run", error)
            .hint("remove that folder if it is not yours, or set XDG_RUNTIME_DIR")
    })?;
    Ok(services.into_iter().map(RunningInstance::from).collect())
}

/// Ends a service that does not answer any more, and waits until it is gone.
pub(crate) fn stop_process(running: &RunningInstance) -> Result<(), Failure> {
    let failed = |why: &dyn fmt::Display| {
        because(ErrorCode::Failed, format!("process {} could not be stopped", running.pid), why)
            .hint(format!("look at its log, {}", running.instance.join("service.log").display()))
    };
    // Its description is locked at this moment, so that the process of this number is the service.
    let is_there = || Ok::<_, Failure>(running_instances()?.iter().any(|other| other.pid == running.pid));
    if !is_there()? {
        return Ok(());
    }
    let pid = i32::try_from(running.pid).map_err(|error| failed(&error))?;
    kill(Pid::from_raw(pid), Signal::SIGTERM).map_err(|error| failed(&error))?;
    let deadline = Instant::now() + STOP_PATIENCE;
    while is_there()? {
        if Instant::now() > deadline {
            return Err(failed(&format!("it still runs after {STOP_PATIENCE:?}")));
        }
        sleep(STOP_POLL);
    }
    Ok(())
}

/// The file to which a service in the background writes.
pub(crate) fn service_log(instance: &Path) -> Result<PathBuf, Failure> {
    Ok(Config::load(instance)?.log)
}

/// The folder in which the instance looks for actions, or for receivers.
pub(crate) fn plugin_folder(instance: &Path, kind: Kind) -> Result<PathBuf, Failure> {
    let config = Config::load(instance)?;
    Ok(match kind {
        Kind::Action => config.actions,
        Kind::Receiver => config.receivers,
    })
}

/// What a migration has done.
#[derive(Debug)]
pub(crate) struct Migrated {
    /// The version of the database before.
    pub(crate) from: u64,
    /// The version of the database now.
    pub(crate) to: u64,
}

/// Brings the database of an instance whose service is not running to another version.
pub(crate) fn migrate(instance: &Path, migration: Migration) -> Result<Migrated, Failure> {
    let migration = match migration {
        Migration::Latest => store::Migration::Latest,
        Migration::Up => store::Migration::Up,
        Migration::Down => store::Migration::Down,
        Migration::Rollback => store::Migration::Rollback,
    };
    let store::Migrated { from, to } = coattail_daemon::migrate_instance(instance, migration)?;
    Ok(Migrated { from: from as u64, to: to as u64 })
}

pub(crate) use coattail_daemon::backup::{BackedUp, Restored, back_up, restore};

/// Whether a folder is an instance, of whatever version.
pub(crate) fn is_instance(folder: &Path) -> bool {
    Instance::open(folder).is_ok()
}

/// Makes a new TLS pair for an instance that cannot be opened because its own cannot be used. Returns whether it did;
/// an instance in which somebody works was opened.
pub(crate) fn repair_tls(instance: &Path) -> Result<bool, Failure> {
    match coattail_daemon::repair_tls(instance) {
        Err(failure) if failure.code == ErrorCode::Busy => Ok(false),
        repaired => repaired,
    }
}

/// Watches over the plugins of a daemon and ends them when it is gone, however it went.
pub(crate) fn guard_main() -> ExitCode {
    coattail_daemon::guard_main()
}
