//! Turns, queues, reloads, and workers that have nothing to do.

use std::time::{Duration, Instant};

use coattail::wire::ErrorCode;
use futures::future::join_all;

use crate::bench::{Bench, call, is_alive, number, until};

crate::tests![
    many_calls_at_once_share_one_worker,
    with_one_turn_calls_are_done_in_order,
    one_call_too_many_is_busy,
    a_call_that_waits_can_time_out,
    a_changed_file_gets_a_new_worker_and_the_old_one_finishes,
    an_idle_worker_is_stopped,
    a_slow_start_goes_on_when_its_caller_has_gone,
    a_call_can_be_given_any_time,
    a_warm_call_is_fast,
];

async fn many_calls_at_once_share_one_worker() {
    let bench = Bench::new();
    bench.bad();
    let started = Instant::now();
    let calls = join_all((0..16).map(|_| bench.bad_does("later"))).await;
    let pids: Vec<i32> = calls.into_iter().map(number).collect();
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    assert!(started.elapsed() < Duration::from_millis(2000), "16 times 200 ms at once took {:?}", started.elapsed());
}

async fn with_one_turn_calls_are_done_in_order() {
    let bench = Bench::new();
    bench.file("actions/log.sh", "cat >> \"$COATTAIL_INSTANCE/log\"");
    bench.file("actions/log.yml", "concurrency: 1");
    let inputs: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    for outcome in join_all(inputs.iter().map(|input| bench.perform("log", Some(input)))).await {
        assert_eq!(outcome.unwrap(), None);
    }
    let log = std::fs::read_to_string(bench.folder.path().join("log")).unwrap();
    assert_eq!(log.lines().collect::<Vec<_>>(), inputs);
}

async fn one_call_too_many_is_busy() {
    let bench = Bench::new();
    bench.bad().file("actions/bad.yml", "concurrency: 1\nqueue: 1");
    let (first, second, third) =
        tokio::join!(bench.bad_does("later"), bench.bad_does("later"), bench.bad_does("later"));
    assert!(first.is_ok() && second.is_ok());
    let failure = third.unwrap_err();
    assert_eq!(failure.code, ErrorCode::Busy);
    assert!(failure.message.contains("1 calls under way and 1 waiting"), "{failure}");
}

async fn a_call_that_waits_can_time_out() {
    let bench = Bench::new();
    bench.bad().file("actions/bad.yml", "concurrency: 1\nqueue: 1");
    number(bench.bad_does("pid").await);
    let hang = call(Some("\"polite\""));
    let cancel = hang.cancel.clone();
    let (hung, ()) = tokio::join!(bench.call("bad", hang), async {
        for _ in 0..3 {
            let mut late = call(Some("\"pid\""));
            late.timeout = Some(Duration::from_millis(20));
            // It gives its place back: the next one is not refused as busy.
            assert_eq!(bench.call("bad", late).await.unwrap_err().code, ErrorCode::TimedOut);
        }
        cancel.cancel();
    });
    assert_eq!(hung.unwrap_err().code, ErrorCode::Cancelled);
    number(bench.bad_does("pid").await);
}

async fn a_changed_file_gets_a_new_worker_and_the_old_one_finishes() {
    let bench = Bench::new();
    let old = number(bench.bad().bad_does("pid").await);
    let (finished, new) = tokio::join!(bench.bad_does("later"), async {
        number(bench.bad_does("pid").await);
        bench.file("actions/bad", &format!("{}\n# changed\n", include_str!("bad.py")));
        number(bench.bad_does("pid").await)
    });
    assert_eq!(number(finished), old);
    assert_ne!(new, old);
    until("the old worker ends", || !is_alive(old));
    assert_eq!(number(bench.bad_does("pid").await), new);
}

async fn an_idle_worker_is_stopped() {
    let bench = Bench::new();
    bench.bad().file("actions/bad.yml", "idle: 100ms");
    let first = number(bench.bad_does("pid").await);
    // Longer than the idle time, and under way all the time.
    assert_eq!(number(bench.bad_does("later").await), first);
    until("the idle worker ends", || !is_alive(first));
    assert_ne!(number(bench.bad_does("pid").await), first);
}

async fn a_slow_start_goes_on_when_its_caller_has_gone() {
    let bench = Bench::new();
    let slow = "import os, time\nopen(os.environ['COATTAIL_INSTANCE'] + '/starts', 'a').write('x')\ntime.sleep(0.3)\n";
    bench.file("actions/bad", &include_str!("bad.py").replace("import json\n", &format!("import json\n{slow}")));
    for _ in 0..2 {
        let mut hasty = call(Some("\"pid\""));
        hasty.timeout = Some(Duration::from_millis(50));
        assert_eq!(bench.call("bad", hasty).await.unwrap_err().code, ErrorCode::TimedOut);
    }
    number(bench.bad_does("pid").await);
    assert_eq!(std::fs::read_to_string(bench.folder.path().join("starts")).unwrap(), "x");
}

async fn a_call_can_be_given_any_time() {
    let bench = Bench::new();
    bench.bad();
    let mut patient = call(Some("\"pid\""));
    patient.timeout = Some(Duration::MAX);
    number(bench.call("bad", patient).await);
}

async fn a_warm_call_is_fast() {
    let bench = Bench::new();
    number(bench.bad().bad_does("pid").await);
    let started = Instant::now();
    for _ in 0..200 {
        number(bench.bad_does("pid").await);
    }
    let each = started.elapsed() / 200;
    assert!(each < Duration::from_millis(10), "{each:?} each, without optimization and on a busy machine");
}
