//! What would end can be seen before it does, and is what ends then.

use coattail_tests::{Cluster, plugin};
use serde_json::{Value, json};

/// Two instances, the subscription between them, and the token it was made with.
fn subscribed() -> (Cluster, String, String) {
    let cluster = Cluster::pair();
    cluster.publisher.plugin("actions/news.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let subscription = cluster.subscribe("news", "keep");
    let token = cluster.publisher.json(&["token", "list"])[0]["id"].as_str().expect("an id").to_owned();
    (cluster, subscription, token)
}

fn ended(value: &Value) -> (u64, u64) {
    (value["sessions"].as_u64().expect("a number"), value["subscriptions"].as_u64().expect("a number"))
}

#[test]
fn a_token_shows_what_lives_on_it_and_revoking_ends_that() {
    let (cluster, _, token) = subscribed();
    let publisher = &cluster.publisher;
    let shown = publisher.json(&["token", "show", &token]);
    let (sessions, subscriptions) = ended(&shown);
    assert!(sessions >= 1 && subscriptions == 1, "{shown}");
    let text = publisher.run(&["token", "show", &token]).ok().stdout;
    assert!(text.contains("ends with it") && text.contains("1 subscription"), "{text}");

    // Nobody is asked, and nothing is done.
    let dry = publisher.json(&["token", "revoke", &token, "--dry-run"]);
    assert_eq!(ended(&dry), (sessions, subscriptions));
    assert_eq!(ended(&publisher.json(&["token", "show", &token])), (sessions, subscriptions));

    let revoked = publisher.json(&["token", "revoke", &token, "--yes"]);
    assert_eq!(ended(&revoked), (sessions, subscriptions));
    for arguments in [&["token", "revoke", &token, "--dry-run", "--json"][..], &["token", "show", &token, "--json"]] {
        publisher.run(arguments).failed(5, "not-found");
    }
}

#[test]
fn a_peer_shows_what_ends_with_it() {
    let (cluster, _, _) = subscribed();
    let Cluster { subscriber, peer, .. } = &cluster;
    let dry = subscriber.json(&["peer", "remove", peer, "--dry-run"]);
    assert_eq!(ended(&dry), (1, 1));
    assert_eq!(subscriber.json(&["peer", "show", peer])["id"], **peer);
    assert_eq!(subscriber.json(&["peer", "remove", peer, "--yes"]), dry);
    subscriber.run(&["peer", "remove", peer, "--dry-run", "--json"]).failed(5, "not-found");
}

#[test]
fn a_subscription_can_be_looked_at_from_both_sides_before_it_ends() {
    let (mut cluster, subscription, _) = subscribed();
    let unsubscribe = |cluster: &Cluster, more: &[&str]| {
        let which = ["action", "unsubscribe", "-p", &cluster.peer, "-a", "news", "-r", "keep", "--json"];
        cluster.subscriber.run(&[&which[..], more].concat())
    };
    let dry = unsubscribe(&cluster, &["--dry-run"]).ok().json();
    assert_eq!(dry, json!({"id": subscription, "told": false}));

    // What was not delivered is what is lost.
    cluster.subscriber.stop();
    for number in 0..3 {
        cluster.publish("news", &number.to_string());
    }
    let dry = cluster.publisher.json(&["subscribers", "revoke", &subscription, "--dry-run"]);
    assert_eq!(dry, json!({"id": subscription, "told": false, "undelivered": 3}));
    assert_eq!(cluster.publisher.json(&["subscribers", "list"])[0]["id"], *subscription);
    cluster.subscriber.start();
    cluster.subscriber.wait_for("handled", 3);
    let ended = unsubscribe(&cluster, &[]).ok().json();
    assert_eq!(ended, json!({"id": subscription, "told": true}));
    unsubscribe(&cluster, &["--dry-run"]).failed(5, "not-found");
}
