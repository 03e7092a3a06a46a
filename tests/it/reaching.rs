//! `--wait`: whoever publishes hears when it has reached those who were subscribed, and from whom it has not.

use std::io::{BufRead as _, BufReader};

use coattail::wire::ErrorCode;
use coattail_tests::{Background, Cluster, Instance, Output, plugin};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::raw_peer::{RawPeer, keys_of};

#[test]
fn whoever_waits_hears_that_all_have_stored_it() {
    let cluster = pair();
    let nobody = cluster.publisher.run(&["action", "publish", "feed", "-d", "0", "--wait"]).ok();
    assert!(nobody.stderr.contains("nobody was subscribed"), "{nobody:#?}");
    cluster.subscribe("feed", "keep");
    let published = cluster.publisher.json(&["action", "publish", "feed", "-d", "1", "--wait=30s"]);
    assert_eq!(published["reach"], json!({"subscribers": 1, "stored": 1, "paused": 0}), "{published}");
    assert_eq!(cluster.subscriber.counts()["stored"], 1);
    let performed = cluster.publisher.json(&["action", "perform", "feed", "-d", "2", "--notify", "--wait"]);
    assert_eq!((&performed["result"], &performed["reach"]["stored"]), (&json!(2), &json!(1)), "{performed}");
    // Of a batch it is the last.
    let lines =
        cluster.publisher.run_with(&["action", "publish", "feed", "--batch", "-", "--wait", "--json"], "3\n4\n");
    let batch = lines.ok().json();
    assert_eq!((&batch[0]["reach"], &batch[1]["reach"]["stored"]), (&Value::Null, &json!(1)), "{batch}");
    assert_eq!(cluster.subscriber.counts()["stored"], 4);
    // Of what has been published nobody who subscribes now lacks anything.
    cluster.subscriber.plugin("receivers/late.sh", plugin::ECHO_SH);
    cluster.subscribe("feed", "late");
    let last = cluster.publisher.json(&["action", "publish", "feed", "-d", "5", "--wait"]);
    assert_eq!(last["reach"]["subscribers"], 2);
}

#[test]
fn at_the_deadline_those_are_named_that_lack_it() {
    let mut cluster = pair();
    let id = cluster.subscribe("feed", "keep");
    cluster.subscriber.kill();
    let late = cluster.publisher.run(&["action", "publish", "feed", "-d", "1", "--wait=100ms"]).exited(75);
    assert!(late.stderr.contains("stored by 0 of 1 subscribers"), "{late:#?}");
    assert!(late.stderr.contains("not stored by keep at") && late.stderr.contains(&id), "{late:#?}");
    let late = cluster.publisher.run(&["action", "perform", "feed", "-d", "2", "--notify", "--wait=100ms", "--json"]);
    let late = late.exited(75).json();
    let missing = &late["reach"]["missing"][0];
    assert_eq!(
        (&missing["id"], &missing["receiver"], &missing["lag"]),
        (&json!(id), &json!("keep"), &json!(2)),
        "{late}"
    );
    assert_eq!((&late["result"], &late["reach"]["stored"]), (&json!(2), &json!(0)), "{late}");
    // Without a deadline a paused one would be waited for in vain.
    cluster.subscriber.start();
    cluster.subscriber.wait_for("stored", 2);
    cluster.publisher.json(&["subscribers", "pause", &id]);
    let paused = cluster.publisher.run(&["action", "publish", "feed", "-d", "3", "--wait"]).exited(75);
    assert!(paused.stderr.contains("paused, 1 behind"), "{paused:#?}");
}

#[test]
fn the_result_comes_at_once_and_the_end_when_the_last_has_stored_it() {
    let mut cluster = pair();
    cluster.subscribe("feed", "keep");
    cluster.subscriber.kill();
    let mut waiting = cluster.publisher.begin(&["action", "perform", "feed", "-d", "7", "--notify", "--wait"]);
    assert_eq!(first_line(&mut waiting), "7");
    assert!(!waiting.has_ended());
    cluster.subscriber.start();
    let end = waiting.finish().ok();
    assert!(end.stderr.contains("stored by 1 of 1 subscribers"), "{end:#?}");
}

#[test]
fn ctrl_c_ends_the_waiting_and_nothing_else() {
    let mut cluster = pair();
    cluster.subscribe("feed", "keep");
    cluster.subscriber.kill();
    let mut waiting = cluster.publisher.begin(&["action", "publish", "feed", "-d", "7", "--wait"]);
    first_line(&mut waiting);
    // A moment later it waits; before that, Ctrl-C ends it just the same.
    waiting.signal(Signal::SIGINT);
    let end: Output = waiting.finish().exited(130);
    assert!(end.stderr.contains("the publication stays"), "{end:#?}");
    cluster.subscriber.start();
    cluster.subscriber.wait_for("handled", 1);
    assert_eq!(cluster.subscriber.received(), [json!(7)]);
}

#[test]
fn who_ends_a_subscription_is_waited_for_no_longer_and_without_a_service_nothing_is_published() {
    let mut cluster = pair();
    let id = cluster.subscribe("feed", "keep");
    cluster.subscriber.kill();
    let mut waiting = cluster.publisher.begin(&["action", "publish", "feed", "-d", "1", "--wait"]);
    first_line(&mut waiting);
    cluster.publisher.json(&["subscribers", "revoke", &id, "--yes"]);
    let _ = waiting.finish().ok();
    cluster.publisher.stop();
    cluster.publisher.run(&["action", "publish", "feed", "-d", "2", "--wait", "--json"]).failed(3, "not-running");
    assert_eq!(cluster.publisher.json(&["publications", "list"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn a_peer_tells_how_many_have_it_to_who_may_publish_and_to_nobody_else() {
    // Without TLS, so that what is asked by hand can be.
    let mut publisher = Instance::new("publisher");
    publisher.reconfigure("enabled: true", "enabled: false");
    publisher.start();
    let cluster = with_plugins(Cluster::of(publisher, Instance::running("subscriber"), EVERYTHING));
    cluster.subscribe("feed", "keep");
    let performed = ["action", "perform", "feed", "-d", "1", "--notify", "--wait", "--peer", &cluster.peer];
    let performed = cluster.subscriber.json(&performed);
    assert_eq!(performed["reach"], json!({"subscribers": 1, "stored": 1, "paused": 0}), "{performed}");
    let id = cluster.publisher.json(&["subscribers", "list"])[0]["id"].as_str().expect("an id").to_owned();
    cluster.publisher.json(&["subscribers", "pause", &id]);
    let publish = ["action", "publish", "feed", "-d", "2", "--wait", "--peer", &cluster.peer, "--json"];
    let published = cluster.subscriber.run(&publish).exited(75).json();
    assert_eq!(published["reach"], json!({"subscribers": 1, "stored": 0, "paused": 1}), "{published}");

    let issue = ["token", "issue", "--subscribable", "*", "--publishable", "[]", "--quiet", "--print-raw-token"];
    let token = cluster.publisher.run(&issue).ok().stdout;
    let mut stranger = RawPeer::log_in(cluster.publisher.port(), &keys_of(&cluster.subscriber), token.trim());
    let ask = json!({"action": "feed", "publication": published["id"]});
    assert_eq!(stranger.call("publications.reach", &ask), Err(ErrorCode::NotPermitted));
}

fn pair() -> Cluster {
    with_plugins(Cluster::pair())
}

fn with_plugins(cluster: Cluster) -> Cluster {
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    cluster
}

const EVERYTHING: &[&str] = &["--performable", "*", "--publishable", "*", "--subscribable", "*"];

/// What it has answered first; it goes on.
fn first_line(command: &mut Background) -> String {
    let mut line = String::new();
    BufReader::new(command.stdout()).read_line(&mut line).expect("it can be read");
    line.trim().to_owned()
}
