//! However often a call of one key is asked for, it is done once, and everybody gets what became of it.

use std::fs;
use std::thread;

use coattail::id::CallId;
use coattail::wire::ErrorCode;
use coattail::wire::host::Perform;
use coattail_daemon::keys::Identity;
use coattail_tests::{Cluster, Control, Instance, plugin, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::raw_peer::{RawPeer, issue, plain_service};

/// An action that notes that it runs, and returns its input when it is told to.
const WORK_SH: &str = "#!/bin/sh\necho ran >> \"$COATTAIL_INSTANCE/ran\"\n\
    while [ ! -e \"$COATTAIL_INSTANCE/go\" ]; do sleep 0.05; done\ncat\n";

/// How many ask at once.
const CALLERS: usize = 100;

fn prepare(instance: &Instance) {
    instance.plugin("actions/work.sh", WORK_SH);
    instance.plugin("actions/echo.sh", plugin::ECHO_SH);
}

fn runs(instance: &Instance) -> usize {
    fs::read_to_string(instance.path("ran")).unwrap_or_default().lines().count()
}

fn go(instance: &Instance) {
    fs::write(instance.path("go"), "").expect("written");
}

fn begins(instance: &Instance) {
    until("the action to have begun", || (runs(instance) > 0).then_some(()));
}

/// Asks so often at once, over a few connections; returns the results.
fn at_once(asks: &Instance, peer: Option<&str>) -> Vec<String> {
    let controls: Vec<Control> = (0..4).map(|_| Control::connect(asks)).collect();
    thread::scope(|scope| {
        let ask = |n: usize| {
            let control = &controls[n % controls.len()];
            scope.spawn(move || {
                let perform = Perform {
                    call: Some(CallId::new()),
                    peer: peer.map(|peer| peer.parse().expect("an id")),
                    action: "work".parse().expect("a name"),
                    input: Some(serde_json::from_str("1.50").expect("JSON")),
                    publish: false,
                    timeout_ms: None,
                    start_timeout_ms: None,
                    follow: false,
                    key: Some("once".parse().expect("a key")),
                    parent: None,
                };
                control.call(&perform).expect("it succeeds").result.expect("a result").get().to_owned()
            })
        };
        let callers: Vec<_> = (0..CALLERS).map(ask).collect();
        callers.into_iter().map(|caller| caller.join().expect("no panic")).collect()
    })
}

#[test]
fn a_key_that_is_used_a_hundred_times_at_once_is_one_call() {
    let cluster = Cluster::pair();
    let Cluster { publisher, subscriber, peer } = &cluster;
    prepare(publisher);
    go(publisher);
    assert!(at_once(publisher, None).iter().all(|result| result == "1.50"));
    assert_eq!(runs(publisher), 1);
    // Whoever asks from elsewhere has keys of their own.
    assert!(at_once(subscriber, Some(peer)).iter().all(|result| result == "1.50"));
    assert_eq!(runs(publisher), 2);
}

#[test]
fn a_key_gives_the_outcome_again_and_stands_for_one_input() {
    let mut instance = Instance::running("instance");
    prepare(&instance);
    go(&instance);
    let perform = |data: &str, more: &[&str]| {
        let words = ["action", "perform", "--action", "work", "--data", data, "--idempotency-key", "k", "--json"];
        instance.run(&[&words[..], more].concat())
    };
    let first = perform("1", &[]).ok().json();
    assert_eq!(perform("1", &[]).ok().json(), first);
    perform("2", &[]).failed(1, "already-exists");
    perform("1", &["--notify"]).failed(1, "already-exists");
    let job = perform("1", &["--detach"]).ok().json();
    assert_eq!((&job["id"], &job["state"]), (&first["call"], &json!("succeeded")));
    assert_eq!(runs(&instance), 1);
    // Another action, another call.
    let echo = ["action", "perform", "--action", "echo", "--data", "2", "--idempotency-key", "k", "--json"];
    assert_eq!(instance.run(&echo).ok().json()["result"], 2);
    // What was refused was not done, so it may be asked for again.
    let missing = ["action", "perform", "--action", "later", "--data", "2", "--idempotency-key", "k", "--json"];
    instance.run(&missing).failed(5, "not-found");
    instance.plugin("actions/later.sh", plugin::ECHO_SH);
    assert_eq!(instance.run(&missing).ok().json()["result"], 2);
    // It is on disk, and needs no service.
    instance.kill();
    let again = ["action", "perform", "--action", "work", "--data", "1", "--idempotency-key", "k", "--json"];
    assert_eq!(instance.run(&again).ok().json(), first);
    assert_eq!(runs(&instance), 1);
}

#[test]
fn a_call_with_a_key_outlives_the_command_that_was_killed() {
    let instance = Instance::running("instance");
    prepare(&instance);
    let words = ["action", "perform", "--action", "work", "--data", "1", "--idempotency-key", "k", "--json"];
    let mut command = instance.begin(&words);
    begins(&instance);
    command.signal(Signal::SIGKILL);
    assert_eq!(command.finish().code, None);
    let joined = instance.begin(&words);
    go(&instance);
    assert_eq!(joined.finish().ok().json()["result"], 1);
    assert_eq!(runs(&instance), 1);
}

#[test]
fn a_call_with_a_key_whose_service_was_killed_is_lost_for_ever() {
    let mut instance = Instance::running("instance");
    prepare(&instance);
    let words = ["action", "perform", "--action", "work", "--data", "1", "--idempotency-key", "k", "--json"];
    let command = instance.begin(&words);
    begins(&instance);
    instance.kill();
    command.finish().failed(1, "lost");
    instance.start();
    // It may have been done, so it is not done again.
    instance.run(&words).failed(1, "lost");
    assert_eq!(runs(&instance), 1);
}

fn perform(call: &str, input: &Value, key: &str) -> Value {
    json!({"call": call, "action": "work", "input": input, "key": key})
}

#[test]
fn an_outcome_is_for_the_token_that_asked_and_goes_with_it() {
    let issuer = plain_service("issuer", "");
    prepare(&issuer);
    let keys = Identity::generate();
    let token = issue(&issuer, &["--performable", "work"]);
    let mut peer = RawPeer::log_in(issuer.port(), &keys, &token);
    let ids: Vec<String> = (0..4).map(|_| CallId::new().to_string()).collect();
    // The connection goes, the call goes on, and the same key joins it.
    let request =
        json!({"jsonrpc": "2.0", "id": 77, "method": "actions.perform", "params": perform(&ids[0], &json!(1), "k")});
    peer.send(format!("{request}\n").as_bytes()).expect("it is open");
    begins(&issuer);
    drop(peer);
    let mut peer = RawPeer::log_in(issuer.port(), &keys, &token);
    go(&issuer);
    let performed = peer.call("actions.perform", &perform(&ids[1], &json!(1), "k")).expect("it is done");
    assert_eq!((&performed["result"], runs(&issuer)), (&json!(1), 1));
    let other = peer.call("actions.perform", &perform(&ids[2], &json!(2), "k"));
    assert_eq!(other.expect_err("another input"), ErrorCode::AlreadyExists);

    // Another token of the same instance, which allows nothing: it has no outcome of the first.
    let nothing = issue(&issuer, &["--performable", "echo"]);
    let mut stranger = RawPeer::log_in(issuer.port(), &keys, &nothing);
    let refused = stranger.call("actions.perform", &perform(&ids[3], &json!(1), "k"));
    assert_eq!(refused.expect_err("not allowed"), ErrorCode::NotPermitted);

    let id = issuer.json(&["token", "list"]).as_array().expect("a list")[0]["id"].as_str().expect("an id").to_owned();
    let _ = issuer.run(&["token", "revoke", &id, "--yes"]).ok();
    assert!(peer.rest().is_empty(), "the session ends");
    let again = issue(&issuer, &["--performable", "work"]);
    let mut peer = RawPeer::log_in(issuer.port(), &keys, &again);
    peer.call("actions.perform", &perform(&ids[3], &json!(2), "k")).expect("the key is free");
    assert_eq!(runs(&issuer), 2);
}

#[test]
fn revoking_a_token_ends_what_runs_for_it() {
    let issuer = plain_service("issuer", "");
    prepare(&issuer);
    let token = issue(&issuer, &["--performable", "work"]);
    let mut peer = RawPeer::log_in(issuer.port(), &Identity::generate(), &token);
    let call = CallId::new().to_string();
    let request =
        json!({"jsonrpc": "2.0", "id": 77, "method": "actions.perform", "params": perform(&call, &json!(1), "k")});
    peer.send(format!("{request}\n").as_bytes()).expect("it is open");
    begins(&issuer);
    drop(peer);
    let id = issuer.json(&["token", "list"])[0]["id"].as_str().expect("an id").to_owned();
    let _ = issuer.run(&["token", "revoke", &id, "--yes"]).ok();
    until("the process of the action to end", || {
        issuer.processes().iter().all(|(_, what)| !what.contains("work.sh")).then_some(())
    });
}
