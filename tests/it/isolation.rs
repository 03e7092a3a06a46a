//! P7: what is slow, stuck, chatty or hostile costs only itself.

use std::fs;
use std::sync::mpsc::sync_channel;
use std::thread;

use coattail_tests::cluster::add_peer;
use coattail_tests::wait::PATIENCE;
use coattail_tests::{Cluster, Control, Instance, plugin};
use nix::sys::signal::Signal;
use serde_json::json;

const STUCK_SH: &str = "#!/bin/sh\ntouch \"$COATTAIL_INSTANCE/stuck\"\nsleep 1000\n";

#[test]
fn a_stuck_receiver_holds_up_no_other_subscription() {
    let cluster = Cluster::pair();
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/stuck.sh", STUCK_SH);
    cluster.subscriber.plugin("receivers/record.js", plugin::RECORD_JS);
    cluster.subscribe("feed", "stuck");
    cluster.subscribe("feed", "record");
    let other = other_subscriber(&cluster.publisher);
    publish_twenty(&cluster.publisher);
    cluster.subscriber.wait_for("handled", 20);
    other.wait_for("handled", 20);
    assert!(cluster.subscriber.path("stuck").exists());
    // The publisher is done with it: what waits, waits at the subscriber.
    cluster.publisher.wait_for("delivered", 60);
    let counts = cluster.subscriber.counts();
    assert_eq!((&counts["stored"], &counts["handled"], &counts["waiting"]), (&json!(40), &json!(20), &json!(20)));
    // A stuck receiver does not hold up the end of its service, either: its next start tries again.
    assert_eq!(cluster.publisher.counts()["undelivered"], 0);
}

#[test]
fn a_subscriber_that_has_stopped_reading_holds_up_no_other() {
    let cluster = Cluster::pair();
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/record.js", plugin::RECORD_JS);
    cluster.subscribe("feed", "record");
    let other = other_subscriber(&cluster.publisher);
    cluster.subscriber.signal(Signal::SIGSTOP);
    publish_twenty(&cluster.publisher);
    other.wait_for("handled", 20);
    assert_eq!(cluster.publisher.counts()["undelivered"], 20);
    cluster.subscriber.signal(Signal::SIGCONT);
    cluster.subscriber.wait_for("handled", 20);
    assert_eq!(cluster.subscriber.counts()["stored"], 20);
}

#[test]
fn a_stuck_action_holds_up_no_other() {
    let instance = Instance::running("instance");
    instance.plugin("actions/stuck.sh", STUCK_SH);
    fs::write(instance.path("actions/stuck.yml"), "concurrency: 1\nqueue: 1\n").expect("written");
    instance.plugin("actions/echo.js", plugin::ECHO_JS);
    let (tell, told) = sync_channel(4);
    for _ in 0..4 {
        let command = instance.begin(&["action", "perform", "--action", "stuck", "--json"]);
        let tell = tell.clone();
        thread::spawn(move || tell.send(command.finish()));
    }
    let next = || told.recv_timeout(PATIENCE).expect("a command ends");
    // P8: one is stuck, one waits, and what does not fit is refused at once.
    for _ in 0..2 {
        next().failed(1, "busy");
    }
    assert_eq!(instance.json(&["action", "perform", "--action", "echo", "--data", "1"])["result"], 1);
    assert!(instance.path("stuck").exists());
    instance.signal(Signal::SIGKILL);
    for _ in 0..2 {
        next().failed(1, "lost");
    }
}

#[test]
fn what_a_plugin_pours_out_is_drained_and_not_passed_on_whole() {
    const POURED: usize = 4_000_000;
    let instance = Instance::running("instance");
    let pour = format!("yes 'all work and no play' | head -c {POURED} >&2");
    instance.plugin("actions/plain.sh", &format!("#!/bin/sh\n{pour}\necho 1\n"));
    let text = "const fs = require('fs');\nmodule.exports = (Coattail) => class extends Coattail.Action {\n\
        async perform() { for (let i = 0; i < 40; i += 1) console.error('x'.repeat(100000)); return 1; } };\n";
    instance.plugin("actions/warm.js", text);
    for action in ["plain", "warm"] {
        assert_eq!(instance.json(&["action", "perform", "--action", action])["result"], 1, "{action}");
    }
    // 160,000 of them were written.
    let lines = instance.log().lines().count();
    assert!((100..5_000).contains(&lines), "{lines}");
    // Printing to stdout does not damage the protocol.
    instance.plugin("actions/prints.js", &plugin::ECHO_JS.replace("return", "console.log('{\"not\":'); return"));
    assert_eq!(instance.json(&["action", "perform", "--action", "prints", "--data", "2"])["result"], 2);
}

fn other_subscriber(publisher: &Instance) -> Instance {
    let other = Instance::running("other");
    other.plugin("receivers/record.js", plugin::RECORD_JS);
    let peer = add_peer(publisher, &other, &["--subscribable", "*"]);
    other.json(&["action", "subscribe", "--peer", &peer, "--action", "feed", "--receiver", "record"]);
    other
}

fn publish_twenty(publisher: &Instance) {
    let control = Control::connect(publisher);
    for value in 0..20 {
        control.publish("feed", &json!(value)).expect("accepted");
    }
}
