use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use coattail::control::ShortPath;
use tokio::net::{UnixListener, UnixStream};

/// Listens on the control socket of an instance. Only its owner gets in.
pub(crate) struct ControlListener {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlListener {
    /// Listens at `path`, whose folder is 0700. The caller holds the lock of the instance, so that a socket that is
    /// there already was left behind by a service that was killed.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(ShortPath::new(path)?.path())?;
        fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// The next connection of the owner. Others are sent away. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            let uid = stream.peer_cred()?.uid();
            if uid == nix::unistd::geteuid().as_raw() || uid == 0 {
                return Ok(stream);
            }
            tracing::warn!(uid, "refused a user who is not the owner of the instance at the control socket");
        }
    }
}

impl Drop for ControlListener {
    fn drop(&mut self) {
        // If it stays, the next start removes it.
        let _ = fs::remove_file(&self.path);
    }
}
