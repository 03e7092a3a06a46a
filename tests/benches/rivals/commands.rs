//! How soon commands end, and services are ready.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Duration;

use coattail_tests::Instance;
use coattail_tests::instance::binary;

use super::fanout::publish;
use super::goals::{Goal, Sample, row};
use super::many::{multiply, publisher_of_one};
use super::payload::SMALL;
use crate::effort::Effort;
use crate::load::client;
use crate::peer::Dialer;
use crate::process::used;
use crate::report::{Row, Unit};
use crate::startup::{until_it_ends, until_it_is_ready};

/// Publications that wait for somebody when the service starts.
const PENDING: usize = 100_000;

pub(super) fn rows(effort: &Effort) -> Vec<Row> {
    let mut rows = commands(effort);
    rows.extend(ready(effort));
    rows
}

fn commands(effort: &Effort) -> Vec<Row> {
    let instance = Instance::running("running");
    let folder = instance.folder().display().to_string();
    let echo = tempfile::tempdir().expect("a temporary folder");
    let socket = echo.path().join("socket");
    let listener = UnixListener::bind(&socket).expect("a socket can be made");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("somebody comes");
            let mut byte = [0];
            stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte)).expect("it asks");
        }
    });
    let socket = socket.display().to_string();
    let p50 = |ours: &dyn Fn() -> Duration, floor: &dyn Fn() -> Duration| -> Vec<Sample> {
        let median = |run: &dyn Fn() -> Duration| {
            let mut times: Vec<Duration> = (0..effort.processes).map(|_| run()).collect();
            times.sort();
            times[times.len() / 2].as_secs_f64()
        };
        (0..effort.rounds).map(|_| Sample { ours: median(ours), rival: None, floor: Some(median(floor)) }).collect()
    };
    let version = p50(&|| until_it_ends(instance.command(&["version"])), &|| until_it_ends(clap(&[])));
    let asks = p50(&|| until_it_ends(instance.command(&["peer", "list", "--instance", &folder])), &|| {
        until_it_ends(clap(&["--socket", &socket]))
    });
    vec![
        row("`coattail version` (floor: a trivial clap program)", Unit::Seconds, "", Goal::AtMostFloor(1.5), &version),
        row(
            "`coattail peer list` (floor: clap and one round trip over a Unix socket)",
            Unit::Seconds,
            "",
            Goal::AtMostFloor(1.5),
            &asks,
        ),
    ]
}

#[expect(clippy::disallowed_methods, reason = "a process that is no plugin")]
fn clap(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("trivial-clap"));
    command.args(arguments);
    command
}

fn ready(effort: &Effort) -> Vec<Row> {
    let starts = |instance: &Instance| -> Vec<Sample> {
        let one = |_| Sample { ours: until_it_is_ready(instance).as_secs_f64(), rival: None, floor: None };
        (0..effort.processes.max(3)).map(one).collect()
    };
    let empty = starts(&Instance::new("empty"));
    let mut behind = publisher_of_one();
    let (pending, log) = (PENDING.min(effort.log), effort.log);
    let fill = |instance: &Instance, count| {
        let dialer = Dialer::new(instance);
        client(async { publish(&dialer.dial().await, "log", SMALL, count).await });
    };
    // The same service, started again, so that only the log differs.
    multiply(&mut behind, "log", 1, 0);
    let before = used(&behind.pid().to_string()).resident;
    fill(&behind, pending);
    behind.stop();
    let with_pending = starts(&behind);
    behind.start();
    fill(&behind, log - pending);
    behind.stop();
    let with_log = starts(&behind);
    behind.start();
    let more = Sample { ours: used(&behind.pid().to_string()).resident - before, rival: None, floor: None };
    vec![
        row("ready after start, empty", Unit::Seconds, "", Goal::AtMost(5e-3), &empty),
        row(format!("… with {pending} pending"), Unit::Seconds, "", Goal::AtMost(10e-3), &with_pending),
        row(format!("… with {log} in the log"), Unit::Seconds, "", Goal::None, &with_log),
        row(
            format!("memory with {log} in the log, more than with none"),
            Unit::Bytes,
            "",
            Goal::AtMost(16e6),
            &[more; 2],
        ),
    ]
}
