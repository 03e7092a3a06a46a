//! `coattail trace`: what led to a publication and what it has led to, across instances, as far as each tells it.

use coattail::wire::ErrorCode;
use coattail_tests::cluster::add_peer;
use coattail_tests::{Cluster, Instance, plugin, until};
use serde_json::{Value, json};

use crate::raw_peer::{RawPeer, keys_of};

const EVERYTHING: &[&str] = &["--performable", "*", "--publishable", "*", "--subscribable", "*"];

/// A receiver that performs an action of its instance with what it gets, and publishes the result.
const PASS_ON_JS: &str = "const { receiver } = require('coattail');\n\
    module.exports = receiver(async (value, { coattail }) => { await coattail.perform('next', value, { publish: true }); });\n";

/// A receiver that performs the action at its only peer, and has the result published there.
const SEND_BACK_JS: &str = "const { receiver } = require('coattail');\n\
    module.exports = receiver(async (value, { coattail }) => {\n\
    const [peer] = await coattail.peers();\n\
    await coattail.perform('feed', value, { peer: peer.id, publish: true });\n});\n";

#[test]
fn a_waterfall_is_seen_from_its_source_and_from_its_middle() {
    let fall = Fall::new(true);
    let first = fall.publish("1");
    fall.settle(1);
    let (source, middle) = (fall.issuer(&fall.cluster.publisher), fall.issuer(&fall.cluster.subscriber));
    // From where it began: who handled it there, what was published there, and who handled that here.
    let trace = fall.cluster.publisher.json(&["trace", &first]);
    assert_eq!((&trace["causes"], &trace["cut"]), (&json!([]), &json!(false)), "{trace}");
    let at = &trace["publication"]["at"][0];
    assert_eq!((&at["issuer"], &at["known"]), (&json!(middle), &json!("known")), "{trace}");
    assert_eq!((&at["receivers"][0]["receiver"], &at["receivers"][0]["state"]), (&json!("pass-on"), &json!("handled")));
    assert_eq!(at["receivers"][0]["attempts"], 1, "{trace}");
    let next = &at["published"][0];
    assert_eq!(
        (&next["action"], &next["hops"], &next["issuer"]),
        (&json!("next"), &json!(1), &json!(middle)),
        "{trace}"
    );
    let back = &next["at"][0];
    assert_eq!((&back["issuer"], &back["here"]), (&json!(source), &json!(true)), "{trace}");
    assert_eq!(
        (&back["receivers"][0]["receiver"], &back["receivers"][0]["state"]),
        (&json!("keep"), &json!("handled"))
    );

    // From its middle, by the beginning of an id: what led to it, too.
    let second = next["id"].as_str().expect("an id");
    let trace = fall.cluster.subscriber.json(&["trace", &second[..23]]);
    let cause = &trace["causes"][0];
    assert_eq!(
        (&cause["id"], &cause["action"], &cause["issuer"]),
        (&json!(first), &json!("feed"), &json!(source)),
        "{trace}"
    );
    assert_eq!(cause["at"][0]["receivers"][0]["state"], "handled", "{trace}");
    let (publication, at) = (&trace["publication"], &trace["publication"]["at"][0]);
    assert_eq!((&publication["id"], &publication["here"]), (&json!(second), &json!(true)), "{trace}");
    assert_eq!((&at["issuer"], &at["receivers"][0]["state"]), (&json!(source), &json!("handled")), "{trace}");

    // As people see it.
    let drawn = fall.cluster.publisher.run(&["trace", &first]).ok().stdout;
    let lines: Vec<&str> = drawn.lines().collect();
    assert!(lines[0].starts_with("feed 1 here  20") && lines[0].ends_with(&first), "{drawn}");
    assert!(lines[1].starts_with(&format!("└─ at {}…", &middle[..8])), "{drawn}");
    assert!(lines[2].starts_with("   ├─ pass-on: handled in ") && lines[2].contains("  +"), "{drawn}");
    assert!(lines[3].starts_with("   └─ next 1 at ") && lines[3].ends_with(second), "{drawn}");
    assert!(lines[4] == "      └─ here" && lines[5].starts_with("         └─ keep: handled in "), "{drawn}");
}

#[test]
fn who_may_not_see_a_publication_is_told_that_there_is_one_and_no_more() {
    let fall = Fall::new(false);
    let first = fall.publish("1");
    fall.settle(0);
    let trace = fall.cluster.publisher.json(&["trace", &first]);
    let at = &trace["publication"]["at"][0];
    assert_eq!((&at["hidden"], &at["published"]), (&json!(1), &Value::Null), "{trace}");
    assert_eq!(at["receivers"][0]["state"], "handled", "{trace}");
    let drawn = fall.cluster.publisher.run(&["trace", &first]).ok().stdout;
    assert!(drawn.contains("1 publication: not allowed"), "{drawn}");

    // A third, who has what the second made of it, and nothing to do with the first.
    let third = Instance::running("third");
    third.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let peer = add_peer(&fall.cluster.subscriber, &third, &["--performable", "[]", "--subscribable", "next"]);
    third.json(&["action", "subscribe", "--peer", &peer, "--action", "next", "--receiver", "keep"]);
    let second = fall.publish("2");
    third.wait_for("handled", 1);
    let received = fall.cluster.subscriber.json(&["publications", "list", "next"])[1]["id"].clone();
    let trace = third.json(&["trace", received.as_str().expect("an id")]);
    let cause = &trace["causes"][0];
    assert_eq!(
        (&cause["id"], &cause["known"], &cause["action"]),
        (&json!(second), &json!("not-allowed"), &Value::Null),
        "{trace}"
    );
    assert_eq!(trace["publication"]["at"][0]["receivers"][0]["state"], "handled", "{trace}");

    // Whoever has a token for something else learns nothing at all, of no publication.
    let mut raw = Fall::stranger(&fall.cluster.subscriber, &Instance::new("stranger"));
    for id in [&first, received.as_str().expect("an id")] {
        let ask = json!({"publication": id});
        assert_eq!(raw.call("publications.trace", &ask), Err(ErrorCode::NotPermitted), "{id}");
    }
    let place = json!({"action": "feed", "place": {"epoch": 0, "sequence": 1}, "subscriptions": [fall.subscription]});
    let ask = json!({"publication": first, "delivered": place});
    assert_eq!(raw.call("publications.trace", &ask), Err(ErrorCode::NotPermitted));
    let unknown = json!({"publication": "01a1f817-1144-7283-ae4b-ddeb814a812e"});
    assert_eq!(raw.call("publications.trace", &unknown), Err(ErrorCode::NotFound));
}

#[test]
fn a_trace_says_where_something_is_stuck_and_who_does_not_answer() {
    let mut fall = Fall::new(true);
    fall.cluster.subscriber.plugin("receivers/pass-on.sh", "#!/bin/sh\necho 'no such trade' >&2; exit 65\n");
    std::fs::remove_file(fall.cluster.subscriber.path("receivers/pass-on.js")).expect("it is there");
    let rejected = fall.publish("1");
    fall.cluster.subscriber.wait_for("dead", 1);
    let state = |instance: &Instance, id: &str| {
        let trace = instance.json(&["trace", id]);
        let at = &trace["publication"]["at"][0];
        (at["known"].clone(), at["receivers"][0]["state"].clone(), at["receivers"][0]["reason"].clone())
    };
    // Why, is for the owner of the receiver.
    let (_, dead, reason) = state(&fall.cluster.subscriber, &rejected);
    assert!(dead == "dead" && reason.as_str().is_some_and(|reason| !reason.is_empty()), "{dead} {reason}");
    assert_eq!(state(&fall.cluster.publisher, &rejected), (json!("known"), json!("dead"), Value::Null));

    fall.cluster.subscriber.json(&["subscriptions", "pause", &fall.subscription]);
    let paused = fall.publish("2");
    fall.cluster.subscriber.wait_for("waiting", 1);
    until("the cursor to move", || (state(&fall.cluster.publisher, &paused).1 == "paused").then_some(()));

    // What was known survives, and who is away is shown as that.
    fall.cluster.subscriber.kill();
    assert_eq!(state(&fall.cluster.publisher, &rejected).0, "unreachable");
    let undelivered = fall.publish("3");
    assert_eq!(state(&fall.cluster.publisher, &undelivered).1, "undelivered");
    fall.cluster.subscriber.start();
    assert_eq!(state(&fall.cluster.subscriber, &rejected).1, "dead");

    fall.cluster.publisher.run(&["trace", "01a1f817-1144-7283-ae4b-ddeb814a812e", "--json"]).failed(5, "not-found");
    fall.cluster.publisher.run(&["trace", "ffffffff", "--json"]).failed(5, "not-found");
    fall.cluster.publisher.run(&["trace", "nonsense", "--json"]).failed(2, "invalid-input");
    // The first 8 characters are the time to the minute or so.
    fall.cluster.publisher.run(&["trace", &undelivered[..8], "--json"]).failed(2, "invalid-input");
}

#[test]
fn a_loop_over_calls_to_a_peer_stops_as_one_over_publications() {
    const HOPS: u64 = 3;
    let mut publisher = Instance::new("publisher");
    publisher.configure(&format!("limits:\n  hops: {HOPS}\nreceivers:\n  retry: []"));
    publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    publisher.start();
    let cluster = Cluster::of(publisher, Instance::running("subscriber"), EVERYTHING);
    cluster.subscriber.plugin("receivers/send-back.js", SEND_BACK_JS);
    cluster.subscribe("feed", "send-back");
    cluster.publish("feed", "1");
    cluster.publisher.wait_for("looped", 1);
    cluster.publisher.wait_for("published", HOPS + 1);
    let listed = cluster.publisher.json(&["publications", "list"]);
    let hops: Vec<_> = listed.as_array().expect("a list").iter().map(|entry| entry["hops"].clone()).collect();
    assert_eq!(hops, [0, 1, 2, 3]);
    let last = cluster.publisher.json(&["trace", listed[3]["id"].as_str().expect("an id")]);
    assert_eq!(last["causes"].as_array().map(Vec::len), Some(3), "{last}");
    let looped = json!([{"action": "feed", "hops": HOPS + 1}]);
    let at = last["publication"]["at"].as_array().expect("it was delivered");
    assert!(at.iter().any(|at| at["looped"] == looped), "{last}");
}

/// Two instances: what one publishes, the other passes on, and the first keeps that if it may.
struct Fall {
    cluster: Cluster,
    subscription: String,
}

impl Fall {
    fn new(and_back: bool) -> Self {
        // Without TLS, so that it can be asked by hand.
        let mut middle = Instance::new("middle");
        middle.reconfigure("enabled: true", "enabled: false");
        middle.start();
        let cluster = Cluster::of(Instance::running("source"), middle, EVERYTHING);
        let (source, middle) = (&cluster.publisher, &cluster.subscriber);
        source.plugin("actions/feed.sh", plugin::ECHO_SH);
        source.plugin("receivers/keep.sh", plugin::KEEP_SH);
        middle.plugin("receivers/pass-on.js", PASS_ON_JS);
        middle.plugin("actions/next.sh", plugin::ECHO_SH);
        let subscription = cluster.subscribe("feed", "pass-on");
        if and_back {
            let peer = add_peer(middle, source, EVERYTHING);
            source.json(&["action", "subscribe", "--peer", &peer, "--action", "next", "--receiver", "keep"]);
        }
        Self { cluster, subscription }
    }

    /// Returns the id of the publication.
    #[track_caller]
    fn publish(&self, value: &str) -> String {
        let published = self.cluster.publisher.json(&["action", "publish", "feed", "-d", value]);
        published["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until all has come through.
    #[track_caller]
    fn settle(&self, back: u64) {
        self.cluster.subscriber.wait_for("handled", 1);
        self.cluster.publisher.wait_for("handled", back);
        until("the cursor to move", || (self.cluster.publisher.counts()["undelivered"] == 0).then_some(()));
        until("the cursor to move", || (self.cluster.subscriber.counts()["undelivered"] == 0).then_some(()));
    }

    #[track_caller]
    fn issuer(&self, instance: &Instance) -> String {
        instance.json(&["token", "issuer"])["issuer"].as_str().expect("a hash").to_owned()
    }

    /// Somebody with a token for something else.
    #[track_caller]
    fn stranger(at: &Instance, keys: &Instance) -> RawPeer {
        let issue = ["token", "issue", "--subscribable", "other", "--quiet", "--print-raw-token"];
        let token = at.run(&issue).ok().stdout;
        RawPeer::log_in(at.port(), &keys_of(keys), token.trim())
    }
}
