//! More than one worker, crash loops, and files that change under load.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coattail::wire::ErrorCode;
use coattail::wire::host::PluginState;
use coattail::wire::plugin::Kind;
use coattail::wire::plugins::{Plugin, ReloadOutcome, Reloaded};
use futures::future::{join, join_all};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bench::{Bench, Outcome, call, is_alive, number, until};

crate::tests![
    two_workers_with_one_call_each_work_in_parallel,
    a_call_goes_to_the_worker_with_the_fewest,
    a_worker_is_replaced_after_so_many_calls,
    workers_are_kept_warm,
    a_successor_starts_before_it_is_needed,
    a_crash_loop_is_refused_until_it_is_reloaded,
    workers_that_do_not_start_are_refused_too,
    a_worker_that_still_runs_is_used_while_no_other_is_started,
    a_changed_file_under_load_fails_no_call,
    a_broken_new_version_leaves_the_old_one_running,
    a_broken_sidecar_leaves_the_old_one_running,
    the_old_version_that_has_ended_is_not_started_again,
    what_was_taken_away_is_not_called,
    a_change_is_noticed_without_a_call,
    a_change_deep_in_a_folder_is_noticed,
    a_start_may_take_as_long_as_its_sidecar_says,
    a_reload_starts_what_has_not_changed,
];

impl Bench {
    fn show(&self) -> Plugin {
        self.plugins.show(Kind::Action, "bad").unwrap()
    }

    fn state(&self) -> PluginState {
        self.show().state.unwrap()
    }

    /// The processes that take calls.
    fn pids(&self) -> Vec<i32> {
        let workers = self.show().workers.into_iter().filter(|worker| !worker.ending);
        // One that has just been killed has none.
        workers.filter_map(|worker| worker.pid).map(u32::cast_signed).collect()
    }

    async fn reload(&self) -> Reloaded {
        self.plugins.reload(Some(Kind::Action), Some("bad")).await.unwrap().remove(0)
    }

    /// As a service does it.
    fn watch(&self) {
        TaskTracker::new().spawn(self.plugins.clone().watch(CancellationToken::new()));
    }

    /// Does not load.
    fn break_bad(&self) {
        self.file("actions/bad", "#!/bin/sh\necho no luck >&2\nexit 7\n");
    }

    /// The same, and another.
    fn change_bad(&self) {
        self.file("actions/bad", &format!("{}\n# {:?}\n", include_str!("bad.py"), Instant::now()));
    }
}

async fn pid_of(bench: &Bench) -> i32 {
    number(bench.bad_does("pid").await)
}

async fn two_workers_with_one_call_each_work_in_parallel() {
    let bench = Bench::new();
    bench.bad().file("actions/bad.yml", "concurrency: 1\nmax: 2");
    let (first, second) = (call(Some("\"polite\"")), call(Some("\"polite\"")));
    let (end_first, end_second) = (first.cancel.clone(), second.cancel.clone());
    let under_way = || bench.show().workers.iter().map(|worker| worker.calls).collect::<Vec<_>>();
    let (outcomes, ()) = tokio::join!(join(bench.call("bad", first), bench.call("bad", second)), async {
        wait_for("each has a call", || under_way() == [1, 1]).await;
        // A third one has to wait, and the queue shows it.
        let third = bench.bad_does("pid");
        tokio::pin!(third);
        assert!(futures::poll!(&mut third).is_pending());
        assert_eq!(bench.show().waiting, 1);
        end_first.cancel();
        number(third.await);
        end_second.cancel();
    });
    for outcome in [outcomes.0, outcomes.1] {
        assert_eq!(outcome.unwrap_err().code, ErrorCode::Cancelled);
    }
    let pids = bench.pids();
    assert!(pids.len() == 2 && pids[0] != pids[1], "{pids:?}");
}

async fn a_call_goes_to_the_worker_with_the_fewest() {
    let bench = Bench::new();
    bench.bad().file("actions/bad.yml", "concurrency: 2\nmax: 2");
    let calls: Vec<_> = (0..3).map(|_| call(Some("\"polite\""))).collect();
    let ends: Vec<_> = calls.iter().map(|call| call.cancel.clone()).collect();
    let under_way = || bench.show().workers.iter().map(|worker| worker.calls).sum::<u64>();
    let (outcomes, ()) = tokio::join!(join_all(calls.into_iter().map(|call| bench.call("bad", call))), async {
        wait_for("three are under way", || under_way() == 3).await;
        let free = bench.show().workers.into_iter().find(|worker| worker.calls == 1).unwrap();
        assert_eq!(pid_of(&bench).await, free.pid.unwrap().cast_signed());
        ends.iter().for_each(CancellationToken::cancel);
    });
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().is_err_and(|failure| failure.code == ErrorCode::Cancelled)));
}

async fn a_worker_is_replaced_after_so_many_calls() {
    let bench = Bench::new();
    bench.bad().file("actions/bad.yml", "max_calls: 2");
    let mut pids = Vec::new();
    for _ in 0..6 {
        pids.push(pid_of(&bench).await);
    }
    let pairs: Vec<_> = pids.chunks(2).map(|pair| (pair[0], pair[0] == pair[1])).collect();
    assert!(
        pairs.iter().all(|(_, is_same)| *is_same) && pairs[0].0 != pairs[1].0 && pairs[1].0 != pairs[2].0,
        "{pids:?}"
    );
    until("the old ones end", || !pids.iter().any(|pid| is_alive(*pid)));
    assert_eq!(bench.show().counts.crashes, 0);
}

async fn workers_are_kept_warm() {
    let bench = Bench::new();
    bench.bad().file("actions/bad.yml", "min: 1\nmax: 2\nconcurrency: 1\nidle: 100ms");
    bench.watch();
    wait_for("one is warm", || bench.pids().len() == 1).await;
    let warm = bench.pids()[0];
    assert_eq!(pid_of(&bench).await, warm);
    // A second one comes, and goes; one stays.
    let calls = [call(Some("\"polite\"")), call(Some("\"polite\""))];
    let ends = calls.each_ref().map(|call| call.cancel.clone());
    tokio::join!(join_all(calls.map(|call| bench.call("bad", call))), async {
        wait_for("two are there", || bench.pids().len() == 2).await;
        ends.iter().for_each(CancellationToken::cancel);
    });
    wait_for("one is left", || bench.pids().len() == 1).await;
    let left = bench.pids()[0];
    kill(Pid::from_raw(left), Signal::SIGKILL).unwrap();
    wait_for("another has come", || matches!(bench.pids()[..], [pid] if pid != left)).await;
    assert_eq!(bench.show().counts.crashes, 1);
}

async fn a_successor_starts_before_it_is_needed() {
    let bench = Bench::new();
    bench.bad().file("actions/bad.yml", "min: 1\nmax_calls: 1");
    let first = pid_of(&bench).await;
    wait_for("the next is ready", || matches!(bench.pids()[..], [pid] if pid != first)).await;
    let second = bench.pids()[0];
    assert_eq!(pid_of(&bench).await, second);
}

async fn a_crash_loop_is_refused_until_it_is_reloaded() {
    let bench = Bench::new();
    bench.bad();
    assert_eq!(bench.state(), PluginState::Cold);
    for _ in 0..5 {
        assert_eq!(bench.bad_does("crash").await.unwrap_err().code, ErrorCode::Lost);
    }
    wait_for("it is given up", || bench.state() == PluginState::Broken).await;
    let started = Instant::now();
    let failure = bench.bad_does("pid").await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(failure.code, ErrorCode::PluginBroken);
    let (said, printed) = failure.message.split_once("; its last output: ").unwrap();
    assert!(said.contains("`bad` crashed 5 times") && said.contains("exit 3") && said.contains("again in "), "{said}");
    assert_eq!(printed, "one | the last words");
    assert!(failure.retry_after_ms.is_some_and(|wait| (20_000..=30_000).contains(&wait)), "{failure:?}");
    assert!(failure.hint.unwrap().contains("coattail action reload 'bad'"));

    let shown = bench.show();
    let reason = shown.reason.unwrap();
    assert!(reason.contains("crashed 5 times") && !reason.contains("the last words"), "{reason}");
    assert_eq!((shown.counts.calls, shown.counts.failed, shown.counts.crashes), (6, 6, 5));
    assert!(shown.last_error.unwrap().message.contains("crashed 5 times"));

    assert_eq!(bench.reload().await.outcome, ReloadOutcome::Reloaded);
    pid_of(&bench).await;
    assert_eq!((bench.state(), bench.show().reason), (PluginState::Ready, None));
}

async fn workers_that_do_not_start_are_refused_too() {
    let bench = Bench::new();
    bench.break_bad();
    for _ in 0..5 {
        let failure = bench.bad_does("pid").await.unwrap_err();
        assert!(failure.message.contains("does not start: its process ended: exit 7"), "{failure}");
    }
    assert_eq!(bench.state(), PluginState::Broken);
    assert!(bench.bad_does("pid").await.unwrap_err().message.contains("crashed 5 times"));
    let reloaded = bench.reload().await;
    assert_eq!(reloaded.outcome, ReloadOutcome::Failed);
    assert!(reloaded.message.unwrap().contains("does not start"));
    // Mended, it needs no reload.
    bench.bad();
    pid_of(&bench).await;
}

async fn a_worker_that_still_runs_is_used_while_no_other_is_started() {
    let bench = Bench::new();
    bench.bad().file("actions/bad.yml", "concurrency: 1\nmax: 2");
    let polite = call(Some("\"polite\""));
    let end = polite.cancel.clone();
    let (outcome, ()) = tokio::join!(bench.call("bad", polite), async {
        wait_for("it is under way", || bench.show().workers.iter().any(|worker| worker.calls == 1)).await;
        for _ in 0..5 {
            assert_eq!(bench.bad_does("crash").await.unwrap_err().code, ErrorCode::Lost);
        }
        wait_for("one is left", || bench.pids().len() == 1).await;
        assert_eq!(bench.state(), PluginState::Ready);
        let waiting = bench.bad_does("pid");
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        let left = bench.pids()[0];
        end.cancel();
        assert_eq!(number(waiting.await), left);
    });
    assert_eq!(outcome.unwrap_err().code, ErrorCode::Cancelled);
}

async fn a_changed_file_under_load_fails_no_call() {
    let bench = Bench::new();
    bench.bad().file("actions/bad.yml", "concurrency: 4\nmax: 2");
    let is_over = AtomicBool::new(false);
    let load = async {
        let mut pids = Vec::new();
        while !is_over.load(Ordering::Relaxed) {
            pids.push(number(bench.bad_does("later").await));
        }
        pids
    };
    let first = pid_of(&bench).await;
    let edits = async {
        let mut last = first;
        for _ in 0..5 {
            bench.change_bad();
            let now = pid_of(&bench).await;
            assert_ne!(now, last, "a call after the change runs on what it has become");
            last = now;
        }
        is_over.store(true, Ordering::Relaxed);
    };
    let (mut pids, ()) = tokio::join!(load, edits);
    pids.dedup();
    assert!(pids.len() > 1, "{pids:?}");
    until("the first worker ends", || !is_alive(first));
}

async fn a_broken_new_version_leaves_the_old_one_running() {
    let bench = Bench::new();
    let old = pid_of(bench.bad()).await;
    bench.break_bad();
    for _ in 0..7 {
        assert_eq!(pid_of(&bench).await, old);
    }
    let shown = bench.show();
    assert_eq!(shown.state, Some(PluginState::Ready));
    let reason = shown.reason.unwrap();
    assert!(reason.contains("does not start: its process ended: exit 7; the one of before still runs"), "{reason}");
    assert!(shown.last_error.unwrap().message.contains("no luck"));
    // It was tried once, and is again when it is asked for.
    assert_eq!(shown.counts.crashes, 1);
    let reloaded = bench.reload().await;
    assert_eq!(reloaded.outcome, ReloadOutcome::Failed);
    assert!(reloaded.message.unwrap().contains("still runs"));
    assert_eq!((bench.show().counts.crashes, pid_of(&bench).await), (2, old));
    bench.change_bad();
    assert_ne!(pid_of(&bench).await, old);
    assert_eq!(bench.show().reason, None);
    until("the old worker ends", || !is_alive(old));
}

async fn a_broken_sidecar_leaves_the_old_one_running() {
    let bench = Bench::new();
    let old = pid_of(bench.bad()).await;
    bench.file("actions/bad.yml", "timout: 5");
    assert_eq!(pid_of(&bench).await, old);
    let shown = bench.show();
    assert!(shown.problem.unwrap().contains("unknown key `timout`"));
    assert!(shown.reason.unwrap().contains("the one of before still runs"));
    bench.file("actions/bad.yml", "timeout: 5");
    assert_ne!(pid_of(&bench).await, old);
    assert_eq!((bench.show().limits.unwrap().timeout_ms, bench.show().reason), (5_000, None));
}

async fn the_old_version_that_has_ended_is_not_started_again() {
    let bench = Bench::new();
    let old = pid_of(bench.bad()).await;
    bench.break_bad();
    assert_eq!(pid_of(&bench).await, old);
    assert_eq!(bench.bad_does("crash").await.unwrap_err().code, ErrorCode::Lost);
    // Its file is not there any more: now it is the new one or nothing.
    let failure = bench.bad_does("pid").await.unwrap_err();
    assert!(failure.message.contains("does not start: its process ended: exit 7"), "{failure}");
    bench.change_bad();
    pid_of(&bench).await;
}

async fn what_was_taken_away_is_not_called() {
    let bench = Bench::new();
    let pid = pid_of(bench.bad()).await;
    let path = bench.folder.path().join("actions/bad");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(bench.bad_does("pid").await.unwrap_err().code, ErrorCode::PluginBroken);
    fs::remove_file(&path).unwrap();
    assert_eq!(bench.bad_does("pid").await.unwrap_err().code, ErrorCode::NotFound);
    bench.watch();
    until("its worker ends", || !is_alive(pid));
}

async fn a_change_is_noticed_without_a_call() {
    let bench = Bench::new();
    bench.watch();
    let old = pid_of(bench.bad()).await;
    bench.change_bad();
    wait_for("another worker has come", || matches!(bench.pids()[..], [pid] if pid != old)).await;
    assert_eq!(bench.show().counts.calls, 1);
}

async fn a_change_deep_in_a_folder_is_noticed() {
    let bench = Bench::new();
    bench.file("actions/bad/coattail.yml", "command: [python3, main.py]");
    bench.file("actions/bad/main.py", include_str!("bad.py"));
    bench.file("actions/bad/lib/deep.py", "x = 1");
    let old = pid_of(&bench).await;
    bench.file("actions/bad/node_modules/x.js", "1");
    assert_eq!(pid_of(&bench).await, old);
    bench.file("actions/bad/lib/deep.py", "x = 22");
    // A look at a folder may be a moment old.
    let deadline = Instant::now() + Duration::from_secs(5);
    while pid_of(&bench).await == old {
        assert!(Instant::now() < deadline, "it is noticed");
    }
}

async fn a_start_may_take_as_long_as_its_sidecar_says() {
    let bench = Bench::new();
    bench.file("actions/bad", "#!/bin/sh\nexec sleep 1000\n");
    bench.file("actions/bad.yml", "start: 200ms");
    let failure = bench.bad_does("pid").await.unwrap_err();
    assert!(failure.message.contains("not ready within 200ms"), "{failure}");
}

async fn a_reload_starts_what_has_not_changed() {
    let bench = Bench::new();
    let old = pid_of(bench.bad()).await;
    bench.file("actions/plain.sh", "echo 1");
    let (outcome, reloaded): (Outcome, _) = tokio::join!(bench.bad_does("later"), async {
        wait_for("it is under way", || bench.show().workers.iter().any(|worker| worker.calls == 1)).await;
        bench.reload().await
    });
    assert_eq!((number(outcome), reloaded.outcome), (old, ReloadOutcome::Reloaded));
    assert_ne!(pid_of(&bench).await, old);
    let plain = bench.plugins.reload(None, Some("plain")).await.unwrap();
    assert_eq!(plain[0].outcome, ReloadOutcome::PerCall);
    assert_eq!(bench.plugins.reload(None, Some("none")).await.unwrap_err().code, ErrorCode::NotFound);
    let all = bench.plugins.reload(None, None).await.unwrap();
    assert_eq!(all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["bad"]);
}

/// As [`until`], while others go on.
async fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::task::yield_now().await;
    }
}
