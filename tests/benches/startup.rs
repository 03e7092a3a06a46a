//! How soon a program is there.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use coattail_tests::Instance;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::effort::Effort;
use crate::load::{Round, quantiles};
use crate::report::{Row, Section};

pub(crate) fn measure(effort: &Effort) -> Section {
    let (running, stopped) = (Instance::running("running"), Instance::new("stopped"));
    let folder = running.folder().display().to_string();
    Section {
        note: "From `fork` to the end of the process; for the daemon, to the line that says it is ready.".to_owned(),
        columns: &["p50", "p99"],
        rows: vec![
            row(effort, "`true`, for comparison", || until_it_ends(nothing())),
            row(effort, "`coattail version`", || until_it_ends(running.command(&["version"]))),
            row(effort, "`coattail peer list`, which asks the daemon", || {
                until_it_ends(running.command(&["peer", "list", "--instance", &folder]))
            }),
            row(effort, "`coattail service start`", || until_it_is_ready(&stopped)),
        ],
    }
}

fn row(effort: &Effort, what: &str, mut start: impl FnMut() -> Duration) -> Row {
    start();
    let mut round = |_| {
        let begun = Instant::now();
        Round::new((0..effort.processes).map(|_| start()).collect(), begun.elapsed())
    };
    quantiles(what, &(0..effort.rounds).map(&mut round).collect::<Vec<_>>())
}

#[expect(clippy::disallowed_methods, reason = "a process that is no plugin")]
fn nothing() -> Command {
    Command::new("true")
}

pub(crate) fn until_it_ends(mut command: Command) -> Duration {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let status = command.status().expect("it can be started");
    let time = start.elapsed();
    assert!(status.success(), "it ended with {status}");
    time
}

pub(crate) fn until_it_is_ready(instance: &Instance) -> Duration {
    let mut command = instance.command(&["service", "start", "--instance", &instance.folder().display().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().expect("it can be started");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let is_ready = lines.any(|line| line.is_ok_and(|line| line.contains(" is ready: ")));
    let time = start.elapsed();
    assert!(is_ready, "the service ended at once");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("the id of a process"));
    kill(pid, Signal::SIGTERM).expect("it runs");
    let _rest = lines.count();
    assert!(child.wait().expect("it ends").success(), "it stops in order");
    time
}
