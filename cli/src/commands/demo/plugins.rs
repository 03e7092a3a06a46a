//! The plugins of `examples/`, carried in the program so that the demo runs wherever it is installed.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A file of `examples/`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plugin {
    /// Where it belongs in an instance.
    path: &'static str,
    text: &'static str,
}

impl Plugin {
    /// Puts it into an instance, whose folders exist.
    pub(super) fn put(self, instance: &Path) -> io::Result<()> {
        let path = instance.join(self.path);
        fs::write(&path, self.text)?;
        let mode = if self.path.ends_with(".sh") { 0o755 } else { 0o644 };
        fs::set_permissions(path, Permissions::from_mode(mode))
    }

    /// Takes it out again.
    pub(super) fn take(self, instance: &Path) -> io::Result<()> {
        fs::remove_file(instance.join(self.path))
    }
}

macro_rules! plugin {
    ($example:literal, $path:literal) => {
        Plugin { path: $path, text: include_str!(concat!("../../../../examples/", $example, "/", $path)) }
    };
}

/// Reads the figures of the machine, in shell.
pub(super) const MACHINE: Plugin = plugin!("demo", "actions/machine.sh");
/// Keeps what was published in `log.txt`, in shell.
pub(super) const LOG: Plugin = plugin!("demo", "receivers/log.sh");
/// Judges figures, written for the original.
pub(super) const SCORE: Plugin = plugin!("node-ported", "actions/Health Score.js");
/// Performs the judgement and publishes it.
pub(super) const RELAY: Plugin = plugin!("demo", "receivers/relay.js");
/// Both again for a machine without Node.
pub(super) const SHELL_SCORE: Plugin = plugin!("demo", "actions/Health Score.sh");
pub(super) const SHELL_RELAY: Plugin = plugin!("demo", "receivers/relay.sh");
/// Keeps a table and draws a page, in Python.
pub(super) const BOARD: Plugin = plugin!("demo", "receivers/board.py");
