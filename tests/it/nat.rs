//! P2 behind a NAT: a subscriber that nobody can dial gets everything through the session it opened, whatever becomes of
//! its address and of the memory of the NAT.

use std::time::Duration;

use coattail_tests::{Cluster, Instance, Nat, plugin, within};
use serde_json::json;

/// How soon all is well again.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_subscriber_behind_a_nat_gets_everything_through_the_session_it_opened() {
    let (nat, cluster) = behind_a_nat();
    publish(&cluster, 0..3);
    assert!(!nat.lets_in(cluster.subscriber.port()), "nobody gets in");
    let row = &cluster.publisher.json(&["subscribers", "list"])[0];
    assert_eq!((&row["attached"], &row["lag"]), (&json!(true), &json!(0)), "{row}");
}

#[test]
fn a_subscriber_behind_a_nat_may_have_another_address() {
    let (nat, cluster) = behind_a_nat();
    publish(&cluster, 0..3);
    nat.move_subscriber();
    publish(&cluster, 3..6);
}

#[test]
fn a_nat_may_forget_its_connections_silently() {
    let (nat, cluster) = behind_a_nat();
    publish(&cluster, 0..3);
    nat.forget();
    publish(&cluster, 3..6);
}

fn behind_a_nat() -> (Nat, Cluster) {
    let (mut publisher, mut subscriber) = (Instance::new("publisher"), Instance::new("subscriber"));
    let nat = Nat::between(&mut publisher, &mut subscriber);
    publisher.start();
    subscriber.start();
    let cluster = Cluster::of(publisher, subscriber, &["--subscribable", "*"]);
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/record.js", plugin::RECORD_JS);
    cluster.subscribe("feed", "record");
    (nat, cluster)
}

/// Publishes, and waits until the subscriber has handled all of it, once and in order.
#[track_caller]
fn publish(cluster: &Cluster, values: std::ops::Range<u64>) {
    let count = values.end;
    for value in values {
        cluster.publish("feed", &value.to_string());
    }
    let received = || cluster.subscriber.received();
    within(SOON, "all to be handled", || (received().len() as u64 == count).then_some(()));
    let expected: Vec<_> = (0..count).map(|value| json!({ "sequence": value + 1, "value": value })).collect();
    assert_eq!(received(), expected);
}
