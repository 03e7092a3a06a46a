use std::path::PathBuf;
use std::time::Duration;

use coattail::id::IssuerHash;
use coattail::wire::plugin::Kind;

use super::{Journals, Tap};
use crate::config::RetrySchedule;
use crate::feeds::Feeds;

/// What plugins are run with. Built from the configuration by whoever starts them.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of the instance; absolute.
    pub instance: PathBuf,
    /// The instance's issuer hash, told to workers.
    pub issuer: IssuerHash,
    /// The executable that runs as guard when its first argument is [`GUARD`](super::GUARD).
    pub guard: PathBuf,
    /// The folder of the `coattail` executable, first in the `PATH` of plugins.
    pub bin: Option<PathBuf>,
    /// Which Node.js; looked for in `PATH` if absent.
    pub node: Option<PathBuf>,
    /// Which Python 3; looked for in `PATH` if absent.
    pub python: Option<PathBuf>,
    /// Which shell; looked for in `PATH` if absent.
    pub sh: Option<PathBuf>,
    /// How long a call may take for which neither its caller nor the sidecar says it.
    pub timeout: Duration,
    /// How long a worker may take to load the user's code.
    pub start: Duration,
    /// How long a cancelled call may take to end, and again a process that was sent TERM.
    pub grace: Duration,
    /// After so long without a call a worker is stopped.
    pub idle: Duration,
    /// Calls of one plugin at once.
    pub concurrency: usize,
    /// Calls of one plugin that wait for their turn; one more is refused as busy.
    pub queue: usize,
    /// When receivers are called again whose sidecars do not say it.
    pub retry: RetrySchedule,
    /// Bytes of one message to or from a worker, and of the output of a plain plugin.
    pub frame: usize,
    /// What is said of the calls under way.
    pub feeds: Feeds,
    /// What is kept of what plugins say and print.
    pub journals: Journals,
    /// Who looks on what plugins are given.
    pub tap: Tap,
}

impl Settings {
    /// The defaults.
    pub fn new(instance: PathBuf, issuer: IssuerHash) -> Self {
        let this = std::env::current_exe().ok();
        Self {
            instance,
            issuer,
            // Not by its path: an upgrade replaces the file, and this link still leads to the version that runs.
            guard: PathBuf::from("/proc/self/exe"),
            bin: this.and_then(|path| Some(path.parent()?.to_owned())),
            node: None,
            python: None,
            sh: None,
            timeout: Duration::from_secs(60),
            // Python on a slow disk, with everything it imports.
            start: Duration::from_secs(20),
            grace: Duration::from_secs(2),
            idle: Duration::from_mins(5),
            concurrency: 16,
            queue: 256,
            retry: RetrySchedule::receivers(),
            frame: 8 * 1024 * 1024,
            feeds: Feeds::default(),
            journals: Journals::default(),
            tap: Tap::default(),
        }
    }

    pub(super) fn folder(&self, kind: Kind) -> PathBuf {
        self.instance.join(match kind {
            Kind::Action => "actions",
            Kind::Receiver => "receivers",
        })
    }
}
