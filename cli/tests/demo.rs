//! `coattail demo` as a newcomer runs it: real instances, real processes, and nothing left behind.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// What the issue allows; a debug build on a busy machine has to make it, too.
const PROMISED: Duration = Duration::from_secs(20);

/// How long a process may take to be gone after whoever watches over it has begun to end it.
const GONE: Duration = Duration::from_secs(10);

#[test]
fn every_count_is_exact_and_nothing_is_left() {
    let place = Place::new();
    let begun = Instant::now();
    let output = place.demo(&["--json"]).wait_with_output().expect("it ends");
    assert!(begun.elapsed() < PROMISED, "it took {:?}", begun.elapsed());
    check_counts(&output);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("killed with -9") && said.contains("caught up"), "{said}");
    place.nothing_runs();
    assert!(!place.folder().exists());
}

#[test]
fn without_node_and_python_it_says_so_and_does_the_rest() {
    let place = Place::new();
    let bin = place.0.path().join("bin");
    fs::create_dir(&bin).expect("a folder");
    let needed =
        ["sh", "awk", "cat", "date", "df", "dirname", "env", "grep", "rm", "sed", "sleep", "tr", "uname", "uptime"];
    let path = std::env::var_os("PATH").expect("a path");
    for program in needed {
        if let Some(found) = std::env::split_paths(&path).map(|path| path.join(program)).find(|path| path.exists()) {
            symlink(found, bin.join(program)).expect("a link");
        }
    }
    let output = place.command(&["--json"]).env("PATH", &bin).output().expect("it runs");
    check_counts(&output);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("Node.js is not installed") && said.contains("Python 3 is not installed"), "{said}");
    place.nothing_runs();
}

#[test]
fn what_is_kept_can_be_used() {
    let place = Place::new();
    let output = place.demo(&["--keep"]).wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("service start --headless --instance"), "{said}");
    place.nothing_runs();
    let site = place.folder().join("site");
    let subscribers = coattail(&["subscribers", "list", "--json", "--instance"]).arg(site).output().expect("it runs");
    let subscribers: Value = serde_json::from_slice(&subscribers.stdout).expect("JSON");
    assert_eq!(subscribers.as_array().map(Vec::len), Some(3), "{subscribers}");
}

#[test]
fn interrupted_it_leaves_nothing() {
    let place = Place::new();
    let mut demo = place.demo(&[]);
    let log = place.folder().join("desk/service.log");
    until("desk has started", || fs::metadata(&log).is_ok_and(|log| log.len() > 0));
    let pid = Pid::from_raw(demo.id().try_into().expect("it fits"));
    kill(pid, Signal::SIGINT).expect("it runs");
    assert_eq!(demo.wait().expect("it ends").code(), Some(130));
    place.nothing_runs();
    assert!(!place.folder().exists());
}

#[test]
fn a_failure_is_loud_and_keeps_the_folders() {
    let place = Place::new();
    // Without any program to read the figures with, the first reading fails.
    let bin = place.0.path().join("bin");
    fs::create_dir(&bin).expect("a folder");
    symlink("/bin/sh", bin.join("sh")).expect("a link");
    let output = place.command(&[]).env("PATH", &bin).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    for part in ["site: `coattail action perform --action machine` failed", "service.log` ends:", "are kept"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
    place.nothing_runs();
    assert!(place.folder().join("site/config.yml").exists());
}

/// The last line of the answer.
#[track_caller]
fn check_counts(output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let ending: Value = serde_json::from_str(said.lines().last().expect("it says something")).expect("JSON");
    let counts = |published: u64, delivered: u64, stored: u64| {
        json!({
            "published": published, "delivered": delivered, "undelivered": 0,
            "stored": stored, "handled": stored, "waiting": 0, "dead": 0, "missed": 0, "expired": 0, "looped": 0,
        })
    };
    for (at, expected) in [counts(20, 60, 0), counts(20, 20, 40), counts(0, 0, 40)].into_iter().enumerate() {
        let counted = &ending["counts"][at];
        for (name, count) in expected.as_object().expect("an object") {
            assert_eq!(&counted[name], count, "{name} of {}", counted["id"]);
        }
        assert_eq!(counted["expected"], expected);
    }
}

/// Where a demo makes its folder.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn folder(&self) -> PathBuf {
        self.0.path().canonicalize().expect("it exists").join("demo")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = coattail(&["demo", "--folder"]);
        command.arg(self.folder()).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn demo(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("it starts")
    }

    /// No service, no guard, and no plugin: whatever was started there works there, or names it.
    #[track_caller]
    fn nothing_runs(&self) {
        let folder = self.folder();
        until("every process is gone", || running_in(&folder).is_empty());
    }
}

fn running_in(folder: &Path) -> Vec<PathBuf> {
    let folder = folder.to_str().expect("UTF-8");
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_in = |process: &PathBuf| {
        let works = fs::read_link(process.join("cwd")).unwrap_or_default();
        let named = fs::read(process.join("cmdline")).unwrap_or_default();
        works.to_string_lossy().starts_with(folder) || String::from_utf8_lossy(&named).contains(folder)
    };
    processes.filter(is_in).collect()
}

#[track_caller]
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + GONE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not after {GONE:?}: {what}");
        // Nobody tells of the end of a process that is not our child.
        sleep(Duration::from_millis(20));
    }
}

fn coattail(arguments: &[&str]) -> Command {
    #[expect(clippy::disallowed_methods, reason = "it is the program under test")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_coattail"));
    command.args(arguments);
    for name in ["COATTAIL_OUTPUT", "COATTAIL_INSTANCE", "COATTAIL_CALL", "CLICOLOR_FORCE", "FORCE_COLOR"] {
        command.env_remove(name);
    }
    command
}
