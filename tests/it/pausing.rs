//! Subscriptions as their owners see them, on both sides: how far, why not further, and paused until they are resumed.

use coattail_tests::{Cluster, Instance, plugin, until};
use serde_json::{Value, json};

#[test]
fn a_paused_subscription_stores_what_comes_and_calls_no_receiver() {
    let (mut cluster, id) = recording();
    let one = |cluster: &Cluster| cluster.subscriber.json(&["subscriptions", "list"])[0].clone();
    assert_eq!((&one(&cluster)["state"], &one(&cluster)["peer"]), (&json!("running"), &json!(cluster.peer)));
    assert_eq!(cluster.subscriber.json(&["subscriptions", "pause", &id]), json!({"id": id, "paused": true}));
    for value in ["1", "2"] {
        cluster.publish("feed", value);
    }
    cluster.subscriber.wait_for("stored", 2);
    cluster.subscriber.kill();
    cluster.subscriber.start();
    let held = one(&cluster);
    assert_eq!((&held["state"], &held["waiting"], &held["sequence"]), (&json!("paused"), &json!(2), &json!(2)));
    // Another that is not paused is handled meanwhile, by the same service.
    cluster.subscriber.plugin("receivers/other.sh", plugin::ECHO_SH);
    cluster.subscribe("feed", "other");
    cluster.publish("feed", "3");
    cluster.subscriber.wait_for("handled", 1);
    assert_eq!(cluster.subscriber.received(), [] as [Value; 0]);

    assert_eq!(cluster.subscriber.json(&["subscriptions", "resume", &id]), json!({"id": id, "paused": false}));
    cluster.subscriber.wait_for("handled", 4);
    assert_eq!(sequences(&cluster.subscriber), [1, 2, 3]);
    let unknown = "01a1f817-10f6-7716-ba76-3ddb9124a351";
    assert_eq!(cluster.subscriber.run(&["subscriptions", "pause", unknown]).code, Some(5));
}

#[test]
fn to_a_paused_subscriber_nothing_is_delivered() {
    let (mut cluster, id) = recording();
    cluster.subscriber.plugin("receivers/other.sh", plugin::ECHO_SH);
    cluster.subscribe("feed", "other");
    assert_eq!(cluster.publisher.json(&["subscribers", "pause", &id]), json!({"id": id, "paused": true}));
    cluster.publisher.kill();
    cluster.publisher.start();
    cluster.publish("feed", "1");
    cluster.publish("feed", "2");
    // Both are delivered together, so the other has what this one would have got.
    cluster.subscriber.wait_for("stored", 2);
    let row = subscriber(&cluster, &id);
    assert_eq!((&row["state"], &row["cursor"], &row["lag"]), (&json!("paused"), &json!(0), &json!(2)), "{row}");
    assert!(row["lag_seconds"].is_u64(), "{row}");
    assert_eq!(cluster.subscriber.counts()["stored"], 2);

    cluster.publisher.json(&["subscribers", "resume", "--subscription", &id]);
    cluster.subscriber.wait_for("stored", 4);
    cluster.subscriber.wait_for("handled", 4);
    assert_eq!(sequences(&cluster.subscriber), [1, 2]);
    until("the cursor to move", || (subscriber(&cluster, &id)["lag"] == 0).then_some(()));
    assert_eq!(subscriber(&cluster, &id)["state"], "running");
    let unknown = "01a1f817-10f6-7716-ba76-3ddb9124a351";
    assert_eq!(cluster.publisher.run(&["subscribers", "pause", unknown]).code, Some(5));
}

#[test]
fn what_fails_is_said_with_the_reason_and_the_next_attempt() {
    let (mut cluster, id) = recording();
    cluster.subscriber.plugin("receivers/record.sh", "#!/bin/sh\necho alas >&2\nexit 1\n");
    cluster.publish("feed", "1");
    let held = until("the receiver to fail", || {
        let held = cluster.subscriber.json(&["subscriptions", "list"])[0].clone();
        (held["state"] == "failing").then_some(held)
    });
    assert!(held["reason"].as_str().expect("a reason").contains("exit 1"), "{held}");
    assert!(held["waiting_since"].as_str() < held["next_attempt"].as_str(), "{held}");
    let text = cluster.subscriber.run(&["subscriptions", "list"]).ok().stdout;
    assert!(text.contains("failing") && text.contains("exit 1"), "{text}");

    cluster.subscriber.stop();
    cluster.publish("feed", "2");
    let row = until("the delivery to fail", || {
        let row = subscriber(&cluster, &id);
        (row["state"] == "failing" && row["next_attempt"].is_string()).then_some(row)
    });
    assert_eq!((&row["cursor"], &row["lag"]), (&json!(1), &json!(1)), "{row}");
    assert!(row["last_error"].is_string() && row["lag_seconds"].is_u64(), "{row}");
    cluster.subscriber.start();
    until("the delivery to succeed", || (subscriber(&cluster, &id)["state"] == "running").then_some(()));
}

/// A feed with one subscription; returns its id, too.
fn recording() -> (Cluster, String) {
    let cluster = Cluster::pair();
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/record.sh", plugin::RECORD_SH);
    let id = cluster.subscribe("feed", "record");
    (cluster, id)
}

fn subscriber(cluster: &Cluster, id: &str) -> Value {
    let list = cluster.publisher.json(&["subscribers", "list"]);
    list.as_array().expect("a list").iter().find(|row| row["id"] == id).expect("it is subscribed").clone()
}

fn sequences(instance: &Instance) -> Vec<u64> {
    instance.received().iter().map(|line| line["sequence"].as_u64().expect("a number")).collect()
}
