//! P2, P7 and P8 when somebody takes less than there is: what does not fit waits at its publisher, costs nobody else
//! anything, and goes on as soon as there is room.

use std::fs;

use coattail_tests::cluster::add_peer;
use coattail_tests::{Cluster, Control, Instance, plugin, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::raw_peer::memory;

/// Finishes nothing before there is a file `go`, then keeps what it gets in `kept.jsonl`.
const PATIENT_JS: &str = "const fs = require('fs');\nconst { receiver } = require('coattail');\n\
    const home = process.env.COATTAIL_INSTANCE;\nmodule.exports = receiver(async (value, context) => {\n\
    while (!fs.existsSync(`${home}/go`)) await new Promise((done) => setTimeout(done, 20));\n\
    fs.appendFileSync(`${home}/kept.jsonl`, JSON.stringify(context.publication.sequence) + '\\n');\n});\n";

#[test]
fn a_full_inbox_lets_its_publisher_wait_and_holds_up_no_other() {
    const COUNT: u64 = 1_500;
    // What a lane sends at once: a delivery that begins below the limit is taken whole.
    const BATCH: u64 = 512;
    let mut subscriber = Instance::new("subscriber");
    subscriber.configure("limits:\n  inbox: 20");
    subscriber.start();
    let cluster = Cluster::of(Instance::running("publisher"), subscriber, &["--subscribable", "*"]);
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/patient.js", PATIENT_JS);
    cluster.subscriber.plugin("receivers/record.js", plugin::RECORD_JS);
    let patient = cluster.subscribe("feed", "patient");
    // It shares the lane.
    cluster.subscribe("feed", "record");
    publish(&cluster.publisher, 0..COUNT, "");
    let all: Vec<Value> = (0..COUNT).map(|value| json!({ "sequence": value + 1, "value": [value, ""] })).collect();
    until("the one beside it to handle all", || (cluster.subscriber.received() == all).then_some(()));

    let held = || find(&cluster.subscriber.json(&["subscriptions", "list"]), &patient);
    until("it to be full", || (held()["state"] == "full").then_some(()));
    let waiting = held()["waiting"].as_u64().expect("a number");
    assert!((20..20 + BATCH).contains(&waiting), "{waiting}");
    let row = find(&cluster.publisher.json(&["subscribers", "list"]), &patient);
    assert_eq!(row["state"], "failing", "{row}");
    assert!(
        row["last_error"].as_str().is_some_and(|error| error.contains("the inbox is full: 20 publications")),
        "{row}"
    );
    assert_eq!(row["lag"], COUNT - waiting, "nothing is lost: it waits at the publisher");
    let doctor = cluster.subscriber.run(&["doctor", "--json"]).stdout;
    assert!(doctor.contains("its inbox is full"), "{doctor}");

    fs::write(cluster.subscriber.path("go"), "").expect("written");
    let kept = || fs::read_to_string(cluster.subscriber.path("kept.jsonl")).unwrap_or_default();
    until("it to handle all", || (kept().lines().count() as u64 == COUNT).then_some(()));
    let expected: String = (1..=COUNT).map(|sequence| format!("{sequence}\n")).collect();
    assert_eq!(kept(), expected);
    assert_eq!(held()["state"], "running");
    assert_eq!(cluster.subscriber.counts()["stored"], 2 * COUNT);
}

#[test]
fn what_is_too_large_for_a_subscriber_is_a_gap_that_both_are_told_of() {
    let mut subscriber = Instance::new("subscriber");
    subscriber.configure("limits:\n  frame: 128 KiB");
    subscriber.start();
    let cluster = Cluster::of(Instance::running("publisher"), subscriber, &["--subscribable", "*"]);
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/record.js", plugin::RECORD_JS);
    cluster.subscribe("feed", "record");
    let large = "x".repeat(200_000);
    // Also when the cursor was before it for a while, and when two follow each other.
    cluster.subscriber.signal(Signal::SIGSTOP);
    publish(&cluster.publisher, 0..3, "");
    publish(&cluster.publisher, 3..5, &large);
    publish(&cluster.publisher, 5..8, "");
    cluster.subscriber.signal(Signal::SIGCONT);
    cluster.subscriber.wait_for("handled", 6);
    let received: Vec<_> = cluster.subscriber.received().iter().map(|line| line["sequence"].clone()).collect();
    assert_eq!(received, [1, 2, 3, 6, 7, 8]);
    assert_eq!(cluster.subscriber.counts()["missed"], 2);
    for instance in [&cluster.publisher, &cluster.subscriber] {
        let log = instance.log();
        let told = log.lines().filter(|line| line.contains("a gap: ") && line.contains("sequence=4")).count();
        assert_eq!(told, 1, "{log}");
    }
    // Behind what is not for it, too, which it does not miss.
    cluster.subscriber.signal(Signal::SIGSTOP);
    cluster.publisher.json(&["action", "publish", "feed", "--data", "1", "--ttl", "1ms"]);
    publish(&cluster.publisher, 9..10, &large);
    publish(&cluster.publisher, 10..11, "");
    cluster.subscriber.signal(Signal::SIGCONT);
    cluster.subscriber.wait_for("handled", 7);
    assert_eq!(cluster.subscriber.counts()["missed"], 3);
    until("the publisher to know", || (cluster.publisher.counts()["undelivered"] == 0).then_some(()));
}

#[test]
fn a_peer_that_is_stuck_costs_its_publisher_no_memory() {
    // In KiB.
    const MOST: usize = 16 * 1024;
    let cluster = Cluster::pair();
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    for number in 0..50 {
        cluster.subscriber.plugin(&format!("receivers/r{number}.sh"), plugin::KEEP_SH);
        cluster.subscribe("feed", &format!("r{number}"));
    }
    let other = Instance::running("other");
    other.plugin("receivers/record.js", plugin::RECORD_JS);
    let peer = add_peer(&cluster.publisher, &other, &["--subscribable", "*"]);
    other.json(&["action", "subscribe", "--peer", &peer, "--action", "feed", "--receiver", "record"]);
    let large = "x".repeat(500_000);
    cluster.subscriber.signal(Signal::SIGSTOP);
    // All that it takes to publish and deliver as much is there then.
    publish(&cluster.publisher, 0..20, &large);
    other.wait_for("handled", 20);
    let before = memory(&cluster.publisher, "RssAnon:");
    publish(&cluster.publisher, 20..100, &large);
    other.wait_for("handled", 100);
    let grown = memory(&cluster.publisher, "RssAnon:").saturating_sub(before);
    assert!(grown < MOST, "40 MB were published, and {grown} KiB are held");
    cluster.subscriber.signal(Signal::SIGCONT);
}

/// Values are a number and a text.
#[track_caller]
fn publish(publisher: &Instance, values: std::ops::Range<u64>, text: &str) {
    let control = Control::connect(publisher);
    for value in values {
        control.publish("feed", &json!([value, text])).expect("accepted");
    }
}

#[track_caller]
fn find(rows: &Value, id: &str) -> Value {
    rows.as_array().and_then(|rows| rows.iter().find(|row| row["id"] == id)).expect("it is in the list").clone()
}
