use std::collections::hash_map::DefaultHasher;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use coattail::wire::host::PluginState;
use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure, Raw};

use super::Settings;
use super::manifest::Manifest;
use super::schema::Schemas;
use super::tree::Tree;

/// Which plugin it is. A fact of the connection to each of its workers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PluginId {
    /// Action or receiver.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for PluginId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind.as_str(), self.name)
    }
}

/// A plugin in the folder, whether or not it can be run.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// Action or receiver.
    pub kind: Kind,
    /// Its file, or its folder.
    pub path: Option<PathBuf>,
    /// How it is run: `node`, `python`, `sh`, `executable`.
    pub runtime: Option<&'static str>,
    /// What its owner says of it.
    pub description: Option<String>,
    /// JSON Schema of what goes in, as far as it is known.
    pub input: Option<Raw>,
    /// JSON Schema of what comes out, as far as it is known.
    pub output: Option<Raw>,
    /// Why it cannot be run.
    pub problem: Option<Problem>,
    pub(super) spec: Option<Arc<Spec>>,
}

/// How the workers of a plugin are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// In one word.
    pub state: PluginState,
    /// Why, if something is wrong.
    pub reason: Option<String>,
}

/// Why a plugin cannot be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, with the file that it is about.
    pub message: String,
    /// What to try.
    pub hint: Option<String>,
    is_withdrawn: bool,
}

/// There is no such plugin, or it cannot be run.
#[derive(Debug)]
pub(super) struct Unusable {
    pub(super) failure: Failure,
    /// Its owner has taken it away, rather than having made a mistake in it: what still runs of it takes no more calls.
    pub(super) is_withdrawn: bool,
}

impl From<Unusable> for Failure {
    fn from(unusable: Unusable) -> Self {
        unusable.failure
    }
}

impl Problem {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self { message: message.into(), hint: hint.into(), is_withdrawn: false }
    }

    /// It is the owner's doing that it cannot be run.
    pub(super) fn withdrawn(self) -> Self {
        Self { is_withdrawn: true, ..self }
    }

    pub(super) fn of(self, id: &PluginId) -> Unusable {
        let failure = Failure::new(ErrorCode::PluginBroken, format!("{id} cannot be run: {}", self.message));
        Unusable { failure: Failure { hint: self.hint, ..failure }, is_withdrawn: self.is_withdrawn }
    }
}

/// How to run a plugin, as it was found.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) id: Arc<PluginId>,
    pub(super) interpreter: Interpreter,
    /// The interpreter or the program, and its arguments; `file` follows.
    pub(super) argv: Vec<OsString>,
    /// Absent for a folder, whose command is complete.
    pub(super) file: Option<PathBuf>,
    /// Where it runs.
    pub(super) folder: PathBuf,
    pub(super) plain: bool,
    pub(super) manifest: Manifest,
    /// What may go in and come out.
    pub(super) schemas: Schemas,
    /// Differs when a file has changed.
    pub(super) fingerprint: Fingerprint,
}

impl Spec {
    /// Calls that are done at once, by all of its workers.
    pub(super) fn at_once(&self, settings: &Settings) -> usize {
        let each = self.manifest.concurrency.unwrap_or(settings.concurrency);
        each.saturating_mul(if self.plain { 1 } else { self.manifest.max.unwrap_or(1) })
    }
}

/// What stands between `argv` and the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interpreter {
    /// The runner of the Node SDK.
    NodeRunner,
    /// The runner of the Python SDK.
    PythonRunner,
    /// Nothing.
    None,
}

/// Files, and what they were when they were looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fingerprint {
    paths: Vec<PathBuf>,
    found: Vec<Option<Look>>,
    tree: Option<Arc<Tree>>,
}

/// What tells that a file is not what it was.
pub(super) type Look = [i64; 5];

impl Fingerprint {
    pub(super) fn of(paths: &[&Path]) -> Self {
        let found = paths.iter().map(look).collect();
        Self { paths: paths.iter().map(|path| path.to_path_buf()).collect(), found, tree: None }
    }

    /// Of a folder with all that is in it, too.
    pub(super) fn and_tree(self, folder: &Path) -> Self {
        Self { tree: Some(Arc::new(Tree::of(folder))), ..self }
    }

    /// Whether the files are what they were.
    pub(super) fn holds(&self) -> bool {
        self.paths.iter().map(look).eq(self.found.iter().copied()) && self.tree.as_ref().is_none_or(|tree| tree.holds())
    }

    /// A number that differs, all but certainly, when something is not what it was.
    pub(super) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.paths, &self.found, self.tree.as_ref().map(|tree| tree.digest())).hash(&mut hasher);
        hasher.finish()
    }

    /// Whether the files have been what they are for so long that a change after the look has another time.
    pub(super) fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs().cast_signed();
        let newest = self.tree.as_ref().map_or(0, |tree| tree.newest());
        newest + SETTLED < now
            && self.found.iter().all(|found| found.is_some_and(|[.., seconds, _]| seconds + SETTLED < now))
    }
}

/// Looks at a file; nothing if there is none.
pub(super) fn look(path: impl AsRef<Path>) -> Option<Look> {
    let data = fs::metadata(path).ok()?;
    let (device, inode, size) = (data.dev().cast_signed(), data.ino().cast_signed(), data.size().cast_signed());
    // Of the change, not of the content: it also tells that the execute bit was taken away, and cannot be set back.
    Some([device, inode, size, data.ctime(), data.ctime_nsec()])
}

/// Seconds. The times of files are coarse, on some file systems as coarse as this.
const SETTLED: i64 = 2;
