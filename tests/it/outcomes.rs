//! P4: a call ends in exactly one of: succeeded, failed, refused, timed out, cancelled, lost; wherever the action is.

use std::fs;
use std::time::Duration;

use coattail_tests::instance::binary;
use coattail_tests::{Background, Cluster, Control, Instance, plugin, until, within};
use nix::sys::signal::Signal;
use serde_json::json;

/// An action that ends as its input says.
const END_JS: &str = "module.exports = (Coattail) => class extends Coattail.Action {\n\
    async perform(input) {\n\
    if ('throw' in input) throw input.throw;\n\
    if ('error' in input) throw Object.assign(new Error(input.error), { errno: -2 });\n\
    return input.return;\n  }\n};\n";

/// An action that says that it is there, and goes on for ever.
const HANG_SH: &str = "#!/bin/sh\ntouch \"$COATTAIL_INSTANCE/hanging\"\nsleep 1000\n";

/// How long the end of a call may take to reach the process that works on it.
const SOON: Duration = Duration::from_secs(5);

/// Where an action is performed, as seen from whoever asks.
struct Place<'a> {
    name: &'static str,
    /// Who asks.
    asks: &'a Instance,
    /// Whose action it is.
    performs: &'a Instance,
    peer: Option<&'a str>,
}

impl Place<'_> {
    fn arguments<'a>(&'a self, action: &'a str, data: &'a str) -> Vec<&'a str> {
        let mut arguments = vec!["action", "perform", "--action", action, "--data", data, "--json"];
        arguments.extend(self.peer.iter().flat_map(|peer| ["--peer", *peer]));
        arguments
    }

    fn perform(&self, action: &str, data: &str) -> coattail_tests::Output {
        self.asks.run(&self.arguments(action, data))
    }

    /// Performs the action that goes on for ever; returns when it is under way.
    fn hang(&self, more: &[&str]) -> Background {
        let _ = fs::remove_file(self.performs.path("hanging"));
        let command = self.asks.begin(&[&self.arguments("hang", "{}")[..], more].concat());
        until("the action to be under way", || self.performs.path("hanging").exists().then_some(()));
        command
    }

    /// Nothing of the action is left.
    fn check_that_it_has_ended(&self) {
        within(SOON, &format!("{}: the process of the action to end", self.name), || {
            self.performs.processes().iter().all(|(_, what)| !what.contains("hang.sh")).then_some(())
        });
    }
}

/// Runs a test in process, through the control socket, and at a peer.
fn everywhere(test: fn(&Place<'_>)) {
    let alone = Instance::new("alone");
    prepare(&alone);
    test(&Place { name: "in process", asks: &alone, performs: &alone, peer: None });
    let cluster = Cluster::pair();
    let Cluster { publisher, subscriber, peer } = &cluster;
    prepare(publisher);
    test(&Place { name: "through the service", asks: publisher, performs: publisher, peer: None });
    test(&Place { name: "at a peer", asks: subscriber, performs: publisher, peer: Some(peer) });
}

fn prepare(instance: &Instance) {
    instance.plugin("actions/end.js", END_JS);
    instance.plugin("actions/hang.sh", HANG_SH);
    instance.plugin("actions/echo.sh", plugin::ECHO_SH);
    fs::copy(binary("fixture-plugin"), instance.path("actions/native")).expect("copied");
}

#[test]
fn a_call_succeeds_with_what_the_action_returned() {
    everywhere(|place| {
        for value in ["null", "false", "0", "\"\"", "[]", "{\"a\":[1,{\"b\":\"ü\"}]}"] {
            let performed = place.perform("end", &format!("{{\"return\":{value}}}")).ok().json();
            let wanted: serde_json::Value = serde_json::from_str(value).expect("JSON");
            assert_eq!(performed["result"], wanted, "{}", place.name);
            assert!(performed["call"].is_string(), "{}: {performed}", place.name);
        }
        // Byte for byte.
        let performed = place.perform("echo", "{\"n\": 1.50}").ok();
        assert!(performed.stdout.contains("1.50"), "{}: {performed:?}", place.name);
    });
}

#[test]
fn r3_p7_a_call_fails_with_what_the_action_threw() {
    everywhere(|place| {
        for value in ["null", "\"\"", "0", "false", "\"no\"", "{\"errno\":-2,\"path\":\"/nowhere\"}"] {
            let error = place.perform("end", &format!("{{\"throw\":{value}}}")).failed(1, "failed");
            let wanted: serde_json::Value = serde_json::from_str(value).expect("JSON");
            assert_eq!(error["data"], wanted, "{}: {error}", place.name);
        }
        let error = place.perform("end", "{\"error\":\"told to fail\"}").failed(1, "failed");
        assert!(error["message"].as_str().is_some_and(|text| text.contains("told to fail")), "{error}");
        assert_eq!(error["data"]["errno"], -2, "{}: {error}", place.name);
        let error = place.perform("native", "{\"do\":\"fail\",\"why\":\"native\"}").failed(1, "failed");
        assert!(error.to_string().contains("told to fail"), "{error}");
    });
}

#[test]
fn a_call_is_refused_before_anything_runs() {
    everywhere(|place| {
        place.perform("missing", "{}").failed(5, "not-found");
        place.perform("../end", "{}").failed(2, "usage");
    });
    let cluster = Cluster::with_grants(&["--performable", "end"]);
    prepare(&cluster.publisher);
    let (publisher, subscriber) = (&cluster.publisher, &cluster.subscriber);
    let place = Place { name: "not permitted", asks: subscriber, performs: publisher, peer: Some(&cluster.peer) };
    let _ = place.perform("end", "{}").ok();
    place.perform("hang", "{}").failed(4, "not-permitted");
    assert!(!publisher.path("hanging").exists());
}

#[test]
fn r10_a_call_times_out_and_its_work_ends() {
    everywhere(|place| {
        place.hang(&["--timeout", "300ms"]).finish().failed(124, "timed-out");
        place.check_that_it_has_ended();
    });
}

#[test]
fn a_call_is_cancelled_from_the_keyboard_and_its_work_ends() {
    everywhere(|place| {
        let mut command = place.hang(&[]);
        command.signal(Signal::SIGINT);
        command.finish().failed(130, "cancelled");
        place.check_that_it_has_ended();
    });
}

#[test]
fn a_call_whose_caller_was_killed_ends() {
    everywhere(|place| {
        let mut command = place.hang(&[]);
        command.signal(Signal::SIGKILL);
        assert_eq!(command.finish().code, None);
        place.check_that_it_has_ended();
    });
}

#[test]
fn a_call_is_lost_with_its_worker() {
    everywhere(|place| {
        let error = place.perform("native", "{\"do\":\"crash\"}").failed(1, "lost");
        assert!(error["message"].as_str().is_some_and(|text| text.contains("SIGABRT")), "{}: {error}", place.name);
        // The next call has a new worker.
        let _ = place.perform("native", "{\"do\":\"echo\"}").ok();
    });
}

#[test]
fn a_call_is_lost_with_the_connection() {
    let mut cluster = Cluster::pair();
    prepare(&cluster.publisher);
    let place = Place { name: "", asks: &cluster.subscriber, performs: &cluster.publisher, peer: Some(&cluster.peer) };
    let (at_peer, here) = (place.hang(&[]), Place { asks: place.performs, peer: None, ..place }.hang(&[]));
    cluster.publisher.kill();
    for command in [at_peer, here] {
        command.finish().failed(1, "lost");
    }
    // The one who asked is none the worse for it.
    cluster.publisher.start();
    let peer = Some(cluster.peer.as_str());
    let place = Place { name: "", asks: &cluster.subscriber, performs: &cluster.publisher, peer };
    assert_eq!(place.perform("echo", "1").ok().json()["result"], json!(1));
}

#[test]
fn an_answer_is_not_lost_because_another_call_was_given_up() {
    let instance = Instance::running("instance");
    prepare(&instance);
    let place = Place { name: "", asks: &instance, performs: &instance, peer: None };
    let mut command = place.hang(&[]);
    let (stays, goes) = (Control::connect(&instance), Control::connect(&instance));
    goes.close();
    assert_eq!(stays.publish("echo", &json!(1)).expect("accepted"), 1);
    command.signal(Signal::SIGINT);
    let _ = command.finish().exited(130);
    assert_eq!(stays.publish("echo", &json!(1)).expect("accepted"), 2);
}
