//! The guard of a plain plugin is kept for the next call.

use std::time::Duration;

use coattail::wire::ErrorCode;
use futures::future::join_all;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bench::{Bench, GUARD_SH, is_alive, number, until};

crate::tests![
    a_spare_that_is_not_needed_ends,
    only_plain_plugins_leave_a_guard_behind,
    a_spare_that_was_killed_costs_no_call,
    a_guard_that_was_given_an_order_is_not_kept,
    calls_at_once_have_guards_of_their_own,
    a_plugin_finds_nothing_of_the_one_before,
    a_plugin_that_cannot_be_started_costs_no_guard,
];

async fn only_plain_plugins_leave_a_guard_behind() {
    let bench = Bench::new();
    assert!(bench.guards().is_empty());
    number(bench.bad().bad_does("pid").await);
    let of_worker = bench.guards();
    assert_eq!(of_worker.len(), 1);
    bench.bad_does("crash").await.unwrap_err();
    assert!(bench.guards().is_empty(), "that of a worker ends with it");
    bench.file("actions/guard.sh", GUARD_SH);
    let guard = number(bench.perform("guard", None).await);
    assert_eq!(number(bench.perform("guard", None).await), guard);
    assert_eq!(bench.guards(), [guard]);
    bench.plugins.shutdown(Duration::ZERO).await;
    assert!(bench.guards().is_empty());
}

async fn a_spare_that_is_not_needed_ends() {
    let bench = Bench::with(|settings| settings.idle = Duration::from_millis(500));
    bench.file("actions/guard.sh", GUARD_SH);
    let guard = number(bench.perform("guard", None).await);
    assert_eq!(bench.guards(), [guard]);
    until("the spare has ended", || bench.guards().is_empty());
    number(bench.perform("guard", None).await);
    assert_eq!(bench.guards().len(), 1);
    until("the next one has ended", || bench.guards().is_empty());
}

async fn a_spare_that_was_killed_costs_no_call() {
    let bench = Bench::new();
    bench.file("actions/guard.sh", GUARD_SH);
    let guard = number(bench.perform("guard", None).await);
    kill(Pid::from_raw(guard), Signal::SIGKILL).unwrap();
    until("the spare is gone", || !is_alive(guard));
    assert_ne!(number(bench.perform("guard", None).await), guard);
}

async fn a_guard_that_was_given_an_order_is_not_kept() {
    let bench = Bench::new();
    bench.file("actions/guard.sh", GUARD_SH);
    let guard = number(bench.perform("guard", None).await);
    bench.file("actions/slow.sh", "echo $PPID > guard; exec sleep 1000");
    bench.file("actions/slow.yml", "timeout: 300ms");
    assert_eq!(bench.perform("slow", None).await.unwrap_err().code, ErrorCode::TimedOut);
    assert_eq!(std::fs::read_to_string(bench.folder.path().join("guard")).unwrap(), format!("{guard}\n"));
    until("the guard has ended", || bench.guards().is_empty());
    assert_ne!(number(bench.perform("guard", None).await), guard);
}

async fn calls_at_once_have_guards_of_their_own() {
    let bench = Bench::new();
    // None ends before all eight are there.
    let meet = "echo $PPID; touch at.$$; until set -- at.*; test $# -ge 8; do sleep 0.01; done";
    bench.file("actions/meet.sh", meet);
    let calls = join_all((0..8).map(|_| bench.perform("meet", None))).await;
    let mut guards: Vec<i32> = calls.into_iter().map(number).collect();
    guards.sort_unstable();
    guards.dedup();
    assert_eq!(guards.len(), 8);
    until("no more are kept than are worth it", || bench.guards().len() <= 4);
    assert!(bench.guards().iter().all(|guard| guards.contains(guard)));
}

async fn a_plugin_finds_nothing_of_the_one_before() {
    let bench = Bench::new();
    let look = r#"printf '["%s","%s","%s",%s]' "$PPID" "$WORD" "$(cd /proc/self/fd; echo *)" \
        "$(tr '\0' ' ' < /proc/$PPID/cmdline | grep -c hunter2; true)""#;
    bench.file("actions/one.sh", &format!("{look}; trap '' TERM; umask 0; sleep 1000 & exit 0"));
    bench.file("actions/one.yml", "env:\n  WORD: hunter2");
    bench.file("actions/two.sh", look);
    let one = bench.perform("one", Some("1")).await.unwrap().unwrap();
    let two = bench.perform("two", None).await.unwrap().unwrap();
    assert!(one.contains("hunter2"), "{one}");
    assert_eq!(two, one.replace("hunter2", ""), "the same guard and the same descriptors");
    assert!(two.contains(r#""0 1 2"#) && two.ends_with(",0]"), "{two}");
}

async fn a_plugin_that_cannot_be_started_costs_no_guard() {
    let bench = Bench::new();
    bench.file("actions/guard.sh", GUARD_SH);
    let guard = number(bench.perform("guard", None).await);
    bench.file("actions/gone", "#!/no/such/program");
    bench.file("actions/gone.yml", "protocol: plain");
    let failure = bench.perform("gone", None).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::PluginBroken);
    assert!(failure.message.starts_with("action `gone` cannot be run: could not be started: /"), "{failure}");
    assert_eq!(number(bench.perform("guard", None).await), guard);
}
