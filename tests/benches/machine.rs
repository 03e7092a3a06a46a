//! Where it was measured.

use std::fs;
use std::process::Command;

/// The machine, the programs and the time, as the system tells them.
pub(crate) fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let commit = said("git", &["describe", "--always", "--dirty"]);
    format!(
        "{} · commit {commit} · {cores} cores of {} · {} of memory · {} {} · {} · node {} · {} · \
         load {} when it began\n",
        said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        field("/proc/cpuinfo", "model name"),
        memory(),
        said("uname", &["-s"]),
        said("uname", &["-r"]),
        said("rustc", &["--version"]),
        said("node", &["--version"]),
        said("python3", &["--version"]),
        fs::read_to_string("/proc/loadavg")
            .ok()
            .and_then(|text| Some(text.split(' ').next()?.to_owned()))
            .unwrap_or_default(),
    )
}

fn memory() -> String {
    let text = field("/proc/meminfo", "MemTotal");
    let kib: f64 = text.trim_end_matches(" kB").parse().unwrap_or_default();
    format!("{:.0} GiB", kib / 1024.0 / 1024.0)
}

/// A value of one of the tables in `/proc`.
fn field(path: &str, name: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value =
        text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start_matches([' ', '\t', ':']).trim()));
    value.unwrap_or("unknown").to_owned()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark asks the system who it is")]
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(|_| "absent".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
