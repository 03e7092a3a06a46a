use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use coattail::wire::{ErrorCode, Failure};
use tempfile::TempDir;

use crate::error::because;
use crate::local::{self, CreateOptions};

/// The folders of plugins in an instance.
const ACTIONS: &str = "actions";
const RECEIVERS: &str = "receivers";

/// What is used of the folder beside the plugins, if it is there: the libraries of those in Python.
const ENVIRONMENT: &str = ".venv";

/// An instance in a temporary folder, which goes when this is dropped. Its plugins are links into the folder of whoever
/// writes them, where nothing is written. After `kill -9` the temporary folder is left, and no process of it.
#[derive(Debug)]
pub(super) struct Stage {
    _home: TempDir,
    instance: PathBuf,
}

impl Stage {
    /// Makes one around `actions` and `receivers` in a folder; if neither is there, around the files in the folder
    /// itself, which are actions, or `receivers`.
    pub(super) fn set(folder: &Path, receivers: bool) -> Result<Self, Failure> {
        let no_folder = |error: io::Error| {
            because(ErrorCode::NotFound, format!("could not use `{}`", folder.display()), error)
                .hint("name a folder with plugins in it")
        };
        let folder = folder.canonicalize().map_err(no_folder)?;
        fs::read_dir(&folder).map_err(no_folder)?;
        let failed = |error: io::Error| {
            because(ErrorCode::Failed, "could not make a temporary instance", error)
                .hint("set TMPDIR to a folder that you can write to, with room")
        };
        let home = tempfile::Builder::new().prefix("coattail-dev-").tempdir().map_err(failed)?;
        let instance = home.path().canonicalize().map_err(failed)?.join("instance");
        // Port 0: whichever is free.
        let options = CreateOptions { host: Some("127.0.0.1".to_owned()), port: Some(0) };
        local::create_instance(&instance, &options)?;
        for (name, target) in links(&folder, receivers) {
            let link = instance.join(name);
            if link.is_dir() {
                fs::remove_dir(&link).map_err(failed)?;
            }
            symlink(target, link).map_err(failed)?;
        }
        Ok(Self { _home: home, instance })
    }

    pub(super) fn instance(&self) -> &Path {
        &self.instance
    }
}

/// What in the instance leads where.
fn links(folder: &Path, receivers: bool) -> Vec<(&'static str, PathBuf)> {
    let is_there = |name: &&str| folder.join(name).is_dir();
    let mut links: Vec<_> =
        [ACTIONS, RECEIVERS].into_iter().filter(is_there).map(|name| (name, folder.join(name))).collect();
    if links.is_empty() {
        links.push((if receivers { RECEIVERS } else { ACTIONS }, folder.to_owned()));
    }
    links.extend(Some(ENVIRONMENT).filter(is_there).map(|name| (name, folder.join(name))));
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_plugins_come_before_plugins() {
        let home = tempfile::tempdir().expect("a folder");
        let names = |receivers| links(home.path(), receivers).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!((names(false), names(true)), (vec![ACTIONS], vec![RECEIVERS]));
        fs::create_dir(home.path().join(RECEIVERS)).expect("made");
        fs::create_dir(home.path().join(ENVIRONMENT)).expect("made");
        assert_eq!(names(false), [RECEIVERS, ENVIRONMENT]);
        fs::create_dir(home.path().join(ACTIONS)).expect("made");
        assert_eq!(names(true), [ACTIONS, RECEIVERS, ENVIRONMENT]);
    }

    #[test]
    fn nothing_is_left_and_nothing_of_the_folder_is_touched() {
        let home = tempfile::tempdir().expect("a folder");
        fs::write(home.path().join("Greet.sh"), "").expect("written");
        let stage = Stage::set(home.path(), false).expect("it is made");
        let instance = stage.instance().to_owned();
        assert!(instance.join("actions/Greet.sh").exists() && instance.join("config.yml").exists());
        drop(stage);
        assert!(!instance.exists() && home.path().join("Greet.sh").exists());
        assert_eq!(fs::read_dir(home.path()).expect("it is there").count(), 1);
    }
}
