//! Access to the files.

use std::path::{Path, PathBuf};

use serde_json::Value;

pub(crate) use crate::config::KeyFiles;
use crate::keys::{Identity, file};

pub(crate) fn text(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests-data/legacy").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn json(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap()
}

/// A copy that only its owner can read, which no checkout of a repository is.
pub(crate) fn private(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(Path::new(name).file_name().unwrap());
    file::write_private(&path, &text(name)).unwrap();
    path
}

/// The RSA pair of this name: `demo-auth-key`, `demo-vt-key` or `other-vt-key`.
pub(crate) fn pair(dir: &Path, name: &str) -> KeyFiles {
    let [private, public] = ["pem", "pub"].map(|half| private(dir, &format!("keys/{name}.{half}")));
    KeyFiles { private, public }
}

pub(crate) fn identity(name: &str) -> Identity {
    pair(tempfile::tempdir().unwrap().path(), name).load().unwrap()
}

/// A list in a file of vectors.
#[track_caller]
pub(crate) fn list<'a>(vectors: &'a Value, name: &str) -> &'a [Value] {
    let list = vectors[name].as_array().unwrap();
    assert!(!list.is_empty());
    list
}
