use std::path::{Path, PathBuf};

use super::{OpenError, version};

/// The folder of an instance, and where everything in it is unless `config.yml` says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    root: PathBuf,
}

impl Instance {
    /// Takes a folder that is an instance of this program.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        // Absolute, so that a daemon that changes its working directory still finds it.
        let root = std::path::absolute(dir).map_err(|source| OpenError::Read { path: dir.to_owned(), source })?;
        version::check(&root)?;
        Ok(Self { root })
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Says which version made it.
    pub fn version_file(&self) -> PathBuf {
        self.root.join(VERSION)
    }

    /// The settings.
    pub fn config(&self) -> PathBuf {
        self.root.join(CONFIG)
    }

    /// Makes the folder a Node package, so that actions can have dependencies.
    pub fn package(&self) -> PathBuf {
        self.root.join(PACKAGE)
    }

    /// What can be performed.
    pub fn actions(&self) -> PathBuf {
        self.root.join(ACTIONS)
    }

    /// What handles publications.
    pub fn receivers(&self) -> PathBuf {
        self.root.join(RECEIVERS)
    }

    /// The key pairs.
    pub fn keys(&self) -> PathBuf {
        self.root.join(KEYS)
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.root.join(DATABASE)
    }

    /// The log of a service in the background.
    pub fn log(&self) -> PathBuf {
        self.root.join(LOG)
    }

    /// What a running daemon needs, for its owner only. Nothing in it but the logs and the last
    /// epoch outlives the daemon.
    pub fn state(&self) -> PathBuf {
        self.root.join(STATE)
    }

    /// The socket on which the daemon takes commands.
    pub fn control_socket(&self) -> PathBuf {
        self.state().join("control.sock")
    }

    /// The file that is locked by the process that works in the instance.
    pub fn lock_file(&self) -> PathBuf {
        self.state().join("lock")
    }

    /// Remembers when the database was last opened, so that one which was put back is found out.
    pub fn epoch_file(&self) -> PathBuf {
        self.state().join("epoch")
    }

    /// What is kept of what plugins say and print.
    pub fn logs(&self) -> PathBuf {
        self.root.join(LOGS)
    }

    /// What is kept of what jobs say.
    pub fn jobs(&self) -> PathBuf {
        self.root.join(JOBS)
    }

    /// Where the daemon unpacks the runners of plugins.
    pub fn runtime(&self) -> PathBuf {
        self.root.join(RUNTIME)
    }
}

pub(super) const CONFIG: &str = "config.yml";
pub(super) const PACKAGE: &str = "package.json";
pub(super) const ACTIONS: &str = "actions";
pub(super) const RECEIVERS: &str = "receivers";
pub(super) const KEYS: &str = "keys";
pub(super) const DATABASE: &str = "data.db";
pub(super) const LOG: &str = "service.log";
pub(super) const STATE: &str = ".coattail";
pub(super) const LOGS: &str = ".coattail/logs";
pub(super) const JOBS: &str = ".coattail/jobs";
pub(super) const RUNTIME: &str = ".coattail/runtime";
pub(super) const VERSION: &str = ".ct.version";
