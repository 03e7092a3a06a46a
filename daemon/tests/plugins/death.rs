//! Nothing of a plugin outlives the daemon, or the plugin.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coattail::name::ActionName;
use coattail::rpc::Service;
use coattail::wire::ErrorCode;
use coattail_daemon::plugins::Plugins;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;

use crate::bench::{Bench, GUARD_SH, call, is_alive, number, settings, until, write};

crate::tests![
    p9_nothing_outlives_a_daemon_that_was_killed,
    nothing_outlives_a_shutdown,
    nothing_outlives_the_worker_itself,
    the_worker_dies_with_its_guard,
    a_daemon_told_to_die_kills_at_once,
];

/// The first argument that makes this executable a daemon with one worker.
pub(crate) const DAEMON: &str = "__daemon";

/// Starts a worker with a family and a script, prints their numbers and that of the script's guard, and waits to be
/// killed.
pub(crate) fn daemon(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let instance = PathBuf::from(args.next().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let host = Arc::new(|_: &_| Service::new());
        let (plugins, _run) = Plugins::new(settings(&instance), host, CancellationToken::new());
        let family = plugins.perform(&ActionName::new("bad").unwrap(), call(Some("\"family\""))).await;
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{}", family.unwrap().unwrap().get()).unwrap();
        let guard = plugins.perform(&ActionName::new("guard").unwrap(), call(None)).await;
        writeln!(stdout, "{}", guard.unwrap().unwrap().get()).unwrap();
        stdout.flush().unwrap();
        std::future::pending().await
    })
}

#[expect(clippy::disallowed_methods, reason = "a daemon to be killed is started from outside")]
async fn p9_nothing_outlives_a_daemon_that_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "actions/bad", include_str!("bad.py"));
    write(folder.path(), "actions/guard.sh", GUARD_SH);
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .arg(DAEMON)
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(daemon.stdout.take().unwrap()).lines();
    let mut family: Vec<i32> = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(family.len(), 6);
    // The script has ended; its guard is kept for the next one.
    family.push(lines.next().unwrap().unwrap().parse().unwrap());
    assert!(family.iter().all(|pid| is_alive(*pid)), "{family:?}");
    // SIGKILL: nothing of the daemon runs after this.
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    until("all of the family is gone", || !family.iter().any(|pid| is_alive(*pid)));
}

async fn family(bench: &Bench) -> Vec<i32> {
    let family: Vec<i32> = serde_json::from_str(&bench.bad().bad_does("family").await.unwrap().unwrap()).unwrap();
    assert!(family.iter().all(|pid| is_alive(*pid)), "{family:?}");
    family
}

async fn nothing_outlives_a_shutdown() {
    let bench = Bench::new();
    let family = family(&bench).await;
    let hang = bench.plugins.clone();
    let hang = tokio::join!(
        async move { hang.perform(&ActionName::new("bad").unwrap(), call(Some("\"silent\""))).await },
        async {
            number(bench.bad_does("pid").await);
            bench.plugins.shutdown(Duration::from_millis(100)).await;
            assert!(!family.iter().any(|pid| is_alive(*pid)), "all are gone when it returns");
        }
    );
    assert_eq!(hang.0.unwrap_err().code, ErrorCode::ShuttingDown);
    assert_eq!(bench.bad_does("pid").await.unwrap_err().code, ErrorCode::ShuttingDown);
}

async fn nothing_outlives_the_worker_itself() {
    let bench = Bench::new();
    let family = family(&bench).await;
    assert_eq!(bench.bad_does("crash").await.unwrap_err().code, ErrorCode::Lost);
    // The call is told that its worker is lost when all of it is.
    assert!(!family.iter().any(|pid| is_alive(*pid)));
}

async fn the_worker_dies_with_its_guard() {
    let bench = Bench::new();
    let worker = number(bench.bad().bad_does("pid").await);
    let stat = std::fs::read_to_string(format!("/proc/{worker}/stat")).unwrap();
    let guard: i32 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert_ne!(guard, std::process::id().cast_signed());
    let (lost, ()) = tokio::join!(bench.bad_does("silent"), async {
        number(bench.bad_does("pid").await);
        kill(Pid::from_raw(guard), Signal::SIGKILL).unwrap();
    });
    let failure = lost.unwrap_err();
    assert_eq!(failure.code, ErrorCode::Lost);
    assert!(failure.message.contains("guard process was killed"), "{failure}");
    until("the worker is gone", || !is_alive(worker));
}

async fn a_daemon_told_to_die_kills_at_once() {
    let bench = Bench::with(|settings| settings.grace = Duration::from_secs(30));
    let family = family(&bench).await;
    let started = Instant::now();
    bench.kill.cancel();
    let Bench { run, .. } = bench;
    run.await.unwrap();
    assert!(!family.iter().any(|pid| is_alive(*pid)) && started.elapsed() < Duration::from_secs(5));
}
