//! Replacing what an instance has by what was restored: all of it, or nothing.
//!
//! It is made in `restore.new` in the folder `.coattail`, put on disk, and renamed to `restore`: one step, before which
//! the instance is what it was, and after which it will be what was restored. Whoever takes the lock next finishes the
//! renames, before he looks at anything. What was replaced is kept beside.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use coattail::kill_point;
use jiff::Timestamp;

use super::create::sync_tree;
use super::layout::VERSION;
use super::{Instance, InstanceLock};
use crate::keys::file::sync_folder;

impl Instance {
    /// An empty folder for what is to replace what the instance has. Only for whoever has the lock.
    pub fn stage(&self) -> io::Result<PathBuf> {
        let staging = self.state().join(STAGING);
        remove(&staging)?;
        let new = staging.join(NEW);
        DirBuilder::new().recursive(true).mode(0o700).create(&new)?;
        Ok(new)
    }
}

impl InstanceLock {
    /// Replaces what is there by what was staged, and returns where the former is kept.
    pub fn replace(&self, instance: &Instance) -> io::Result<Option<PathBuf>> {
        kill_point!("restore.staged");
        let state = instance.state();
        let new = state.join(STAGING).join(NEW);
        // That of the instance stays: without it, no command would take the folder for one at any moment.
        fs::remove_file(new.join(VERSION))?;
        sync_tree(&new)?;
        sync_folder(&state.join(STAGING))?;
        kill_point!("restore.before-commit");
        fs::rename(state.join(STAGING), state.join(COMMITTED))?;
        kill_point!("restore.committed");
        sync_folder(&state)?;
        finish(instance)
    }
}

/// Finishes what was committed, if anything was. Whoever is killed in it has it finished by the next.
pub(super) fn finish(instance: &Instance) -> io::Result<Option<PathBuf>> {
    let (root, committed) = (instance.root(), instance.state().join(COMMITTED));
    let (new, before) = (committed.join(NEW), committed.join(BEFORE));
    let entries = match fs::read_dir(&new) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            remove(&committed)?;
            return Ok(None);
        }
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        DirBuilder::new().recursive(true).mode(0o700).create(&before)?;
        let name = entry.file_name();
        let (ours, kept) = (root.join(&name), before.join(&name));
        if entry.file_type()?.is_dir() {
            // Two steps: in between there is none, which only whoever has the lock can see.
            if !kept.exists() && ours.exists() {
                fs::rename(&ours, &kept)?;
            }
        } else {
            for suffix in SQLITE_BESIDE {
                let mut beside = name.clone();
                beside.push(suffix);
                move_if_there(&root.join(&beside), &before.join(&beside))?;
            }
            if !kept.exists() && ours.exists() {
                fs::hard_link(&ours, &kept)?;
            }
        }
        kill_point!("restore.kept-one");
        fs::rename(entry.path(), &ours)?;
        kill_point!("restore.renamed-one");
    }
    sync_folder(root)?;
    let kept = root.join(format!(".before-restore-{}", Timestamp::now().strftime("%Y%m%dT%H%M%S%.3fZ")));
    let was_kept = move_if_there(&before, &kept)?;
    kill_point!("restore.kept-all");
    sync_folder(root)?;
    remove(&committed)?;
    Ok(was_kept.then_some(kept))
}

fn move_if_there(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        moved => moved.map(|()| true),
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What SQLite keeps beside a database: it belongs to the old one.
const SQLITE_BESIDE: [&str; 2] = ["-wal", "-shm"];

const STAGING: &str = "restore.new";
const COMMITTED: &str = "restore";
const NEW: &str = "new";
const BEFORE: &str = "before";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::NewInstance;

    fn read(path: PathBuf) -> String {
        fs::read_to_string(path).unwrap()
    }

    /// An instance, and in its staging folder others of its settings, keys and database.
    fn staged() -> (tempfile::TempDir, Instance) {
        let dir = tempfile::tempdir().unwrap();
        let instance = NewInstance::default().create(&dir.path().join("i"), |_| Ok::<_, io::Error>(())).unwrap();
        fs::write(instance.root().join("data.db-wal"), "old").unwrap();
        let new = instance.stage().unwrap();
        fs::create_dir(new.join("keys")).unwrap();
        for file in ["config.yml", "data.db", "keys/vt-key.pem", VERSION] {
            fs::write(new.join(file), "new").unwrap();
        }
        (dir, instance)
    }

    #[track_caller]
    fn assert_replaced(instance: &Instance) {
        for file in ["config.yml", "data.db", "keys/vt-key.pem"] {
            assert_eq!(read(instance.root().join(file)), "new", "{file}");
        }
        assert!(!instance.root().join("data.db-wal").exists(), "the log of another database");
        assert_ne!(read(instance.version_file()), "new");
        assert!(!instance.state().join(COMMITTED).exists());
        let names = fs::read_dir(instance.root()).unwrap().map(|entry| entry.unwrap().path());
        let before = names.into_iter().find(|path| path.to_string_lossy().contains(".before-restore-")).unwrap();
        assert_eq!(read(before.join("data.db-wal")), "old");
        assert!(read(before.join("keys/vt-key.pem")).contains("PRIVATE KEY"));
        assert!(read(before.join("config.yml")).contains("service:"));
    }

    #[test]
    fn what_was_staged_takes_the_place_of_what_is_there() {
        let (_dir, instance) = staged();
        let lock = instance.lock("command").unwrap();
        assert!(lock.replace(&instance).unwrap().is_some());
        assert_replaced(&instance);
    }

    #[test]
    fn what_was_not_committed_is_nothing() {
        let (_dir, instance) = staged();
        let _lock = instance.lock("command").unwrap();
        assert!(read(instance.config()).contains("service:"));
        assert_eq!(fs::read_dir(instance.stage().unwrap()).unwrap().count(), 0, "what a killed one has left goes");
    }

    #[test]
    fn whoever_takes_the_lock_finishes_what_was_committed() {
        // Up to which of its renames the one before has come.
        for killed_after in 0..=5 {
            let (_dir, instance) = staged();
            let (root, committed) = (instance.root(), instance.state().join(COMMITTED));
            fs::remove_file(instance.state().join(STAGING).join(NEW).join(VERSION)).unwrap();
            fs::rename(instance.state().join(STAGING), &committed).unwrap();
            let (new, before) = (committed.join(NEW), committed.join(BEFORE));
            fs::create_dir(&before).unwrap();
            let steps: [&dyn Fn(); 5] = [
                &|| fs::rename(root.join("keys"), before.join("keys")).unwrap(),
                &|| fs::rename(new.join("keys"), root.join("keys")).unwrap(),
                &|| fs::rename(root.join("data.db-wal"), before.join("data.db-wal")).unwrap(),
                &|| fs::hard_link(root.join("data.db"), before.join("data.db")).unwrap(),
                &|| fs::rename(new.join("data.db"), root.join("data.db")).unwrap(),
            ];
            steps[..killed_after].iter().for_each(|step| step());
            let _lock = instance.lock("service").unwrap();
            assert_replaced(&instance);
        }
    }
}
