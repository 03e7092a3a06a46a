use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use include_dir::{Dir, include_dir};
use sha2::{Digest as _, Sha256};

/// The parts of the SDKs that run plugins, as they were when this program was built.
static NODE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sdk-node/src");
static PYTHON: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../sdk-python/src/coattail");
/// Beside `src`, in the folder of the Node SDK: tests and what `npm` installs lie there, too, and stay out.
const NODE_FILES: [(&str, &str); 4] = [
    ("index.js", include_str!("../../../sdk-node/index.js")),
    ("index.mjs", include_str!("../../../sdk-node/index.mjs")),
    ("runner.js", include_str!("../../../sdk-node/runner.js")),
    ("package.json", include_str!("../../../sdk-node/package.json")),
];

/// Where the runners of an instance lie, below its folder.
const FOLDER: &str = ".coattail/runtime";

/// The files of the runners.
struct Files {
    /// By their path, which begins with `node` or `python`.
    contents: BTreeMap<PathBuf, &'static [u8]>,
    /// The hash of all of them.
    name: String,
}

static FILES: LazyLock<Files> = LazyLock::new(|| {
    let mut contents: BTreeMap<PathBuf, &'static [u8]> =
        NODE_FILES.iter().map(|(name, text)| (Path::new("node").join(name), text.as_bytes())).collect();
    collect(&NODE, Path::new("node/src"), &mut contents);
    collect(&PYTHON, Path::new("python/coattail"), &mut contents);
    let mut hash = Sha256::new();
    for (path, bytes) in &contents {
        hash.update(path.as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    }
    let name = hash.finalize().iter().take(NAME_BYTES).map(|byte| format!("{byte:02x}")).collect();
    Files { contents, name }
});

/// Bytes of the hash that name a folder: enough to tell the versions of one instance apart.
const NAME_BYTES: usize = 8;

/// The runners on disk, in a folder named by their content.
#[derive(Debug, Clone)]
pub(super) struct Runners(PathBuf);

impl Runners {
    /// Finds the runners of this program in an instance, or writes them there.
    ///
    /// A folder that has the right name is whole: it is written under another name, synced and then renamed. After
    /// a crash the other name is left, and removed by whoever writes next.
    pub(super) fn prepare(instance: &Path) -> io::Result<Self> {
        let Files { contents, name } = &*FILES;
        let parent = instance.join(FOLDER);
        let folder = parent.join(name);
        if folder.is_dir() {
            return Ok(Self(folder));
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&parent)?;
        let ours = format!("draft-{}-", std::process::id());
        remove_others(&parent, name, &ours);
        let draft =
            tempfile::Builder::new().prefix(&ours).permissions(Permissions::from_mode(0o700)).tempdir_in(&parent)?;
        let mut folders = BTreeSet::new();
        for (path, bytes) in contents {
            let path = draft.path().join(path);
            let inside = path.parent().expect("a file lies in a folder");
            DirBuilder::new().recursive(true).mode(0o700).create(inside)?;
            let mut file = File::create(&path)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            folders.extend(inside.ancestors().take_while(|folder| *folder != parent).map(Path::to_owned));
        }
        for folder in folders {
            File::open(folder)?.sync_all()?;
        }
        match fs::rename(draft.path(), &folder) {
            // Written in the meantime, for another plugin that is started, too.
            Err(_) if folder.is_dir() => {}
            renamed => renamed?,
        }
        File::open(&parent)?.sync_all()?;
        Ok(Self(folder))
    }

    /// The script that runs a Node plugin.
    pub(super) fn node(&self) -> PathBuf {
        self.0.join("node/runner.js")
    }

    /// What has to come first in `PYTHONPATH`, so that `python -m coattail` is the runner.
    pub(super) fn python(&self) -> PathBuf {
        self.0.join("python")
    }
}

/// Older versions, and drafts of a process that died. Nothing uses them: one daemon runs per instance, and no
/// worker outlives it. What this daemon writes, or has just written for another plugin, stays.
fn remove_others(parent: &Path, name: &str, ours: &str) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let entry_name = entry.file_name();
        if entry_name == name || entry_name.as_encoded_bytes().starts_with(ours.as_bytes()) {
            continue;
        }
        if let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::debug!(path = %entry.path().display(), %error, "could not remove an old runner");
        }
    }
}

fn collect(dir: &'static Dir<'_>, below: &Path, contents: &mut BTreeMap<PathBuf, &'static [u8]>) {
    for file in dir.files().filter(|file| file.path().extension().is_none_or(|end| end != "pyc")) {
        contents.insert(below.join(file.path()), file.contents());
    }
    for dir in dir.dirs().filter(|dir| dir.path().file_name().is_none_or(|name| name != "__pycache__")) {
        collect(dir, below, contents);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_that_start_at_once_do_not_take_the_runners_from_each_other() {
        for _ in 0..5 {
            let instance = tempfile::tempdir().unwrap();
            let start = std::sync::Barrier::new(4);
            let prepare = || {
                start.wait();
                assert!(Runners::prepare(instance.path()).unwrap().node().is_file());
            };
            std::thread::scope(|scope| (0..4).for_each(|_| _ = scope.spawn(prepare)));
        }
    }

    #[test]
    fn runners_are_written_once_and_whole() {
        let instance = tempfile::tempdir().unwrap();
        let left_over = instance.path().join(FOLDER).join("draft-of-the-dead/x");
        fs::create_dir_all(&left_over).unwrap();
        let runners = Runners::prepare(instance.path()).unwrap();
        assert!(runners.node().is_file() && !left_over.exists());
        assert_eq!(fs::metadata(&runners.0).unwrap().permissions().mode() & 0o777, 0o700);
        for (path, bytes) in &FILES.contents {
            assert_eq!(fs::read(runners.0.join(path)).unwrap(), *bytes, "{}", path.display());
        }
        let marker = runners.0.join("marker");
        File::create(&marker).unwrap();
        Runners::prepare(instance.path()).unwrap();
        assert!(marker.exists(), "what is there is not written again");
    }

    #[test]
    fn plugins_that_start_at_once_do_not_remove_each_others_runners() {
        for _ in 0..20 {
            let instance = tempfile::tempdir().unwrap();
            let whole = |runners: &Runners| FILES.contents.keys().all(|path| runners.0.join(path).is_file());
            std::thread::scope(|scope| {
                let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| Runners::prepare(instance.path()))).collect();
                for start in starts {
                    assert!(whole(&start.join().unwrap().unwrap()));
                }
            });
            assert_eq!(fs::read_dir(instance.path().join(FOLDER)).unwrap().count(), 1);
        }
    }
}
