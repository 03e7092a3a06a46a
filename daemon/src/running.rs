//! Which services of this user run now, from the files that they hold locked.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The longest description of a service, in bytes: two paths and a few numbers.
const MAX_DESCRIPTION: u64 = 64 * 1024;

/// A service that runs, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningService {
    /// The process.
    pub pid: u32,
    /// The folder of the instance.
    pub instance: PathBuf,
    /// Where it listens.
    pub address: String,
    /// When it started (RFC 3339).
    pub started: String,
    /// The version of the program.
    pub version: String,
    /// Whether it runs in the background.
    pub headless: bool,
}

/// The description of this service, locked for as long as this lives.
///
/// The system ends the lock with the process, so what a killed service left behind is recognised and removed.
#[derive(Debug)]
pub(crate) struct Registration {
    path: PathBuf,
    _file: File,
}

impl Registration {
    pub(crate) fn new(service: &RunningService) -> io::Result<Self> {
        let folder = folder()?;
        let name = Sha256::digest(service.instance.as_os_str().as_encoded_bytes());
        let name: String = name.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let path = folder.join(format!("{name}.json"));
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        // The lock of the instance is ours, so whoever holds this one is a `service status` that looks, for a moment.
        file.lock()?;
        file.set_len(0)?;
        // In one write: to a file each piece would be one.
        file.write_all(&serde_json::to_vec(service)?)?;
        Ok(Self { path, _file: file })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // If it stays, the next look removes it.
        let _ = fs::remove_file(&self.path);
    }
}

/// The services of this user that run now.
///
/// # Errors
/// If the folder of descriptions cannot be read, or belongs to somebody else.
pub fn running_services() -> io::Result<Vec<RunningService>> {
    let mut services = Vec::new();
    for entry in fs::read_dir(folder()?)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json")
            && let Some(service) = look(&path)?
        {
            services.push(service);
        }
    }
    services.sort_by(|a, b| a.instance.cmp(&b.instance));
    Ok(services)
}

fn look(path: &Path) -> io::Result<Option<RunningService>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        // It stopped while we looked.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock_shared() {
        // Nobody holds it: it was killed.
        Ok(()) => {
            let _ = fs::remove_file(path);
            return Ok(None);
        }
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let mut text = String::new();
    Read::by_ref(&mut file).take(MAX_DESCRIPTION).read_to_string(&mut text)?;
    // What cannot be read is of a service that starts in this moment, or of another version.
    Ok(serde_json::from_str(&text).ok())
}

/// The folder of this user's descriptions, which nobody else can write.
fn folder() -> io::Result<PathBuf> {
    let uid = nix::unistd::geteuid();
    let base =
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|base| base.is_absolute() && base.is_dir());
    let folder = match base {
        Some(base) => base.join("coattail"),
        None => std::env::temp_dir().join(format!("coattail-{uid}")),
    };
    match DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let metadata = fs::symlink_metadata(&folder)?;
    if !metadata.is_dir() || metadata.uid() != uid.as_raw() || metadata.mode() & 0o022 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} belongs to somebody else, or others can write it", folder.display()),
        ));
    }
    Ok(folder)
}
