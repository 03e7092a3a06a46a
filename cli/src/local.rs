//! What the command line needs of the daemon as a library, when there is no service to ask.
//!
//! Everything else goes through the control socket, or through the same table of methods in process.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use coattail::id::IssuerHash;
use coattail::rpc::Session;
use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure};
use futures::future::BoxFuture;

use crate::args::Migration;
use crate::error::ExitStatus;

/// What a new instance is to be like, where it differs from the defaults.
#[derive(Debug, Default)]
#[expect(dead_code, reason = "read by `create_instance` once the daemon is linked")]
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
pub(crate) fn create_instance(_folder: &Path, _options: &CreateOptions) -> Result<Created, Failure> {
    Err(not_linked())
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
    #[expect(dead_code, reason = "called by `open_in_process` once the daemon is linked")]
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

/// Opens an instance whose service is not running and serves the methods of the control socket.
///
/// Fails as [`Busy`](ErrorCode::Busy) while another process has the instance's lock.
pub(crate) async fn open_in_process(_instance: &Path) -> Result<InProcess, Failure> {
    Err(not_linked())
}

/// Runs the service until it is told to stop. Says on stderr when it is ready.
pub(crate) fn run_service(_instance: &Path, _headless_child: bool) -> Result<ExitStatus, Failure> {
    Err(not_linked())
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

/// The services of this user that run now.
pub(crate) fn running_instances() -> Result<Vec<RunningInstance>, Failure> {
    Ok(Vec::new())
}

/// Ends a service that does not answer any more, and waits until it is gone.
pub(crate) fn stop_process(_running: &RunningInstance) -> Result<(), Failure> {
    Err(not_linked())
}

/// The file to which a service in the background writes.
pub(crate) fn service_log(instance: &Path) -> Result<PathBuf, Failure> {
    Ok(instance.join("service.log"))
}

/// The folder in which the instance looks for actions, or for receivers.
pub(crate) fn plugin_folder(instance: &Path, kind: Kind) -> Result<PathBuf, Failure> {
    Ok(instance.join(match kind {
        Kind::Action => "actions",
        Kind::Receiver => "receivers",
    }))
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
pub(crate) fn migrate(_instance: &Path, _migration: Migration) -> Result<Migrated, Failure> {
    Err(not_linked())
}

/// Watches over the plugins of a daemon and ends them when it is gone, however it went.
pub(crate) fn guard_main(_arguments: &[OsString]) -> ExitCode {
    ExitCode::FAILURE
}

fn not_linked() -> Failure {
    Failure::new(ErrorCode::Internal, "not linked yet").hint("start the service of the instance")
}
