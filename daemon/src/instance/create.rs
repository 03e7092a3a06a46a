//! Making an instance: whole, or not there at all.
//!
//! Everything is made in a folder beside the target, put on disk, and renamed into place: one step, before
//! which the target is what it was. A process killed before that leaves a hidden folder beside it, which
//! nothing ever reads.
//!
//! A target that cannot be replaced, because it is the working directory or a mount point or nothing may
//! be made beside it, is filled instead: everything is made in [`STAGING`] inside it and then moved up, the version file last. A process
//! killed in between leaves no version file, so no command takes the folder for an instance, and making it
//! again first clears what was left.

use std::error::Error;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use coattail::wire::ErrorCode;
use jiff::Timestamp;

use super::layout::{ACTIONS, CONFIG, DATABASE, KEYS, LOG, PACKAGE, RECEIVERS, RUNTIME, STATE, VERSION};
use super::{Instance, OpenError, version};
use crate::config::template::NewConfig;
use crate::keys::file::sync_folder;
use crate::keys::{Identity, KeyError, TlsIdentity};

/// What a new instance should be like.
#[derive(Debug, Clone, Default)]
pub struct NewInstance {
    /// What its `config.yml` says.
    pub config: NewConfig,
}

/// Why no instance was made. The folder is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// It is an instance already.
    #[error("{} is an instance already", dir.display())]
    AlreadyInstance {
        /// Which folder.
        dir: PathBuf,
    },
    /// Something else is in it.
    #[error("{} is not empty", dir.display())]
    NotEmpty {
        /// Which folder.
        dir: PathBuf,
    },
    /// It is a file.
    #[error("{} is not a folder", dir.display())]
    NotAFolder {
        /// Which path.
        dir: PathBuf,
    },
    /// A step failed.
    #[error("cannot make an instance in {}", dir.display())]
    Failed {
        /// Which folder.
        dir: PathBuf,
        /// Why.
        #[source]
        cause: Cause,
    },
}

/// Which step failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// A file or folder.
    #[error("a file could not be written")]
    Io(#[from] io::Error),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What was made does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What the caller had to prepare: the database.
    #[error("the database could not be prepared")]
    Prepare(#[source] Box<dyn Error + Send + Sync>),
}

impl CreateError {
    /// What to try.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::AlreadyInstance { .. } => "use it as it is, or choose another folder".to_owned(),
            Self::NotEmpty { .. } | Self::NotAFolder { .. } => {
                "choose an empty folder, or one that does not exist yet".to_owned()
            }
            Self::Failed { .. } => {
                "check that you may write there, and that the disk is not full; nothing was left behind".to_owned()
            }
        })
    }

    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::AlreadyInstance { .. } | Self::NotEmpty { .. } => ErrorCode::AlreadyExists,
            Self::NotAFolder { .. } => ErrorCode::Usage,
            Self::Failed { cause: Cause::Io(error), .. } if error.kind() == io::ErrorKind::StorageFull => {
                ErrorCode::StorageFull
            }
            Self::Failed { .. } => ErrorCode::Failed,
        }
    }
}

impl NewInstance {
    /// Makes an instance in `dir`, which must be empty or not exist yet.
    ///
    /// `prepare` makes the database. It is given the folder while nobody else sees it; `data.db` is there,
    /// empty and private. It must have closed the database when it returns.
    pub fn create<E: Into<Box<dyn Error + Send + Sync>>>(
        &self,
        dir: &Path,
        prepare: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Instance, CreateError> {
        place_with(dir, |staging| {
            self.build(staging)?;
            prepare(staging).map_err(|error| Cause::Prepare(error.into()))
        })
    }

    /// Makes everything but the database.
    fn build(&self, root: &Path) -> Result<(), Cause> {
        for folder in [ACTIONS, RECEIVERS] {
            DirBuilder::new().create(root.join(folder))?;
        }
        for folder in [KEYS, STATE, RUNTIME] {
            DirBuilder::new().mode(0o700).create(root.join(folder))?;
        }
        // Empty and private, so that no moment passes in which others can read what comes into them.
        for file in [DATABASE, LOG] {
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(root.join(file))?;
        }
        fs::write(root.join(PACKAGE), "{\"name\": \"coattail-instance\"}\n")?;
        fs::write(root.join(CONFIG), self.config.render())?;

        let keys = root.join(KEYS);
        let identity = Identity::generate();
        identity.save(&keys.join("vt-key.pem"), &keys.join("vt-key.pub"))?;
        Identity::generate().save(&keys.join("auth-key.pem"), &keys.join("auth-key.pub"))?;
        let (key, certificate) = (keys.join("tls-key.pem"), keys.join("tls-cert.pem"));
        TlsIdentity::generate(identity.issuer(), Timestamp::now(), &key, &certificate)?;
        Ok(version::write(root)?)
    }
}

/// Makes an instance in `dir`, which must be empty or not exist yet, of what `make` puts into a folder that nobody else
/// sees.
pub fn place<E: Into<Box<dyn Error + Send + Sync>>>(
    dir: &Path,
    make: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<Instance, CreateError> {
    place_with(dir, |staging| make(staging).map_err(|error| Cause::Prepare(error.into())))
}

fn place_with(dir: &Path, make: impl FnOnce(&Path) -> Result<(), Cause>) -> Result<Instance, CreateError> {
    let failed = |cause: Cause| CreateError::Failed { dir: dir.to_owned(), cause };
    let io_failed = |error: io::Error| failed(error.into());
    let root = resolve(dir).map_err(io_failed)?;
    let make = |staging: &Path| -> Result<(), Cause> {
        make(staging)?;
        Ok(sync_tree(staging)?)
    };
    match occupation(&root).map_err(io_failed)? {
        Occupation::Instance => return Err(CreateError::AlreadyInstance { dir: dir.to_owned() }),
        Occupation::Taken => return Err(CreateError::NotEmpty { dir: dir.to_owned() }),
        Occupation::File => return Err(CreateError::NotAFolder { dir: dir.to_owned() }),
        Occupation::Replaceable => replace(&root, make).map_err(failed)?,
        Occupation::Fillable => fill(&root, make).map_err(failed)?,
    }
    Instance::open(&root).map_err(|error| failed(error.into()))
}

enum Occupation {
    Instance,
    Taken,
    File,
    /// Not there, or empty.
    Replaceable,
    /// Empty, or left by a process that was killed, and not to be replaced.
    Fillable,
}

fn occupation(root: &Path) -> io::Result<Occupation> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Occupation::Replaceable),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(Occupation::File),
        entries => entries?,
    };
    let names = entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    let has = |name: &str| names.iter().any(|other| other == name);
    if has(VERSION) {
        return Ok(Occupation::Instance);
    }
    // Next to the staging folder, only what was moved out of it can be ours.
    if has(STAGING) && names.iter().all(|name| name == STAGING || CONTENT.iter().any(|ours| name == ours)) {
        return Ok(Occupation::Fillable);
    }
    if !names.is_empty() {
        return Ok(Occupation::Taken);
    }
    // Replacing the working directory would leave its shell in a folder that no longer has a name.
    let target = fs::metadata(root)?;
    let here = fs::metadata(".").is_ok_and(|here| (here.dev(), here.ino()) == (target.dev(), target.ino()));
    let mounted = root.parent().is_none_or(|parent| fs::metadata(parent).is_ok_and(|p| p.dev() != target.dev()));
    Ok(if here || mounted { Occupation::Fillable } else { Occupation::Replaceable })
}

fn replace(root: &Path, make: impl FnOnce(&Path) -> Result<(), Cause>) -> Result<(), Cause> {
    let parent = root.parent().unwrap_or(Path::new("/"));
    // Removed when dropped, unless it has become the instance by then.
    let staging = match tempfile::Builder::new().prefix(STAGING).tempdir_in(parent) {
        // Somebody was given a folder, and nothing around it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && root.is_dir() => return fill(root, make),
        staging => staging?,
    };
    make(staging.path())?;
    // Fails if something came into the target meanwhile.
    fs::rename(staging.path(), root)?;
    let _ = staging.keep();
    Ok(sync_folder(parent)?)
}

fn fill(root: &Path, make: impl FnOnce(&Path) -> Result<(), Cause>) -> Result<(), Cause> {
    clear(root)?;
    let filled = (|| {
        let staging = root.join(STAGING);
        DirBuilder::new().mode(0o700).create(&staging)?;
        sync_folder(root)?;
        make(&staging)?;
        for entry in fs::read_dir(&staging)? {
            let name = entry?.file_name();
            if name != VERSION {
                fs::rename(staging.join(&name), root.join(&name))?;
            }
        }
        // All else is on disk before the file that says so.
        sync_folder(root)?;
        fs::rename(staging.join(VERSION), root.join(VERSION))?;
        fs::remove_dir(&staging)?;
        Ok(sync_folder(root)?)
    })();
    if filled.is_err() {
        clear(root)?;
    }
    filled
}

/// Removes what a failed or killed [`fill`] left. The staging folder goes last: it marks the rest as ours.
fn clear(root: &Path) -> io::Result<()> {
    if !root.join(STAGING).try_exists()? {
        return Ok(());
    }
    for name in CONTENT.iter().rev() {
        let path = root.join(name);
        let removed = match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_dir() => fs::remove_file(path),
            // Not with what is inside: somebody may have put actions there meanwhile.
            Ok(_) if [ACTIONS, RECEIVERS].contains(name) => fs::remove_dir(path),
            Ok(_) => fs::remove_dir_all(path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::remove_dir_all(root.join(STAGING))
}

/// The path without links, so that what is replaced is the folder and not a link to it; its parent exists.
fn resolve(dir: &Path) -> io::Result<PathBuf> {
    if let Ok(path) = dir.canonicalize() {
        return Ok(path);
    }
    let path = std::path::absolute(dir)?;
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            fs::create_dir_all(parent)?;
            Ok(parent.canonicalize()?.join(name))
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

pub(super) fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            fs::File::open(entry.path())?.sync_all()?;
        }
    }
    sync_folder(folder)
}

/// What an instance is made of.
const CONTENT: [&str; 11] =
    [ACTIONS, RECEIVERS, KEYS, STATE, CONFIG, PACKAGE, LOG, DATABASE, "data.db-wal", "data.db-shm", VERSION];

/// Where an instance is made that is not whole yet.
const STAGING: &str = ".coattail-new";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::config::Config;
    use crate::keys::TokenKey;

    fn create(dir: &Path) -> Result<Instance, CreateError> {
        NewInstance::default().create(dir, |_| Ok::<_, io::Error>(()))
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[track_caller]
    fn assert_whole(instance: &Instance) {
        let root = instance.root();
        let top = [
            ".coattail",
            ".ct.version",
            "actions",
            "config.yml",
            "data.db",
            "keys",
            "package.json",
            "receivers",
            "service.log",
        ];
        assert_eq!(names(root), top);
        let keys = ["auth-key.pem", "auth-key.pub", "tls-cert.pem", "tls-key.pem", "vt-key.pem", "vt-key.pub"];
        assert_eq!(names(&instance.keys()), keys);
        let config = Config::load(root).unwrap();
        let identity = config.validation.load().unwrap();
        let TokenKey::Pair(signer) = config.authentication.load().unwrap() else { panic!("a new instance has a pair") };
        assert_ne!(identity.issuer(), signer.issuer());
        let tls = config.tls.unwrap();
        TlsIdentity::load(&tls.key, &tls.cert).unwrap();
        Instance::open(root).unwrap();
    }

    #[test]
    fn c15_an_instance_can_have_any_folder() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["new", "a/b/c", "with #hash: and 'quotes\" {x}", "Café (täglich)", "-n"] {
            assert_whole(&create(&dir.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error:?}")));
        }
        let empty = dir.path().join("empty");
        fs::create_dir(&empty).unwrap();
        assert_whole(&create(&empty).unwrap());
        // A link to an empty folder stays a link.
        let (link, target) = (dir.path().join("link"), dir.path().join("target"));
        fs::create_dir(&target).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert_whole(&create(&link).unwrap());
        assert!(link.is_symlink());
        assert!(!names(dir.path()).iter().any(|name| name.starts_with(STAGING)));
    }

    #[test]
    fn s9_secrets_are_for_their_owner() {
        let dir = tempfile::tempdir().unwrap();
        let instance = create(&dir.path().join("i")).unwrap();
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for key in ["auth-key.pem", "tls-key.pem", "vt-key.pem"] {
            assert_eq!(mode(instance.keys().join(key)), 0o600, "{key}");
        }
        assert_eq!((mode(instance.database()), mode(instance.log())), (0o600, 0o600));
        assert_eq!((mode(instance.state()), mode(instance.runtime())), (0o700, 0o700));
    }

    #[test]
    fn a_folder_that_is_not_empty_is_refused_and_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("mine"), "x").unwrap();
        assert!(matches!(create(dir.path()), Err(CreateError::NotEmpty { .. })));
        assert!(matches!(create(&dir.path().join("mine")), Err(CreateError::NotAFolder { .. })));
        assert_eq!(names(dir.path()), ["mine"]);

        let instance = create(&dir.path().join("i")).unwrap();
        let key = fs::read(instance.keys().join("vt-key.pub")).unwrap();
        assert!(matches!(create(instance.root()), Err(CreateError::AlreadyInstance { .. })));
        assert_eq!(fs::read(instance.keys().join("vt-key.pub")).unwrap(), key);
    }

    #[test]
    fn c15_whatever_fails_nothing_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (new, empty) = (dir.path().join("new"), dir.path().join("empty"));
        fs::create_dir(&empty).unwrap();
        for target in [&new, &empty] {
            let error = NewInstance::default().create(target, |_| Err("no database")).unwrap_err();
            assert_eq!(error.source().unwrap().source().unwrap().to_string(), "no database");
        }
        assert_eq!(names(dir.path()), ["empty"]);
        assert!(names(&empty).is_empty());

        let failed = fill(&empty, |staging| {
            NewInstance::default().build(staging)?;
            Err(Cause::Prepare("no database".into()))
        });
        assert!(failed.is_err());
        assert!(names(&empty).is_empty());
    }

    #[test]
    fn something_that_came_into_the_folder_meanwhile_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("i");
        let error = NewInstance::default()
            .create(&target, |_| {
                fs::create_dir(&target)?;
                fs::write(target.join("mine"), "x")
            })
            .unwrap_err();
        assert!(matches!(error, CreateError::Failed { cause: Cause::Io(_), .. }), "{error:?}");
        assert_eq!(names(&target), ["mine"]);
        assert_eq!(names(dir.path()), ["i"]);
    }

    #[test]
    fn filling_a_folder_can_be_killed_anywhere_and_done_again() {
        let dir = tempfile::tempdir().unwrap();
        let make = |staging: &Path| NewInstance::default().build(staging);
        // What a process leaves that is killed after it has moved this many entries, for every number.
        for moved in 0..=9 {
            let root = dir.path().join(moved.to_string());
            fs::create_dir_all(root.join(STAGING)).unwrap();
            NewInstance::default().build(&root.join(STAGING)).unwrap();
            let all = names(&root.join(STAGING));
            let (last, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|name| name == VERSION);
            for name in others.iter().chain(&last).take(moved) {
                fs::rename(root.join(STAGING).join(name), root.join(name)).unwrap();
            }
            if moved == 9 {
                // Whole already; the empty staging folder does no harm.
                assert!(matches!(create(&root), Err(CreateError::AlreadyInstance { .. })));
                assert!(Instance::open(&root).is_ok());
                continue;
            }
            assert!(Instance::open(&root).is_err(), "not whole, so no instance");
            assert!(matches!(occupation(&root).unwrap(), Occupation::Fillable));
            fill(&root, make).unwrap();
            assert_whole(&Instance::open(&root).unwrap());
        }
    }

    #[test]
    fn clearing_up_spares_what_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(STAGING)).unwrap();
        fs::create_dir_all(dir.path().join(ACTIONS)).unwrap();
        fs::write(dir.path().join("actions/mine.js"), "x").unwrap();
        assert!(create(dir.path()).is_err());
        assert!(dir.path().join("actions/mine.js").exists());
        fs::write(dir.path().join("notes"), "x").unwrap();
        assert!(matches!(create(dir.path()), Err(CreateError::NotEmpty { .. })));
    }
}
