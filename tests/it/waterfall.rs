//! Publications that cause publications: a waterfall over three instances, and a loop that stops by itself.

use coattail_tests::cluster::add_peer;
use coattail_tests::{Cluster, Instance, plugin, until};
use serde_json::json;

const EVERYTHING: &[&str] = &["--performable", "*", "--publishable", "*", "--subscribable", "*"];

/// A receiver that performs an action of its instance with what it gets, and publishes the result.
const PASS_ON_JS: &str = "const { receiver } = require('coattail');\n\
    module.exports = receiver(async (value, { coattail, publication }) => {\n\
    await coattail.perform('next', { value, hops: publication.hops }, { publish: true });\n});\n";

/// An action that adds one.
const ADD_JS: &str = "module.exports = (Coattail) => class extends Coattail.Action {\n\
    async perform({ value, hops }) { return { n: value.n + 1, hops: [...value.hops, hops] }; } };\n";

/// As the one above, in Python.
const ADD_PY: &str = "import coattail\n\n@coattail.action\ndef add(input):\n    value = input['value']\n    \
    return {'n': value['n'] + 1, 'hops': [*value['hops'], input['hops']]}\n";

#[test]
fn what_one_instance_publishes_the_next_handles_and_publishes_on() {
    let first = Cluster::pair();
    let (source, middle) = (&first.publisher, &first.subscriber);
    let last = Instance::running("last");
    source.plugin("actions/feed.sh", plugin::ECHO_SH);
    middle.plugin("receivers/pass-on.js", PASS_ON_JS);
    middle.plugin("actions/next.py", ADD_PY);
    last.plugin("receivers/keep.py", plugin::KEEP_PY);
    first.subscribe("feed", "pass-on");
    let peer = add_peer(middle, &last, EVERYTHING);
    last.json(&["action", "subscribe", "--peer", &peer, "--action", "next", "--receiver", "keep"]);
    for n in [1, 10] {
        first.publish("feed", &json!({"n": n, "hops": []}).to_string());
    }
    last.wait_for("handled", 2);
    assert_eq!(last.received(), [json!({"n": 2, "hops": [0]}), json!({"n": 11, "hops": [0]})]);
}

#[test]
fn a_loop_of_two_instances_stops_by_itself() {
    const HOPS: u64 = 4;
    let instances = ["publisher", "subscriber"].map(|name| {
        let mut instance = Instance::new(name);
        instance.configure(&format!("limits:\n  hops: {HOPS}\nreceivers:\n  retry: []"));
        instance.plugin("actions/next.js", ADD_JS);
        instance.plugin("receivers/pass-on.js", PASS_ON_JS);
        instance.start();
        instance
    });
    let [one, other] = instances;
    let there = Cluster::of(one, other, EVERYTHING);
    there.subscribe("next", "pass-on");
    let (one, other) = (&there.publisher, &there.subscriber);
    let peer = add_peer(other, one, EVERYTHING);
    one.json(&["action", "subscribe", "--peer", &peer, "--action", "next", "--receiver", "pass-on"]);
    there.publish("next", &json!({"n": 0, "hops": []}).to_string());
    // 0 at one, 1 at the other, 2 at one, 3 at the other, 4 at one; the other refuses to publish what is fifth.
    let line = until("the loop to be stopped", || {
        other.log().lines().find(|line| line.contains("refused to publish")).map(str::to_owned)
    });
    assert!(line.contains(&format!("came through {} hops, {HOPS} are allowed", HOPS + 1)), "{line}");
    // Told once, however often the receiver is called for it, and counted.
    other.plugin("receivers/pass-on.js", &format!("{PASS_ON_JS}// Changed, so that it is tried anew.\n"));
    other.run(&["dead-letters", "replay", "--all", "--yes"]);
    let refused = other.log().lines().filter(|line| line.contains("refused to publish")).count();
    assert_eq!(refused, 1, "{}", other.log());
    assert!(other.counts()["looped"].as_u64() >= Some(1), "{}", other.counts());
    let status = other.run(&["service", "status"]).ok();
    assert!(status.stderr.contains("had come through too many others"), "{status:#?}");
    let doctor = other.run(&["doctor"]);
    assert!(doctor.stdout.contains("loop at next"), "{doctor:#?}");
    // The whole of it is one trace, from its beginning to where it ends.
    let first = one.json(&["publications", "list"])[0]["id"].as_str().expect("an id").to_owned();
    let trace = one.run(&["trace", &first]).ok().stdout;
    assert_eq!(trace.matches("next ").count(), 5, "{trace}");
    let last = other.json(&["publications", "list"])[1]["id"].as_str().expect("an id").to_owned();
    let trace = other.run(&["trace", &last]).ok().stdout;
    assert_eq!(trace.matches("next: refused, 4 publications had led to it: a loop?").count(), 1, "{trace}");
    let published = |instance: &Instance| instance.counts()["published"].as_u64();
    assert_eq!((published(one), published(other)), (Some(3), Some(2)));
    // The receiver was told: its publication is a dead letter, or handled, but nothing is left waiting.
    until("nothing to wait", || (other.counts()["waiting"] == 0 && one.counts()["waiting"] == 0).then_some(()));
}
