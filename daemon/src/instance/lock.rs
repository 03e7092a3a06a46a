use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use coattail::wire::ErrorCode;

use super::{Instance, replace};

/// Who works in an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// What it is: `service` or `command`.
    pub what: String,
}

/// While this lives, no other process works in the instance.
///
/// The system holds the lock for the open file, so it ends with the process however that ends. What is
/// written in the file only tells people who it is: after `kill -9` it is stale, and nobody reads it.
#[derive(Debug)]
pub struct InstanceLock {
    _file: File,
}

/// Why the instance could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process works in it.
    #[error("the instance {} is in use{}", dir.display(), by(holder.as_ref()))]
    Held {
        /// Which instance.
        dir: PathBuf,
        /// Who, if it has already said so.
        holder: Option<Holder>,
    },
    /// The lock file cannot be used.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl LockError {
    /// What to try.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Held { holder: Some(Holder { what, .. }), .. } if what == "service" => {
                "the service is running already; `coattail service status` shows it".to_owned()
            }
            Self::Held { .. } => "wait until it is done, and try again".to_owned(),
            Self::Io { .. } => "check that you own this folder, and that its disk is not full".to_owned(),
        })
    }

    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Held { .. } => ErrorCode::Busy,
            Self::Io { .. } => ErrorCode::Internal,
        }
    }
}

impl Instance {
    /// Takes the instance for this process, or says who has it. `what` is `service` or `command`.
    pub fn lock(&self, what: &'static str) -> Result<InstanceLock, LockError> {
        let path = self.lock_file();
        let failed = |source| LockError::Io { path: self.lock_file(), source };
        // A copy of an instance may lack the folder: there is nothing in it to keep.
        DirBuilder::new().recursive(true).mode(0o700).create(self.state()).map_err(failed)?;
        // Not truncated here: it is someone else's until the lock is ours.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { dir: self.root().to_owned(), holder: read_holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{} {what}", std::process::id()).map_err(failed)?;
        // Before anybody looks at anything: what a restore that was killed has left to do.
        replace::finish(self).map_err(failed)?;
        Ok(InstanceLock { _file: file })
    }

    /// Who works in the instance now, if anyone does and has said so.
    pub fn holder(&self) -> Option<Holder> {
        let mut file = fs::File::open(self.lock_file()).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => read_holder(&mut file),
            _ => None,
        }
    }
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(MAX_HOLDER).read_to_string(&mut text).ok()?;
    let (pid, what) = text.strip_suffix('\n')?.split_once(' ')?;
    let printable = what.chars().all(|c| c.is_ascii_alphanumeric());
    printable.then_some(Holder { pid: pid.parse().ok()?, what: what.to_owned() })
}

fn by(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |Holder { pid, what }| format!(" by a {what} (process {pid})"))
}

/// The longest text in the lock file, in bytes.
const MAX_HOLDER: u64 = 64;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::instance::NewInstance;

    #[test]
    fn a_second_process_learns_who_has_the_instance() {
        let dir = tempfile::tempdir().unwrap();
        let instance = NewInstance::default().create(&dir.path().join("i"), |_| Ok::<_, io::Error>(())).unwrap();
        assert_eq!(instance.holder(), None);

        let lock = instance.lock("service").unwrap();
        let error = instance.lock("command").unwrap_err();
        let holder = Holder { pid: std::process::id(), what: "service".to_owned() };
        assert!(error.to_string().ends_with(&format!("is in use by a service (process {})", holder.pid)), "{error}");
        assert!(error.hint().unwrap().contains("running already"));
        assert_eq!(instance.holder(), Some(holder));

        drop(lock);
        assert_eq!(instance.holder(), None);
        let _lock = instance.lock("command").unwrap();
        assert_eq!(instance.holder().unwrap().what, "command");
    }

    #[test]
    fn what_a_killed_process_left_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let instance = NewInstance::default().create(&dir.path().join("i"), |_| Ok::<_, io::Error>(())).unwrap();
        fs::write(instance.lock_file(), "1 service and more than is written by the next one\n").unwrap();
        assert_eq!(instance.holder(), None);
        let _lock = instance.lock("command").unwrap();
        assert_eq!(fs::read_to_string(instance.lock_file()).unwrap(), format!("{} command\n", std::process::id()));
    }

    #[test]
    fn s9_the_folder_of_the_lock_is_made_again_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let instance = NewInstance::default().create(&dir.path().join("i"), |_| Ok::<_, io::Error>(())).unwrap();
        fs::remove_dir_all(instance.state()).unwrap();
        let _lock = instance.lock("command").unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(instance.state()), mode(instance.lock_file())), (0o700, 0o600));
    }
}
