//! A job is a row on disk before it is anything else: it ends in one of P4's states, also after `kill -9` of anything.

use std::fs;
use std::time::Duration;

use coattail_tests::instance::binary;
use coattail_tests::{Cluster, Instance, Proxy, plugin, until, within};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

/// An action that notes that it runs, waits for the word, and returns its input.
const WORK_SH: &str = "#!/bin/sh\necho $$ >> \"$COATTAIL_INSTANCE/ran\"\necho 'it works' >&2\n\
    while [ ! -e \"$COATTAIL_INSTANCE/go\" ]; do sleep 0.05; done\ncat\n";

/// How long the end of a job may take to be known.
const SOON: Duration = Duration::from_secs(20);

/// Prepares an action `work` of which one call runs at a time.
fn prepare(instance: &Instance) {
    instance.plugin("actions/work.sh", WORK_SH);
    fs::write(instance.path("actions/work.yml"), "concurrency: 1\n").expect("written");
    instance.plugin("actions/echo.sh", plugin::ECHO_SH);
    fs::copy(binary("fixture-plugin"), instance.path("actions/native")).expect("copied");
}

fn running(name: &str) -> Instance {
    let instance = Instance::running(name);
    prepare(&instance);
    instance
}

/// Starts a job and returns its id.
#[track_caller]
fn detach(instance: &Instance, action: &str, more: &[&str]) -> String {
    let arguments = [&["action", "perform", "--action", action, "--detach"], more].concat();
    instance.run(&arguments).ok().stdout.trim().to_owned()
}

fn state(instance: &Instance, job: &str) -> String {
    instance.json(&["job", "show", job])["state"].as_str().expect("a state").to_owned()
}

#[track_caller]
fn becomes(instance: &Instance, job: &str, wanted: &str) {
    within(SOON, &format!("the job to be {wanted}; it is {}", state(instance, job)), || {
        (state(instance, job) == wanted).then_some(())
    });
}

/// How often the action `work` has begun.
fn runs(instance: &Instance) -> usize {
    fs::read_to_string(instance.path("ran")).unwrap_or_default().lines().count()
}

#[track_caller]
fn begins(instance: &Instance, times: usize) {
    until(&format!("the action to have begun {times} times"), || (runs(instance) >= times).then_some(()));
}

fn go(instance: &Instance) {
    fs::write(instance.path("go"), "").expect("written");
}

fn stay(instance: &Instance) {
    fs::remove_file(instance.path("go")).expect("removed");
}

#[test]
fn a_job_is_done_though_nobody_waits_and_its_outcome_is_kept() {
    let instance = running("instance");
    let job = detach(&instance, "work", &["--data", "{\"n\": 1.50}", "--idempotency-key", "monday"]);
    becomes(&instance, &job, "running");
    let waited = instance.run(&["job", "wait", &job, "--timeout", "100ms", "--json"]).exited(75).json();
    assert_eq!((&waited["state"], &waited["key"]), (&json!("running"), &json!("monday")));
    let _ = instance.run(&["job", "result", &job]).exited(75);
    go(&instance);
    let waited = instance.json(&["job", "wait", &job]);
    assert_eq!(waited["state"], "succeeded");
    for time in ["created", "started", "finished"] {
        assert!(waited[time].as_str().is_some_and(|time| time.ends_with('Z')), "{waited}");
    }
    let performed = instance.run(&["job", "result", &job, "--json"]).ok();
    assert!(performed.stdout.contains("1.50"), "{performed:?}");
    assert_eq!(performed.json()["call"], job.as_str());
    assert_eq!(runs(&instance), 1);
    let listed = instance.json(&["job", "list"]);
    assert_eq!(listed[0]["id"], job.as_str());
    assert!(listed[0]["result"].is_null(), "a list has no results");
    let lines = instance.json(&["job", "logs", &job]);
    assert_eq!(lines[0]["message"], "it works", "{lines}");
    instance.run(&["job", "show", "no-such-job", "--json"]).failed(5, "not-found");
}

#[test]
fn a_job_exits_as_its_action_ended() {
    let instance = running("instance");
    let failed = detach(&instance, "native", &["--data", "{\"do\":\"fail\",\"why\":\"so\"}"]);
    // One after the other: they share a worker.
    becomes(&instance, &failed, "failed");
    let crashed = detach(&instance, "native", &["--data", "{\"do\":\"crash\"}"]);
    let missing = detach(&instance, "missing", &[]);
    let late = detach(&instance, "work", &["--timeout", "200ms"]);
    for (job, state, code, kind) in [
        (&failed, "failed", 1, "failed"),
        (&crashed, "lost", 1, "lost"),
        (&missing, "refused", 5, "not-found"),
        (&late, "timed-out", 124, "timed-out"),
    ] {
        instance.run(&["job", "wait", job, "--json"]).failed(code, kind);
        let shown = instance.json(&["job", "show", job]);
        assert_eq!((&shown["state"], &shown["error"]["code"]), (&json!(state), &json!(kind)), "{shown}");
        instance.run(&["job", "result", job, "--json"]).failed(code, kind);
    }
}

#[test]
fn after_kill_9_what_was_queued_is_done_what_ran_is_lost_and_what_had_ended_stays() {
    let mut instance = running("instance");
    go(&instance);
    let ended = detach(&instance, "work", &["--data", "1"]);
    let _ = instance.run(&["job", "wait", &ended]).ok();
    stay(&instance);
    let ran = detach(&instance, "work", &["--data", "2"]);
    begins(&instance, 2);
    let waits = detach(&instance, "work", &["--data", "3"]);
    assert_eq!([state(&instance, &ran), state(&instance, &waits)], ["running", "queued"]);
    instance.kill();
    // Without a service a command opens the instance; it shows what is, and does not begin what waits.
    assert_eq!([state(&instance, &ran), state(&instance, &waits)], ["lost", "queued"]);
    instance.run(&["job", "wait", &waits, "--json"]).failed(3, "not-running");
    assert_eq!(instance.json(&["job", "result", &ended])["result"], 1);
    instance.start();
    begins(&instance, 3);
    go(&instance);
    let waited = instance.json(&["job", "wait", &waits]);
    assert_eq!((&waited["state"], &waited["result"]), (&json!("succeeded"), &json!(3)));
    instance.run(&["job", "wait", &ran, "--json"]).failed(1, "lost");
    assert_eq!(instance.json(&["job", "result", &ended])["result"], 1);
    assert_eq!(runs(&instance), 3, "nothing was done twice");
}

#[test]
fn a_stop_in_order_is_no_better_for_what_does_not_finish() {
    let mut instance = Instance::new("instance");
    instance.configure("limits:\n  shutdown: 300ms\n");
    prepare(&instance);
    instance.start();
    let ran = detach(&instance, "work", &[]);
    begins(&instance, 1);
    let waits = detach(&instance, "work", &[]);
    instance.stop();
    instance.start();
    assert_eq!(state(&instance, &ran), "lost");
    begins(&instance, 2);
    go(&instance);
    assert_eq!(instance.json(&["job", "wait", &waits])["state"], "succeeded");
}

#[test]
fn a_job_whose_worker_was_killed_is_lost() {
    let instance = running("instance");
    instance.plugin("actions/warm.py", "import time\nimport coattail\n\n@coattail.action\ndef warm(data, context):\n    \
        with open(context.instance / 'ran', 'a') as file:\n        import os; file.write(f'{os.getpid()}\\n')\n    time.sleep(1000)\n");
    let job = detach(&instance, "warm", &["--data", "1"]);
    begins(&instance, 1);
    let pid = fs::read_to_string(instance.path("ran")).expect("written").trim().parse().expect("a process id");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it runs");
    instance.run(&["job", "wait", &job, "--json"]).failed(1, "lost");
}

#[test]
fn a_job_is_cancelled_whether_it_runs_or_waits() {
    let instance = running("instance");
    let ran = detach(&instance, "work", &[]);
    begins(&instance, 1);
    let waits = detach(&instance, "work", &[]);
    for job in [&waits, &ran] {
        assert_eq!(instance.json(&["job", "cancel", job])["state"], "cancelled");
        instance.run(&["job", "wait", job, "--json"]).failed(130, "cancelled");
    }
    within(SOON, "the process of the action to end", || {
        instance.processes().iter().all(|(_, what)| !what.contains("work.sh")).then_some(())
    });
    assert_eq!(runs(&instance), 1);
    assert_eq!(instance.json(&["job", "cancel", &ran])["state"], "cancelled");
}

#[test]
fn a_job_that_does_not_begin_in_time_is_not_done() {
    let instance = running("instance");
    let first = detach(&instance, "work", &[]);
    begins(&instance, 1);
    let late = detach(&instance, "work", &["--start-timeout", "200ms"]);
    let error = instance.run(&["job", "wait", &late, "--json"]).failed(124, "timed-out");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("nothing was done")), "{error}");
    // A limit counts from the beginning, and not from the place in line.
    let patient = detach(&instance, "work", &["--timeout", "5s"]);
    go(&instance);
    for job in [&first, &patient] {
        assert_eq!(instance.json(&["job", "wait", job])["state"], "succeeded");
    }
    assert_eq!(runs(&instance), 2);
}

#[test]
fn more_jobs_than_may_wait_for_an_action_are_patient() {
    let instance = running("instance");
    fs::write(instance.path("actions/work.yml"), "concurrency: 1\nqueue: 2\n").expect("written");
    let jobs: Vec<_> = (0..8).map(|_| detach(&instance, "work", &[])).collect();
    go(&instance);
    for job in &jobs {
        assert_eq!(instance.json(&["job", "wait", job])["state"], "succeeded");
    }
    assert_eq!(runs(&instance), 8);
}

#[test]
fn there_is_an_end_to_the_jobs_that_wait_and_to_those_that_are_kept() {
    let mut instance = Instance::new("instance");
    instance.configure("limits:\n  jobs: 2\n  job_retention_count: 1\n");
    prepare(&instance);
    instance.start();
    let jobs = [detach(&instance, "work", &[]), detach(&instance, "work", &[])];
    let third = ["action", "perform", "--action", "work", "--detach", "--json"];
    let error = instance.run(&third).failed(1, "busy");
    assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("limits.jobs")), "{error}");
    go(&instance);
    for job in &jobs {
        let _ = instance.run(&["job", "wait", job]).ok();
    }
    let _ = detach(&instance, "work", &[]);
}

#[test]
fn without_a_service_nothing_is_detached() {
    let mut instance = Instance::new("instance");
    prepare(&instance);
    let detached = ["action", "perform", "--action", "echo", "--data", "1", "--detach", "--json"];
    let error = instance.run(&detached).failed(3, "not-running");
    assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("service start")), "{error}");
    assert_eq!(instance.json(&["job", "list"]), json!([]));
    instance.start();
    let job = detach(&instance, "echo", &["--data", "1"]);
    let _ = instance.run(&["job", "wait", &job]).ok();
    instance.stop();
    assert_eq!(instance.json(&["job", "wait", &job])["state"], "succeeded");
    assert_eq!(instance.json(&["job", "result", &job])["result"], 1);
    assert_eq!(instance.json(&["job", "list"]).as_array().map(Vec::len), Some(1));
}

/// Two instances, of which the second performs the actions of the first.
fn pair() -> Cluster {
    let cluster = Cluster::pair();
    prepare(&cluster.publisher);
    cluster
}

#[test]
fn a_job_at_a_peer_survives_the_end_of_its_own_service_and_is_done_once() {
    let mut cluster = pair();
    let job = detach(&cluster.subscriber, "work", &["--peer", &cluster.peer, "--data", "7"]);
    begins(&cluster.publisher, 1);
    becomes(&cluster.subscriber, &job, "running");
    // The connection goes with it; the peer goes on.
    cluster.subscriber.kill();
    cluster.subscriber.start();
    assert_eq!(state(&cluster.subscriber, &job), "running");
    // And once more, in order.
    cluster.subscriber.stop();
    go(&cluster.publisher);
    cluster.subscriber.start();
    let waited = cluster.subscriber.json(&["job", "wait", &job]);
    assert_eq!((&waited["state"], &waited["result"]), (&json!("succeeded"), &json!(7)));
    assert_eq!(runs(&cluster.publisher), 1);
    assert_eq!(cluster.publisher.json(&["job", "list"]), json!([]), "it is not the peer's own");
}

#[test]
fn a_job_at_a_peer_is_done_once_also_if_the_connection_is_cut() {
    let mut cluster = pair();
    let proxy = Proxy::to(cluster.publisher.port());
    let address = format!("net:127.0.0.1:{}~tls", proxy.port());
    let _ = cluster.subscriber.run(&["peer", "set-address", &cluster.peer, &address]).ok();
    // A session that was open before does not go through it.
    cluster.subscriber.stop();
    cluster.subscriber.start();
    let job = detach(&cluster.subscriber, "work", &["--peer", &cluster.peer, "--data", "7"]);
    begins(&cluster.publisher, 1);
    assert!(proxy.cut() > 0, "the job was sent through the proxy");
    assert_eq!(state(&cluster.subscriber, &job), "running");
    go(&cluster.publisher);
    let waited = cluster.subscriber.json(&["job", "wait", &job]);
    assert_eq!((&waited["state"], &waited["result"]), (&json!("succeeded"), &json!(7)));
    assert_eq!(runs(&cluster.publisher), 1);
}

#[test]
fn a_job_at_a_peer_is_lost_with_the_service_of_the_peer() {
    let mut cluster = pair();
    let job = detach(&cluster.subscriber, "work", &["--peer", &cluster.peer]);
    begins(&cluster.publisher, 1);
    cluster.publisher.kill();
    // Nobody knows yet: it is asked for until there is an answer.
    assert_eq!(state(&cluster.subscriber, &job), "running");
    cluster.publisher.start();
    cluster.subscriber.run(&["job", "wait", &job, "--json"]).failed(1, "lost");
    assert_eq!(runs(&cluster.publisher), 1);
}

#[test]
fn a_job_waits_for_a_peer_that_cannot_be_reached() {
    let mut cluster = pair();
    go(&cluster.publisher);
    cluster.publisher.stop();
    let (subscriber, peer) = (&cluster.subscriber, &cluster.peer);
    let job = detach(subscriber, "work", &["--peer", peer, "--data", "7"]);
    let late = detach(subscriber, "work", &["--peer", peer, "--start-timeout", "300ms"]);
    subscriber.run(&["job", "wait", &late, "--json"]).failed(124, "timed-out");
    assert_eq!(state(subscriber, &job), "queued");
    cluster.publisher.start();
    assert_eq!(cluster.subscriber.json(&["job", "wait", &job])["result"], 7);
    assert_eq!(runs(&cluster.publisher), 1);
}

#[test]
fn a_job_at_a_peer_is_cancelled_there_and_its_log_is_kept_here() {
    let cluster = pair();
    cluster.publisher.plugin(
        "actions/talk.sh",
        "#!/bin/sh\ncoattail-under-test log 'on purpose'\necho private >&2\ntouch \"$COATTAIL_INSTANCE/ran\"\nsleep 1000\n",
    );
    let job = detach(&cluster.subscriber, "talk", &["--peer", &cluster.peer]);
    let said = || -> Vec<Value> { cluster.subscriber.json(&["job", "logs", &job]).as_array().expect("a list").clone() };
    until("the job to have said something", || (!said().is_empty()).then_some(()));
    until("the action to be under way", || cluster.publisher.path("ran").exists().then_some(()));
    assert_eq!(cluster.subscriber.json(&["job", "cancel", &job])["state"], "cancelled");
    within(SOON, "the process of the action to end", || {
        cluster.publisher.processes().iter().all(|(_, what)| !what.contains("talk.sh")).then_some(())
    });
    let said = said();
    assert!(said.iter().any(|line| line["message"] == "on purpose"), "{said:?}");
    assert!(said.iter().all(|line| line["message"] != "private"), "{said:?}");
}
