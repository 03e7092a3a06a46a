//! A disk that is soon full.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::instance::Instance;

/// A disk of some megabytes, for as long as this lives.
#[derive(Debug)]
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Runs a test with one. A user who may not mount anything has the test run again by root of a namespace of its own;
    /// where there are none of these either, nothing is tested, and that is said. `name` is the whole name of the test.
    ///
    /// # Panics
    /// If the test does.
    pub fn with(name: &str, size: &str, test: impl FnOnce(&Self)) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = format!("size={size},mode=700");
        if system("mount", &["-t", "tmpfs", "-o", &options, "coattail-test"], Some(folder.path())) {
            test(&Self(folder));
        } else if std::env::var_os(INSIDE).is_none() && system("unshare", &["-rm", "true"], None) {
            let this = std::env::current_exe().expect("a test has a path");
            #[expect(clippy::disallowed_methods, reason = "this very test")]
            let mut again = Command::new("unshare");
            again.args(["-rm", "--"]).arg(this).args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
            assert!(again.status().expect("it runs").success(), "it failed in a namespace of its own");
        } else {
            let text = format!("LEFT OUT: {name}. Nothing can be mounted here, so a full disk was NOT tested\n");
            // Not by a macro, whose text is not shown unless the test fails.
            let _ = io::stderr().write_all(text.as_bytes());
        }
    }

    /// Has an instance, whose service does not run, keep its database there.
    ///
    /// # Panics
    /// If it cannot be moved; so do all methods here if something fails that should not.
    pub fn take(&self, instance: &Instance) {
        for name in ["data.db", "data.db-wal", "data.db-shm"] {
            if instance.path(name).exists() {
                fs::copy(instance.path(name), self.path().join(name)).expect("copied");
            }
        }
        instance.reconfigure("filename: data.db", &format!("filename: {}", self.path().join("data.db").display()));
    }

    /// Makes it larger, or smaller.
    pub fn resize(&self, size: &str) {
        assert!(system("mount", &["-o", &format!("remount,size={size}")], Some(self.path())), "it can be resized");
    }

    /// Takes all that is left of it.
    pub fn fill(&self) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path().join(FILLER)).expect("a file");
        // The last bytes too: an error says that there are none left.
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
    }

    /// Whether it was taken, and not given back.
    pub fn is_filled(&self) -> bool {
        self.path().join(FILLER).exists()
    }

    /// Gives it back.
    pub fn empty(&self) {
        fs::remove_file(self.path().join(FILLER)).expect("it was filled");
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there is about to be stopped.
        system("umount", &["-l"], Some(self.path()));
    }
}

fn system(program: &str, arguments: &[&str], path: Option<&Path>) -> bool {
    #[expect(clippy::disallowed_methods, reason = "another program than the one under test")]
    let mut command = Command::new(program);
    command.args(arguments).args(path).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

const INSIDE: &str = "COATTAIL_TEST_MAY_MOUNT";

const FILLER: &str = "filler";
