use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use coattail::wire::{ErrorCode, Failure};
use futures::future::join3;

use super::instance::Instance;
use crate::error::because;

/// The folder of the demo and the instances in it.
#[derive(Debug)]
pub(super) struct Stage {
    root: PathBuf,
    /// Whether the folder was not there before.
    is_made: bool,
    pub(super) site: Instance,
    pub(super) office: Instance,
    pub(super) desk: Instance,
}

impl Stage {
    /// Makes a temporary folder, or takes the one that was given, if nothing is in it.
    pub(super) fn set(given: Option<&Path>) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            let folder =
                given.map_or_else(|| "a temporary folder".to_owned(), |given| format!("`{}`", given.display()));
            because(ErrorCode::Internal, format!("could not use {folder} for the demo"), error)
                .hint("name a folder that you can write to with `--folder DIR`")
        };
        let is_made = given.is_none_or(|given| !given.exists());
        let root = match given {
            None => tempfile::Builder::new().prefix("coattail-demo-").tempdir().map_err(failed)?.keep(),
            Some(given) => {
                fs::create_dir_all(given).map_err(failed)?;
                given.to_owned()
            }
        };
        let root = root.canonicalize().map_err(failed)?;
        if fs::read_dir(&root).map_err(failed)?.next().is_some() {
            return Err(Failure::new(ErrorCode::AlreadyExists, format!("`{}` is not empty", root.display()))
                .hint("name a new folder: the demo removes what it made, and must not meet what is yours"));
        }
        // All three ports are held at once, so that they differ.
        let [site, office, desk] = ["site", "office", "desk"].map(|name| Instance::new(name, &root).map_err(failed));
        Ok(Self { site: site?, office: office?, desk: desk?, root, is_made })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Ends the services, however far the demo has got. It takes bounded time, and none is left.
    pub(super) async fn stop(&mut self) {
        join3(self.site.stop(), self.office.stop(), self.desk.stop()).await;
    }

    /// Removes what the demo made. Nothing was in the folder before, so everything in it is that.
    pub(super) fn remove(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + REMOVE_PATIENCE;
        loop {
            match self.try_remove() {
                // An interrupted command has been killed and may not be gone yet.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && Instant::now() < deadline => {
                    sleep(REMOVE_POLL);
                }
                removed => {
                    return removed.map_err(|error| {
                        let what = format!("could not remove `{}`", self.root.display());
                        because(ErrorCode::Internal, what, error).hint("remove it by hand")
                    });
                }
            }
        }
    }

    fn try_remove(&self) -> io::Result<()> {
        if self.is_made {
            return fs::remove_dir_all(&self.root);
        }
        for entry in fs::read_dir(&self.root)? {
            fs::remove_dir_all(entry?.path())?;
        }
        Ok(())
    }
}

/// How long the folder may go on changing after everything has been stopped, and how often to try again.
const REMOVE_PATIENCE: Duration = Duration::from_secs(2);
const REMOVE_POLL: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_empty_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("mine"), "").expect("a file in it");
        let failure = Stage::set(Some(folder.path())).expect_err("it is not empty");
        assert_eq!(failure.code, ErrorCode::AlreadyExists);
        assert!(folder.path().join("mine").exists());
    }

    #[test]
    fn a_folder_goes_only_if_it_was_not_there_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let stage = Stage::set(Some(folder.path())).expect("it is empty");
        fs::create_dir(stage.site.folder()).expect("a folder in it");
        stage.remove().expect("it goes");
        assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0);

        let new = folder.path().join("a/b");
        Stage::set(Some(&new)).expect("it is made").remove().expect("it goes");
        assert!(!new.exists());
    }
}
