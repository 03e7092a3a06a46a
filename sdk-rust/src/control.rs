//! Talk to the daemon of an instance on this machine.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::{env, io};

use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use crate::id::CallId;
use crate::rpc::{Ended, Limits, Service, Session, Stray};
use crate::wire::{ErrorCode, Failure};

/// Where the daemon of an instance listens, below the folder of the instance.
pub const SOCKET: &str = ".coattail/control.sock";

/// What makes a folder an instance.
const CONFIG: &str = "config.yml";

/// Connects to the daemon of an instance. The caller owns the future: it spawns it, and waits for it.
///
/// # Errors
/// [`ConnectError::NotRunning`] if the service of the instance is not running.
pub async fn connect(
    instance: &Path,
    cancel: CancellationToken,
) -> Result<(Session, impl Future<Output = Ended> + use<>), ConnectError> {
    let failed = |source| ConnectError::new(instance, source);
    let socket = ShortPath::new(&instance.join(SOCKET)).map_err(failed)?;
    let (reader, writer) = UnixStream::connect(socket.path()).await.map_err(failed)?.into_split();
    Ok(Session::new(reader, writer, Service::new(), Stray::Close, Limits::default(), cancel))
}

/// The folder of the instance that the environment names, which is set for plugins; or else the current one.
pub fn instance_from_env() -> PathBuf {
    env::var_os("COATTAIL_INSTANCE").filter(|value| !value.is_empty()).map_or(".".into(), PathBuf::from)
}

/// The call that this program runs within: set for scripts that the daemon runs, so that what they ask for says what
/// it was caused by.
pub fn call_from_env() -> Option<CallId> {
    env::var("COATTAIL_CALL").ok()?.parse().ok()
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The folder is no instance.
    #[error("`{}` is no instance: there is no {CONFIG} in it", instance.display())]
    NoInstance {
        /// The folder.
        instance: PathBuf,
    },
    /// Nobody listens; a socket without a listener is what a killed service leaves.
    #[error("the service of `{}` is not running", instance.display())]
    NotRunning {
        /// The folder of the instance.
        instance: PathBuf,
    },
    /// The instance is another user's.
    #[error("the instance `{}` is not yours", instance.display())]
    NotYours {
        /// The folder of the instance.
        instance: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// It failed in another way.
    #[error("could not connect to `{}`", socket.display())]
    Failed {
        /// The socket.
        socket: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl ConnectError {
    fn new(instance: &Path, source: io::Error) -> Self {
        let socket = instance.join(SOCKET);
        let instance = instance.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound if !instance.join(CONFIG).exists() => Self::NoInstance { instance },
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Self::NotRunning { instance },
            io::ErrorKind::PermissionDenied => Self::NotYours { instance, source },
            _ => Self::Failed { socket, source },
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        use ConnectError as Error;
        let failure = |code| Failure::of_error(code, &error);
        match &error {
            Error::NoInstance { .. } => {
                failure(ErrorCode::NotFound).hint("name the folder of an instance, or make one with `coattail new DIR`")
            }
            Error::NotRunning { instance } => failure(ErrorCode::NotRunning)
                .hint(format!("start it with `coattail service start --instance {}`", instance.display())),
            Error::NotYours { .. } => failure(ErrorCode::NotPermitted).hint("run it as the user who owns the instance"),
            Error::Failed { .. } => failure(ErrorCode::Internal),
        }
    }
}

/// A path that fits into the 108 bytes a socket address has for it, however deep the instance lies.
#[derive(Debug)]
pub struct ShortPath {
    path: PathBuf,
    /// Must stay open for as long as `path` is used.
    _folder: File,
}

impl ShortPath {
    /// Shortens the path of a socket whose folder exists.
    ///
    /// # Errors
    /// If the folder cannot be opened.
    pub fn new(socket: &Path) -> io::Result<Self> {
        let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no path of a socket"));
        };
        let folder = File::open(folder)?;
        let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
        // Without /proc the path goes as it is, and may be too long.
        let path = if short.exists() { short.join(name) } else { socket.to_owned() };
        Ok(Self { path, _folder: folder })
    }

    /// The path to bind or to connect to.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
