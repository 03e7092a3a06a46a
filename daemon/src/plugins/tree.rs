use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::discover::is_ignored;
use super::spec::look;

/// The most files and folders of a plugin that are looked at.
const MOST: usize = 10_000;
/// What is installed beside a plugin, or made of it, is not the plugin. Hidden files are not either.
const NOT_LOOKED_AT: [&str; 3] = ["node_modules", "venv", "__pycache__"];
/// Of the time, looking may take one part in so many: a large folder is not looked at with each call.
const SHARE: u32 = 20;

/// A folder with all that is in it, and what it was when it was looked at.
#[derive(Debug)]
pub(super) struct Tree {
    folder: PathBuf,
    seen: Seen,
    // A std mutex: held for two assignments.
    last: Mutex<Last>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    digest: u64,
    /// When the last change was, in seconds since 1970.
    newest: i64,
}

#[derive(Debug)]
struct Last {
    until: Instant,
    held: bool,
}

impl Tree {
    pub(super) fn of(folder: &Path) -> Self {
        let started = Instant::now();
        let seen = see(folder);
        let until = started + SHARE * started.elapsed();
        Self { folder: folder.to_owned(), seen, last: Mutex::new(Last { until, held: true }) }
    }

    /// Whether everything is what it was, a moment ago at the latest.
    pub(super) fn holds(&self) -> bool {
        let started = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // What has changed once is not the same again.
        if last.held && started >= last.until {
            last.held = see(&self.folder) == self.seen;
            last.until = started + SHARE * started.elapsed().max(Duration::from_micros(1));
        }
        last.held
    }

    /// Differs, all but certainly, when something is not what it was.
    pub(super) fn digest(&self) -> u64 {
        self.seen.digest
    }

    /// When the last change was, in seconds since 1970.
    pub(super) fn newest(&self) -> i64 {
        self.seen.newest
    }
}

impl PartialEq for Tree {
    fn eq(&self, other: &Self) -> bool {
        (&self.folder, self.seen) == (&other.folder, other.seen)
    }
}

impl Eq for Tree {}

fn see(folder: &Path) -> Seen {
    let (mut hasher, mut newest, mut count) = (DefaultHasher::new(), 0, 0);
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = fs::read_dir(&folder).into_iter().flatten().flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (name, path) = (entry.file_name(), entry.path());
            if is_ignored(&name.to_string_lossy()) || NOT_LOOKED_AT.iter().any(|other| name == *other) {
                continue;
            }
            count += 1;
            if count > MOST {
                return Seen { digest: hasher.finish(), newest };
            }
            // Links to folders are not followed: they may lead in circles.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                path.hash(&mut hasher);
                folders.push(path);
                continue;
            }
            let found = look(&path);
            (&path, found).hash(&mut hasher);
            newest = newest.max(found.map_or(0, |[.., seconds, _]| seconds));
        }
    }
    Seen { digest: hasher.finish(), newest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_any_file_that_is_looked_at_is_seen() {
        let home = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = home.path().join(path);
            fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
            fs::write(path, text).expect("written");
        };
        write("main.py", "1");
        write("lib/deep/util.py", "1");
        let before = see(home.path());
        for (path, is_seen) in [
            ("node_modules/x/index.js", false),
            (".venv/bin/python", false),
            ("lib/__pycache__/util.cpython.pyc", false),
            ("lib/.util.py.swp", false),
            ("lib/deep/util.py", true),
            ("lib/new.py", true),
        ] {
            let before = see(home.path());
            write(path, "22");
            assert_eq!(see(home.path()) != before, is_seen, "{path}");
        }
        fs::remove_file(home.path().join("lib/new.py")).expect("removed");
        assert_ne!(see(home.path()), before);
        assert_eq!(Tree::of(home.path()), Tree::of(home.path()));
    }
}
