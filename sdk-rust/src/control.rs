//! Talk to the daemon of an instance on this machine.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use crate::rpc::{Ended, Limits, Service, Session, Stray};

/// Where the daemon of an instance listens, below the folder of the instance.
pub const SOCKET: &str = ".coattail/control.sock";

/// Connects to the daemon of an instance. The caller owns the future: it spawns it, and waits for it.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` if the service of the instance is not running.
pub async fn connect(
    instance: &Path,
    cancel: CancellationToken,
) -> io::Result<(Session, impl Future<Output = Ended> + use<>)> {
    let socket = ShortPath::new(&instance.join(SOCKET))?;
    let (reader, writer) = UnixStream::connect(socket.path()).await?.into_split();
    Ok(Session::new(reader, writer, Service::new(), Stray::Close, Limits::default(), cancel))
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
