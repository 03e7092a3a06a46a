//! What a process uses of the machine.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The time that a process has had a core for: its number, or `self`.
pub(crate) fn cpu(process: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    // The name, in parentheses, may hold anything; user and system time are the 12th and 13th behind it.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("a number"));
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// Bytes of memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) resident: f64,
    pub(crate) anonymous: f64,
}

/// What a process holds.
pub(crate) fn used(process: &str) -> Usage {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).expect("it runs, and is ours");
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel counts it");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0
    };
    Usage { resident: bytes("Rss:"), anonymous: bytes("Anonymous:") }
}

/// Whether a program is installed.
#[expect(clippy::disallowed_methods, reason = "a process that is no plugin")]
pub(crate) fn is_installed(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}
